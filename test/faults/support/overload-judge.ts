import type { LoadResult } from './overload-load.ts'
import type { Summary } from './overload-times.ts'

/** What a load came to, with what the service and the database used for it. */
export interface Measured {
  load: LoadResult
  /** Of the service and all members, in the measured time. */
  cpuS: number
}

export interface Figures {
  /** Before the overload and after it. */
  peak: readonly Measured[]
  /** The same two times, with all that is idle, slow or half-sent beside as many connections. */
  beside: readonly Measured[]
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
  /** Of the better peak's messages a second. */
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
  perCpuShare: 0.9,
}

/** Twice as many: they wait for as long as so many messages take, and so many refusals of first requests, at once. */
export const excessBars: Bars = {
  // 6,000 in a row, at 0.2 to 0.4 ms each: 1.2 to 2.3 s were measured.
  refusedP99Ms: 3_000,
  refusedMax: 12_000,
  acceptedP99Ms: 4_000,
  goodputShare: 0.6,
  perCpuShare: 0.7,
}

export const bounds = {
  recoveryS: 5,
  // What `ops/compose.yaml` gives an instance.
  rssMb: 1_280,
}

const refusals = new Set(['503 OVERLOADED', '429 RATE_LIMITED'])
// Of the rate before, in a second; and of the worst second's p99 before.
const normalRate = 0.8
const normalP99 = 2
// Nobody notices less: ten slow answers of a thousand do not make a second bad.
const noticedMs = 100
// One good second between bad ones is not back.
const normalSeconds = 3

export function goodputOf({ load: { accepted, durationMs } }: Measured): number {
  return (1000 * accepted.count) / durationMs
}

/** Of all of them together. */
export function perCpuSecond(...measured: readonly Measured[]): number {
  const accepted = measured.reduce((sum, { load }) => sum + load.accepted.count, 0)
  return accepted / measured.reduce((sum, { cpuS }) => sum + cpuS, 0)
}

/** Whole seconds from the end of the overload until some in a row are as before; `undefined`: never. */
export function recoverySeconds(before: Summary, after: Summary): number | undefined {
  const rate = before.count / before.seconds.length
  const p99Ms = Math.max(noticedMs, ...before.seconds.map((second) => normalP99 * second.p99Ms))
  const isNormal = after.seconds.map((second) => second.count >= normalRate * rate && second.p99Ms <= p99Ms)
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
  /** Of the better peak's messages a second. */
  share: number
  /** Messages for a second of CPU: of those beside the same others, and of the peak's without any. */
  perCpuShare: number
  perCpuShareOfPeak: number
}

export function sharesOf({ peak, beside, overload }: Figures): Shares {
  return {
    share: goodputOf(overload) / Math.max(...peak.map(goodputOf)),
    perCpuShare: perCpuSecond(overload) / perCpuSecond(...beside),
    perCpuShareOfPeak: perCpuSecond(overload) / perCpuSecond(...peak),
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
