import type { LoadResult } from './overload-load.ts'
import type { Summary } from './overload-times.ts'

/** What a load came to, with what the service and the database used for it. */
export interface Measured {
  load: LoadResult
  /** Of the service and all members, in the measured time. */
  cpuS: number
}

export interface Figures {
  peak: readonly Measured[]
  overload: Measured
  politeBefore: Summary
  /** From the end of the overload. */
  politeAfter: Summary
  rssMostMb: number
}

export const bounds = {
  refusedP99Ms: 200,
  acceptedP99Ms: 2_000,
  goodputShare: 0.7,
  // Aimed at is 0.9. With 5,000 requests under way the garbage collector takes what is missing.
  perCpuShare: 0.65,
  recoveryS: 5,
  // What `ops/compose.yaml` gives an instance.
  rssMb: 1_024,
}

const refusals = new Set(['503 OVERLOADED', '429 RATE_LIMITED'])
// Of the rate before, in a second; and of the worst second's p99 before.
const normalRate = 0.8
const normalP99 = 2
// One good second between bad ones is not back.
const normalSeconds = 3

export function goodputOf({ load: { accepted, durationMs } }: Measured): number {
  return (1000 * accepted.count) / durationMs
}

export function perCpuSecond({ load: { accepted }, cpuS }: Measured): number {
  return accepted.count / cpuS
}

/** The best of several loads, so that overload is not compared with a bad one. */
export function bestOf(measured: readonly Measured[], of: (each: Measured) => number): number {
  return Math.max(...measured.map(of))
}

/** Whole seconds from the end of the overload until some in a row are as before; `undefined`: never. */
export function recoverySeconds(before: Summary, after: Summary): number | undefined {
  const rate = before.count / before.seconds.length
  const p99Ms = Math.max(...before.seconds.map((second) => second.p99Ms))
  const isNormal = after.seconds.map(
    (second) => second.count >= normalRate * rate && second.p99Ms <= normalP99 * p99Ms,
  )
  const first = isNormal.findIndex((_, index) => {
    const run = isNormal.slice(index, index + normalSeconds)
    return run.length === normalSeconds && run.every(Boolean)
  })
  return first < 0 ? undefined : first
}

/**
 * A sentence for each bar that was missed. `isExcess`: more comes than is let in, from clients that repeat a refusal at once.
 * Then something must be refused, memory bounded, and all normal soon after; how much is sent beside that, and how fast, is told.
 */
export function missed(figures: Figures, { isExcess }: { isExcess: boolean }): string[] {
  const { peak, overload, politeBefore, politeAfter, rssMostMb } = figures
  const { accepted, refused, answers, cut } = overload.load
  const share = goodputOf(overload) / bestOf(peak, goodputOf)
  const perCpuShare = perCpuSecond(overload) / bestOf(peak, perCpuSecond)
  const recoveryS = recoverySeconds(politeBefore, politeAfter)
  const others = Object.keys(answers).filter((name) => name !== '200 OK' && !refusals.has(name))
  return [
    ...(isExcess && refused.count === 0 ? ['nothing was refused: there was no overload'] : []),
    ...others.map((name) => `${answers[name]} answers of the overload were ${name}`),
    ...(cut > 0 ? [`${cut} connections were cut without an answer`] : []),
    ...(isExcess
      ? []
      : [
          ...over('p99 of the refused', refused.p99Ms, bounds.refusedP99Ms, 'ms'),
          ...over('p99 of the accepted', accepted.p99Ms, bounds.acceptedP99Ms, 'ms'),
          ...under('goodput', share, bounds.goodputShare, 'of its peak'),
          ...under('goodput per CPU second', perCpuShare, bounds.perCpuShare, 'of its peak'),
        ]),
    ...over('memory', rssMostMb, bounds.rssMb, 'MB'),
    ...(recoveryS === undefined ? ['it was never normal again'] : []),
    ...over('normal again', recoveryS ?? 0, bounds.recoveryS, 's after the overload'),
  ]
}

function over(what: string, value: number, bound: number, unit: string): string[] {
  return value <= bound ? [] : [`${what}: ${value.toFixed(0)} ${unit}, over ${bound}`]
}

function under(what: string, value: number, bound: number, unit: string): string[] {
  // Also what is not a number has missed it.
  return value >= bound ? [] : [`${what}: ${percent(value)} ${unit}, under ${percent(bound)}`]
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`
}
