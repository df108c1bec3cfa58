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
  /** As many connections as at a peak, with all that is idle, slow or half-sent beside them. */
  beside: Measured
  overload: Measured
  politeBefore: Summary
  /** From the end of the overload. */
  politeAfter: Summary
  rssMostMb: number
}

export interface Bars {
  refusedP99Ms: number
  /** More would be refusals of those that were refused before. */
  refusedMax: number
  acceptedP99Ms: number
  /** Of the peak's messages a second. */
  goodputShare: number
  /** Of `beside`: what is idle, slow or half-sent costs its own CPU, overload or not. */
  perCpuShare: number
}

/** Fewer than the service lets in at once. */
export const crowdBars: Bars = {
  refusedP99Ms: 200,
  refusedMax: 5_000,
  acceptedP99Ms: 2_000,
  goodputShare: 0.7,
  // 0.95 to 1.03 were measured.
  perCpuShare: 0.9,
}

/** Twice as many: they wait for as long as so many messages take, and so many refusals of first requests, at once. */
export const excessBars: Bars = {
  refusedP99Ms: 2_000,
  refusedMax: 12_000,
  acceptedP99Ms: 4_000,
  goodputShare: 0.6,
  perCpuShare: 0.7,
}

export const bounds = {
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

/** A sentence for each bar that was missed. */
export function missed(figures: Figures, bars: Bars): string[] {
  const { politeBefore, politeAfter, rssMostMb } = figures
  const { accepted, refused, answers, cut } = figures.overload.load
  const { share, perCpuShare } = sharesOf(figures)
  const recoveryS = recoverySeconds(politeBefore, politeAfter)
  const others = Object.keys(answers).filter((name) => name !== '200 OK' && !refusals.has(name))
  return [
    ...others.map((name) => `${answers[name]} answers of the overload were ${name}`),
    ...(cut > 0 ? [`${cut} connections were cut without an answer`] : []),
    ...over('p99 of the refused', refused.p99Ms, bars.refusedP99Ms, 'ms'),
    ...over('refused', refused.count, bars.refusedMax, 'times'),
    ...over('p99 of the accepted', accepted.p99Ms, bars.acceptedP99Ms, 'ms'),
    ...under('goodput', share, bars.goodputShare, 'of its peak'),
    ...under('goodput per CPU second', perCpuShare, bars.perCpuShare, 'of that beside the same others'),
    ...over('memory', rssMostMb, bounds.rssMb, 'MB'),
    ...(recoveryS === undefined ? ['it was never normal again'] : []),
    ...over('normal again', recoveryS ?? 0, bounds.recoveryS, 's after the overload'),
  ]
}

export interface Shares {
  /** Of the peak's messages a second. */
  share: number
  /** Messages for a second of CPU: of those beside the same others, and of the peak's without any. */
  perCpuShare: number
  perCpuShareOfPeak: number
}

export function sharesOf({ peak, beside, overload }: Figures): Shares {
  return {
    share: goodputOf(overload) / bestOf(peak, goodputOf),
    perCpuShare: perCpuSecond(overload) / perCpuSecond(beside),
    perCpuShareOfPeak: perCpuSecond(overload) / bestOf(peak, perCpuSecond),
  }
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
