import { type Figures, goodputOf, type Measured, perCpuSecond, percent, sharesOf } from './overload-judge.ts'
import type { NuisanceReport } from './overload-nuisances.ts'
import type { Summary } from './overload-times.ts'

export interface Beside {
  /** Of the service, in MB. */
  rss: { idle: number; peak: number; most: number; after: number }
  nuisance: NuisanceReport
}

const times = ['before', 'after']

/** The figures, told below the table. */
export function notesOf(figures: Figures, { rss, nuisance }: Beside): string[] {
  const { peak, beside, overload, politeBefore, politeAfter } = figures
  const { refused, accepted, answers, lagP99Ms, lagMaxMs, cpuS, durationMs, connectMs } = overload.load
  const { share, perCpuShare, perCpuShareOfPeak } = sharesOf(figures)
  return [
    ...peak.map((each, nth) => `peak, ${times[nth]}: ${toldLoad(each)}`),
    ...beside.map((each, nth) => `beside the others, ${times[nth]}: ${toldLoad(each)}`),
    `overload: all connections open after ${ms(connectMs)}`,
    `overload: ${toldLoad(overload)}`,
    `goodput ${percent(share)} of the peak; per CPU second ${percent(perCpuShare)} of that beside the same others, ` +
      `${percent(perCpuShareOfPeak)} of the peak`,
    `refused: ${rateOf(refused, durationMs)}/s, ${toldTimes(refused)}`,
    `accepted: ${toldTimes(accepted)}, longest gap ${ms(accepted.longestGapMs)}`,
    `the generator, in these times: its event loop late by ${ms(lagP99Ms)} (p99), ${ms(lagMaxMs)} (most), ` +
      `${cpuS.toFixed(1)} s of CPU`,
    `answers: ${told(answers, (count) => `${count}`)}`,
    `memory: ${rss.idle.toFixed(0)} MB idle, ${rss.peak.toFixed(0)} after the peak, ${rss.most.toFixed(0)} at most, ` +
      `${rss.after.toFixed(0)} after`,
    `held open: ${told(nuisance.open, (count, name) => `${count.toFixed(0)} (opened ${of(nuisance.opened, name)} times)`)}`,
    `a new connection, until /health/live was answered on it: ${toldWaits(nuisance.newcomersMs)}`,
    `they were answered: ${told(nuisance.answers, (count) => `${count}`)}`,
    `polite, before: ${toldSeconds(politeBefore)}`,
    `polite, from the end of the overload: ${toldSeconds(politeAfter)}`,
  ]
}

function toldLoad(measured: Measured): string {
  const { load, cpuS } = measured
  const connections = `${goodputOf(measured).toFixed(0)} messages/s`
  const cores = (1000 * cpuS) / load.durationMs
  return `${connections}, ${perCpuSecond(measured).toFixed(0)} a CPU second (${cores.toFixed(2)} cores), ${toldTimes(load.accepted)}`
}

function toldTimes({ count, p50Ms, p99Ms, maxMs }: Summary): string {
  return `${count} answers, p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, longest ${ms(maxMs)}`
}

function toldWaits(waits: readonly number[]): string {
  const sorted = waits.toSorted((a, b) => a - b)
  return `${sorted.length} times, p50 ${ms(sorted[sorted.length >> 1] ?? 0)}, longest ${ms(sorted.at(-1) ?? 0)}`
}

function toldSeconds({ seconds }: Summary): string {
  return seconds.map(({ count, p99Ms }) => `${count} (p99 ${ms(p99Ms)})`).join(', ')
}

function told<V>(counts: Record<string, V>, say: (value: V, name: string) => string): string {
  return Object.entries(counts)
    .map(([name, value]) => `${say(value, name)} × ${name}`)
    .join(', ')
}

function of(counts: Record<string, number>, name: string): number {
  return counts[name] ?? 0
}

function rateOf({ count }: Summary, durationMs: number): string {
  return ((1000 * count) / durationMs).toFixed(0)
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`
}
