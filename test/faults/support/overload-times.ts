/** When something was answered within the measured time, and how long it took. */
export interface Times {
  atMs: number[]
  tookMs: number[]
}

export interface Summary {
  count: number
  p50Ms: number
  p99Ms: number
  maxMs: number
  longestGapMs: number
  /** Each second of the measured time. */
  seconds: { count: number; p99Ms: number }[]
}

/** `atMs` is in order, from 0 to `durationMs`. */
export function summaryOf({ atMs, tookMs }: Times, durationMs: number): Summary {
  const seconds = Array.from({ length: Math.floor(durationMs / 1000) }, (): number[] => [])
  let longestGapMs = 0
  let lastMs = 0
  for (const [index, at] of atMs.entries()) {
    seconds[Math.floor(at / 1000)]?.push(tookMs[index] ?? 0)
    longestGapMs = Math.max(longestGapMs, at - lastMs)
    lastMs = at
  }
  const sorted = Float64Array.from(tookMs).sort()
  return {
    count: sorted.length,
    p50Ms: at(sorted, 0.5),
    p99Ms: at(sorted, 0.99),
    maxMs: sorted.at(-1) ?? 0,
    longestGapMs: Math.max(longestGapMs, durationMs - lastMs),
    seconds: seconds.map((took) => ({ count: took.length, p99Ms: at(Float64Array.from(took).sort(), 0.99) })),
  }
}

function at(sorted: Float64Array, share: number): number {
  return sorted[Math.floor(sorted.length * share)] ?? 0
}
