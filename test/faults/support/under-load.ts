import { setTimeout as pause } from 'node:timers/promises'
import type { Outcome, Stage } from '../scenario.ts'
import { defects } from './answers.ts'
import { countUp } from './count.ts'
import { findAll } from './find-all.ts'
import { type People, seedPeople } from './people.ts'
import { startProbe } from './probe.ts'
import { longestGapMs, rateOf, recoveryMs } from './rate.ts'
import type { ServiceProcess } from './services.ts'
import { type Mix, startTraffic, type Traffic } from './traffic.ts'

export interface LoadOptions {
  clients?: number
  pauseMs?: number
  mix?: Mix
  processes?: number
  /** Which of the processes get traffic, by their numbers; all unless told. */
  trafficTo?: readonly number[]
  /** More options of the database's address, for each process in turn. */
  uriOptions?: readonly Record<string, string>[]
}

/** What a scenario does its faults to. */
export interface Load {
  readonly people: People
  readonly services: readonly ServiceProcess[]
  readonly traffic: Traffic
  /** Messages a second before the first fault. */
  readonly before: number
  /** Says that a fault strikes now. */
  strikes(what: string): void
  /** Waits until the rate is back. */
  recovers(): Promise<void>
  /** True until the time that was asked for is over, and three rounds are done. */
  goesOn(): boolean
  note(line: string): void
  breaks(sentence: string): void
}

// Connections, caches and compiled code are there after some seconds; the rest is what `before` is measured over.
const warmUpMs = 4_000
const measuredMs = 4_000
const recoveryTimeoutMs = 90_000
const roundsMin = 3

/** Two processes of the service and moderate traffic, before, during and after the faults; then the count. */
export async function underLoad(
  stage: Stage,
  options: LoadOptions,
  strike: (load: Load) => Promise<void>,
): Promise<Outcome> {
  const { clients = 32, pauseMs = 80, processes = 2, mix, uriOptions = [] } = options
  const people = await seedPeople(stage.db, { senders: clients })
  const services = await Promise.all(
    Array.from({ length: processes }, (_, nth) => {
      const MONGODB_URI = stage.mongodbUri(uriOptions[nth])
      return stage.startService({ env: { MONGODB_URI } })
    }),
  )
  let next = 0
  const reached = services.filter((_, nth) => options.trafficTo?.includes(nth) ?? true)
  const nextUrl = (): string => reached[next++ % reached.length]?.url ?? ''
  const traffic = startTraffic(
    { people, storage: stage.storage, nextUrl },
    { clients, pauseMs, ...(mix ? { mix } : {}) },
  )
  stage.onEnd(() => traffic.abandon())
  const probe = startProbe(stage.members, stage.db.databaseName)
  stage.onEnd(() => probe.stop())
  const acks = traffic.ledger.acknowledgedAtMs
  await pause(warmUpMs)
  const countFrom = performance.now()
  await pause(measuredMs)
  const before = rateOf(acks, countFrom, performance.now())

  const faultsMs: number[] = []
  const broken: string[] = []
  const notes: string[] = []
  const end = performance.now() + stage.seconds * 1000
  await strike({
    people,
    services,
    traffic,
    before,
    strikes(what) {
      faultsMs.push(performance.now())
      stage.progress.tell(`${what}; ${acks.length} acknowledged`)
    },
    recovers: () => untilBack(acks, before),
    goesOn: () => faultsMs.length < roundsMin || performance.now() < end,
    note: (line) => void notes.push(line),
    breaks: (sentence) => void broken.push(sentence),
  })
  const countUntil = performance.now()
  stage.progress.tell('waiting for the last answers')
  await traffic.stop()

  const { tries, entries } = traffic.ledger
  const { broken: miscounted, ...count } = countUp(entries, await findAll(stage.db, stage.storage))
  const recoveries = faultsMs.map((faultMs, index) =>
    recoveryMs(acks, { faultMs, untilMs: faultsMs[index + 1] ?? countUntil, before }),
  )
  const back = recoveries.filter((each) => each !== undefined)
  const bareGapMs = longestGapMs(probe.atMs, countFrom, countUntil)
  const answers = Object.entries(tries.answers).map(([name, times]) => `${times} × ${name}`)
  return {
    ...count,
    unanswered: tries.unanswered,
    unavailable: tries.unavailable,
    longestGapS: longestGapMs(acks, countFrom, countUntil) / 1000,
    recoveryS: back.length === recoveries.length ? Math.max(0, ...back) / 1000 : undefined,
    broken: [...miscounted, ...defects(tries.answers), ...broken],
    notes: [
      `${faultsMs.length} faults at ${before.toFixed(0)} messages/s, back after ${recoveries.map(told).join(', ')}`,
      `bare majority writes meanwhile: longest gap ${seconds(bareGapMs)}, slow for ${seconds(probe.slowMs())}`,
      `answers: ${answers.join(', ')}; the slowest after ${seconds(tries.slowestMs)}`,
      ...notes,
    ],
  }
}

async function untilBack(acks: readonly number[], before: number): Promise<void> {
  const end = performance.now() + recoveryTimeoutMs
  // A fault is not felt at once: the first seconds say nothing.
  await pause(3_000)
  while (performance.now() < end) {
    const now = performance.now()
    if (rateOf(acks, now - 1_000, now) >= 0.8 * before) return
    await pause(100)
  }
}

function told(ms: number | undefined): string {
  return ms === undefined ? 'never' : seconds(ms)
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
