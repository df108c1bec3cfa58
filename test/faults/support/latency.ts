import type { Entry } from './ledger.ts'

export interface Latency {
  count: number
  p99Ms: number
  maxMs: number
}

/** From the first try to the 200, of those that were begun in that time. */
export function latencyOf(
  entries: readonly Entry[],
  { fromMs, untilMs }: { fromMs: number; untilMs: number },
): Latency {
  const begun = entries.filter(({ sentAtMs }) => sentAtMs >= fromMs && sentAtMs < untilMs)
  const took = begun
    .flatMap(({ sentAtMs, acknowledgedAtMs }) =>
      acknowledgedAtMs === undefined ? [] : [acknowledgedAtMs - sentAtMs],
    )
    .sort((a, b) => a - b)
  return { count: took.length, p99Ms: took[Math.floor(took.length * 0.99)] ?? 0, maxMs: took.at(-1) ?? 0 }
}

export function toldLatency({ count, p99Ms, maxMs }: Latency): string {
  return `${count} messages, p99 ${p99Ms.toFixed(0)} ms, longest ${maxMs.toFixed(0)} ms`
}
