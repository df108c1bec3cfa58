// Long enough that chance does not decide (some hundred messages), short enough to tell seconds apart.
const windowMs = 1_000
const stepMs = 100
const backAt = 0.8
// A fault that nobody has felt by then is not felt: the driver's longest patience with a silent member is 10 s.
const feltWithinMs = 12_000

/** Messages a second, from the times of the acknowledgements (in order). */
export function rateOf(atMs: readonly number[], fromMs: number, untilMs: number): number {
  return (1000 * (indexAt(atMs, untilMs) - indexAt(atMs, fromMs))) / (untilMs - fromMs)
}

/** The longest time in which nothing was acknowledged. */
export function longestGapMs(atMs: readonly number[], fromMs: number, untilMs: number): number {
  const within = atMs.slice(indexAt(atMs, fromMs), indexAt(atMs, untilMs))
  const edges = [fromMs, ...within, untilMs]
  return edges.reduce((longest, at, index) => Math.max(longest, at - (edges[index - 1] ?? at)), 0)
}

/** From the fault to the second at which the rate is back; 0 where it never fell, `undefined` where it never came back. */
export function recoveryMs(
  atMs: readonly number[],
  { faultMs, untilMs, before }: { faultMs: number; untilMs: number; before: number },
): number | undefined {
  let isFelt = false
  for (let at = faultMs; at + windowMs <= untilMs; at += stepMs) {
    const isBack = rateOf(atMs, at, at + windowMs) >= backAt * before
    if (isFelt && isBack) return at - faultMs
    if (!isBack) isFelt = true
    else if (at - faultMs > feltWithinMs) return 0
  }
  return isFelt ? undefined : 0
}

/** How many are before that time. */
function indexAt(atMs: readonly number[], timeMs: number): number {
  let low = 0
  let high = atMs.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((atMs[middle] ?? 0) < timeMs) low = middle + 1
    else high = middle
  }
  return low
}
