import { median } from '../../../bench/statistics.ts'
import { groupBy } from '../support/group-by.ts'
import type { DatabaseSample, ProcessSample, Sample } from './samples.ts'

/**
 * Whether something grows that should not. Of each process that has lived long enough, the first third of its life after
 * the warm-up is compared with the last.
 */
export interface Growth {
  what: string
  first: number
  last: number
  limit: number
}

// Compiled code, pools and caches fill up in the first minute, and then the young generation's 192 MB, page by page: at a hundred
// messages a second that takes ten. So of a process that is killed every eight minutes nothing is told.
const warmUpS = 600
// Below that a third is too short to tell growth from chance.
const lifeMinS = 300
// A known chat is kept, about 100 bytes each, up to 200,000 of them: of what a soak makes, a few MB.
const memoryShare = 1.15
const rssSlackMb = 24
const heapSlackMb = 12
// A pool grows to 40 at a fault and keeps its connections: the process may have as many more open than before.
const filesSlack = 40

/** What has grown, or not; empty where nothing has lived long enough. */
export function growthOf(samples: readonly Sample[]): Growth[] {
  const lives = groupBy(
    samples.flatMap(({ atS, processes }) => processes.map((each) => ({ ...each, atS }))),
    ({ pid }) => pid,
  )
  return [...lives.values()].flatMap((life) => {
    const from = (life[0]?.atS ?? 0) + warmUpS
    const until = life.at(-1)?.atS ?? 0
    if (until - from < lifeMinS) return []
    const third = (until - from) / 3
    const first = life.filter(({ atS }) => atS >= from && atS < from + third)
    const last = life.filter(({ atS }) => atS > until - third)
    const name = `process ${(life[0]?.nth ?? 0) + 1}`
    const grown = (
      what: string,
      of: (values: number[]) => number,
      pick: (each: ProcessSample) => number,
      limitOf: (before: number) => number,
    ): Growth => {
      const before = of(first.map(pick))
      return { what: `${name}, ${what}`, first: before, last: of(last.map(pick)), limit: limitOf(before) }
    }
    return [
      // V8 gives the young generation back when little happens, and takes it again.
      grown(
        'RSS in MB (most)',
        most,
        ({ rssMb }) => rssMb,
        (mb) => mb * memoryShare + rssSlackMb,
      ),
      // What is left after a collection: the smallest of many looks.
      grown(
        'heap in MB (least)',
        least,
        ({ heapMb }) => heapMb,
        (mb) => mb * memoryShare + heapSlackMb,
      ),
      grown(
        'open files (median)',
        median,
        ({ openFiles }) => openFiles,
        (count) => count + filesSlack,
      ),
    ]
  })
}

export function brokenBy(growth: readonly Growth[]): string[] {
  return growth
    .filter(({ last, limit }) => last > limit)
    .map(
      ({ what, first, last, limit }) =>
        `${what} has grown from ${round(first)} to ${round(last)}, over ${round(limit)}`,
    )
}

export function toldGrowth({ what, first, last, limit }: Growth): string {
  return `${what}: ${round(first)} in the first third, ${round(last)} in the last (at most ${round(limit)})`
}

// Two processes with a pool of 40 for each member, their monitors, and the members' own to each other, each way.
const connectionsMax = 2 * 3 * 44 + 60
// A driver's session is used again: as many as were ever in use at once, on each member that was the primary.
const sessionsMax = 3 * 2 * 100

/** When everybody has stopped, nothing is left open. */
export function leftOpen({ openTransactions, sessions, connections }: DatabaseSample): string[] {
  return [
    ...(openTransactions > 0 ? [`${openTransactions} transactions are still open`] : []),
    ...(sessions > sessionsMax ? [`${sessions} sessions, over ${sessionsMax}`] : []),
    ...(connections > connectionsMax ? [`${connections} connections, over ${connectionsMax}`] : []),
  ]
}

function most(values: number[]): number {
  return Math.max(...values)
}

function least(values: number[]): number {
  return Math.min(...values)
}

function round(value: number): string {
  return value.toFixed(0)
}
