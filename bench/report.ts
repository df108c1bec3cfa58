import type { RowsReport } from './compare.ts'
import type { GrowthReport } from './growth.ts'
import { growthGoalsOf, growthTableOf } from './growth-table.ts'
import type { MemoryReport } from './memory.ts'
import { memoryGoalsOf, memoryTableOf } from './memory-table.ts'
import { goalsOf, tableOf } from './table.ts'

/** What a run has found, as it is kept in JSON. */
export type Report = RowsReport | GrowthReport | MemoryReport

/** The conditions, a table, and which goals are met. */
export function textOf(report: Report): string {
  const { table, goals } = partsOf(report)
  return `\n${conditionsOf(report)}\n\n${table}\n\n${goals.map(({ line }) => line).join('\n')}\n`
}

export function conditionsOf(report: Report): string {
  const count = (value: number): string => value.toLocaleString('en-US')
  switch (report.kind) {
    case 'rows': {
      const { machine, people, messages, rounds, durationMs } = report
      const stored = `${count(people)} people, ${count(messages)} messages stored before`
      return `${machine}; ${stored}; ${rounds} rounds of ${durationMs / 1000} s`
    }
    case 'growth': {
      const { machine, cacheGb, rounds, durationMs } = report
      return `${machine}; ${cacheGb} GB cache; 256 connections; ${rounds} rounds of ${durationMs / 1000} s`
    }
    case 'memory': {
      const { machine, connections, minutes, stored } = report
      return `${machine}; ${connections} connections for ${minutes} min, ${count(stored)} messages sent`
    }
  }
}

function partsOf(report: Report) {
  switch (report.kind) {
    case 'rows':
      return { table: tableOf(report.rows), goals: goalsOf(report.rows) }
    case 'growth':
      return { table: growthTableOf(report), goals: growthGoalsOf(report) }
    case 'memory':
      return { table: memoryTableOf(report), goals: memoryGoalsOf(report) }
  }
}
