import type { Measurement } from './measure.ts'
import type { Row } from './rows.ts'
import { type Goal, goal, median, spread } from './statistics.ts'

/** A row's measurements, one for each round, in order. */
export interface MeasuredRow extends Row {
  measurements: Measurement[]
}

export type Results = MeasuredRow[]

const headings = [
  '',
  'msg/s',
  '±',
  'p50 ms',
  'p99 ms',
  'Node µs',
  'mongod µs',
  'commands',
  'batch',
  'of ceiling',
  '× one at a time',
]

/** Markdown. Medians over the rounds; `±` is half of the range, in per cent; ratios are paired round by round. */
export function tableOf(results: Results): string {
  const lines = results.map((row) => {
    const { measurements } = row
    const speeds = measurements.map(({ messagesPerSecond }) => messagesPerSecond)
    const of = (pick: (each: Measurement) => number, digits: number) =>
      median(measurements.map(pick)).toFixed(digits)
    return [
      row.name,
      median(speeds).toFixed(0),
      `${(100 * spread(speeds)).toFixed(0)} %`,
      of(({ p50Ms }) => p50Ms, 1),
      of(({ p99Ms }) => p99Ms, 1),
      of(({ nodeUs }) => nodeUs, 0),
      of(({ mongodUs }) => mongodUs, 0),
      of(({ commands }) => commands, 2),
      of(({ batch }) => batch, 1),
      percent(ratio(results, row.name, ceilingOf(row))),
      factor(ratio(results, row.name, `one at a time, ${row.load.connections}`)),
    ]
  })
  return markdownOf(headings, lines)
}

/** The first column holds names, the others figures. */
export function markdownOf(headings: string[], lines: string[][]): string {
  const rows = [headings, headings.map((_, index) => (index === 0 ? '---' : '--:')), ...lines]
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** What the quick rows must reach; a goal without its rows is left out. */
export function goalsOf(results: Results): Goal[] {
  const speed = (a: string, b: string) => ratio(results, a, b)
  const cpu = (a: string, b: string) => ratio(results, a, b, ({ nodeUs, mongodUs }) => nodeUs + mongodUs)
  const p99 = (a: string, b: string) => ratio(results, a, b, ({ p99Ms }) => p99Ms)
  const p50 = (a: string, b: string) => ratio(results, a, b, ({ p50Ms }) => p50Ms)
  const repeated = median(named(results, '2 processes, 256, one chat').map((each) => each.repeated))
  return [
    goal('256 connections, × one at a time', speed('service, 256', 'one at a time, 256'), 'at least', 13),
    goal('256 connections, of the ceiling', speed('service, 256', 'ceiling, 256'), 'at least', 0.3),
    goal('64 connections, of the ceiling', speed('service, 64', 'ceiling, 64'), 'at least', 0.18),
    goal('256 connections, CPU × the ceiling', cpu('service, 256', 'ceiling, 256'), 'at most', 4),
    goal('one chat, × random pairs', speed('service, 256, one chat', 'service, 256'), 'at least', 0.95),
    goal('one chat, p99 × random pairs', p99('service, 256, one chat', 'service, 256'), 'at most', 1),
    goal('1 connection, p50 × one at a time', p50('service, 1', 'one at a time, 1'), 'at most', 1.1),
    goal('2 processes in one chat, repeated', repeated, 'at most', 0.01),
  ].filter(({ line }) => !line.includes('NaN'))
}

function ceilingOf({ name, load }: Row): string {
  return `ceiling, ${load.connections}${name.endsWith('EdDSA') ? ', EdDSA' : ''}`
}

function ratio(
  results: Results,
  name: string,
  base: string,
  pick: (each: Measurement) => number = ({ messagesPerSecond }) => messagesPerSecond,
): number {
  const bases = named(results, base)
  return median(
    named(results, name).map((each, round) => pick(each) / (bases[round] ? pick(bases[round]) : Number.NaN)),
  )
}

function named(results: Results, name: string): Measurement[] {
  return results.find((row) => row.name === name)?.measurements ?? []
}

function percent(value: number): string {
  return Number.isNaN(value) ? '' : `${(100 * value).toFixed(1)} %`
}

function factor(value: number): string {
  return Number.isNaN(value) ? '' : value.toFixed(1)
}
