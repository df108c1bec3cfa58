import type { MemoryReport, MemorySample } from './memory.ts'
import { type Goal, goal, median, slope } from './statistics.ts'
import { markdownOf } from './table.ts'

const headings = ['', 'second minute MB', 'last minute MB', 'ratio', 'peak MB', 'slope KB/min']

const measures = [
  { name: 'resident', of: ({ rssMb }: MemorySample) => rssMb, isJudged: true },
  // Up to 128 MB of it are garbage of the young generation: now more, now less, and no leak.
  { name: 'heap used', of: ({ heapMb }: MemorySample) => heapMb, isJudged: false },
  { name: 'old generation', of: ({ oldMb }: MemorySample) => oldMb, isJudged: true },
]

// More than that from the second minute to the last is a leak until somebody shows that it ends.
const flatMax = 1.1

/** Medians of the two minutes; the slope is over all samples after the first minute, which is warm-up. */
export function memoryTableOf(report: MemoryReport): string {
  const lines = measures.map(({ name, of }) => {
    const { second, last, peak, kbPerMinute } = summaryOf(report, of)
    return [name, ...[second, last].map(one), (last / second).toFixed(3), one(peak), kbPerMinute.toFixed(0)]
  })
  return markdownOf(headings, lines)
}

export function memoryGoalsOf(report: MemoryReport): Goal[] {
  return measures
    .filter(({ isJudged }) => isJudged)
    .map(({ name, of }) => {
      const { second, last } = summaryOf(report, of)
      return goal(`${name}, last minute × the second`, last / second, 'at most', flatMax)
    })
}

function summaryOf({ samples, minutes }: MemoryReport, of: (sample: MemorySample) => number) {
  // A try is shorter than three minutes: its "minute" is a third of it.
  const minuteSeconds = Math.min(60, minutes * 20)
  const between = (from: number, to: number): MemorySample[] =>
    samples.filter(({ seconds }) => seconds > from && seconds <= to)
  const endSeconds = samples.at(-1)?.seconds ?? 0
  const steady = between(minuteSeconds, endSeconds)
  return {
    second: median(between(minuteSeconds, 2 * minuteSeconds).map(of)),
    last: median(between(endSeconds - minuteSeconds, endSeconds).map(of)),
    peak: Math.max(...samples.map(of)),
    kbPerMinute: 1000 * slope(steady.map((sample) => [sample.seconds / 60, of(sample)] as const)),
  }
}

function one(value: number): string {
  return value.toFixed(1)
}
