import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { eventually } from '../support/eventually.ts'
import { failed, reportOf } from './report.ts'
import type { Outcome, Stage } from './scenario.ts'
import { chartOf, type SoakCourse } from './soak/chart.ts'
import { brokenBy, growthOf, leftOpen, toldGrowth } from './soak/leaks.ts'
import { type Sample, sampleDatabase, sampleProcesses } from './soak/samples.ts'
import { keepSampling } from './soak/sampling.ts'
import { type TroubleDeps, troubles } from './soak/trouble.ts'
import { defects } from './support/answers.ts'
import { countUp } from './support/count.ts'
import { findAll } from './support/find-all.ts'
import { layFloor } from './support/floor.ts'
import { closeConnections } from './support/http.ts'
import { seedPeople } from './support/people.ts'
import { startProgress } from './support/progress.ts'
import { longestGapMs, rateOf, recoveryMs } from './support/rate.ts'
import { openStage } from './support/stage.ts'
import { type Mix, startTraffic } from './support/traffic.ts'
import { startWire } from './support/wire.ts'

/** `npm run soak`: everything that people send, for long, with a fault every minute; then every message is counted. */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    clients: { type: 'string', default: '24' },
    json: { type: 'string' },
    chart: { type: 'string' },
  },
})
const totalMs = Number(values.minutes) * 60_000
const clients = Number(values.clients)
// A fault a minute; in a short run each kind still comes once.
const faultEveryMs = Math.min(60_000, totalMs / (troubles.length + 0.5))
const faultLastsMs = Math.min(10_000, faultEveryMs / 2)
const clientPauseMs = 150
// An upload may be held for two minutes after a fault: in a short run nobody waits so long for the last of them.
const isShort = totalMs < 300_000
const shortDrainMs = 10_000
// A transaction that nobody ends lasts for 10 s here, and the server looks every 5 s.
const settleTimeoutMs = 30_000
const mix: Mix = {
  ...{ text: 0.5, hot: 0.15, first: 0.1, media: 0.08, once: 0.05, 'media once': 0.04 },
  ...{ blocked: 0.04, 'unknown receiver': 0.02, 'bad token': 0.02 },
}

const progress = startProgress()

async function main(): Promise<void> {
  const { members, services, clear: clearAll } = await layFloor(progress)
  const course: SoakCourse = { samples: [], faults: [] }
  try {
    const { stage, clear } = await openStage({ members, services, progress, seconds: totalMs / 1000 }, 'soak')
    const outcome = await soak(stage, course).catch(failed)
    await clear()
    await report(outcome, course)
  } finally {
    await clearAll()
  }
}

async function soak(stage: Stage, course: SoakCourse): Promise<Outcome> {
  const people = await seedPeople(stage.db, { senders: clients })
  const wires = [await startWire(), await startWire()]
  const services = await Promise.all(
    wires.map((wire) => stage.startService({ env: { MONGODB_URI: stage.mongodbUri(wire.uriOptions) } })),
  )
  let next = 0
  const nextUrl = (): string => services[next++ % services.length]?.url ?? ''
  const traffic = startTraffic(
    { people, storage: stage.storage, nextUrl },
    { clients, pauseMs: clientPauseMs, mix, ...(isShort ? { drainMs: shortDrainMs } : {}) },
  )
  stage.onEnd(() => traffic.abandon())
  for (const wire of wires) stage.onEnd(() => wire.close())
  const startedAtMs = performance.now()

  const look = async (): Promise<Pick<Sample, 'processes' | 'database'>> => ({
    processes: await sampleProcesses(services),
    database: await sampleDatabase(stage.members),
  })
  const sampling = keepSampling(traffic, course.samples, look, progress.tell)
  await strikeInTurn({ stage, services, wires, lastsMs: faultLastsMs }, course, startedAtMs)
  const untilMs = performance.now()
  progress.say('waiting for the last answers')
  await traffic.stop()
  await sampling.stop()
  closeConnections()

  // Who still holds something lets go of it within the transactions' own limit; what is left then is told as broken below.
  const isSettled = async (): Promise<boolean> => (await sampleDatabase(stage.members)).openTransactions === 0
  await eventually(isSettled, settleTimeoutMs, 500).catch(() => {})
  const { ledger } = traffic
  const found = await findAll(stage.db, stage.storage)
  const { broken, ...count } = countUp(ledger.entries, found, { held: isShort ? 'is allowed' : 'is broken' })
  const held = ledger.entries.filter(
    ({ isHeld, acknowledged }) => isHeld && acknowledged === undefined,
  ).length
  const growth = growthOf(course.samples)
  const database = await sampleDatabase(stage.members)
  const { unanswered, unavailable, answers } = ledger.tries
  return {
    ...count,
    unanswered,
    unavailable,
    longestGapS: longestGapMs(ledger.acknowledgedAtMs, startedAtMs, untilMs) / 1000,
    recoveryS: slowestRecoveryMs(ledger.acknowledgedAtMs, course, startedAtMs, untilMs) / 1000,
    broken: [...broken, ...defects(answers), ...leftOpen(database), ...brokenBy(growth)],
    notes: [
      `answers: ${Object.entries(answers)
        .map(([name, times]) => `${times} × ${name}`)
        .join(', ')}`,
      `left at the members: ${JSON.stringify(database)}`,
      `${held} uploads still held when the clients stopped`,
      ...growth.map(toldGrowth),
      ...(growth.length === 0
        ? ['too short to tell whether memory grows: that takes 15 minutes of one process']
        : []),
    ],
  }
}

/** To 80 % of what it was in the seconds before the fault; where the next fault came first, until then. */
function slowestRecoveryMs(
  acks: readonly number[],
  { faults }: SoakCourse,
  startedAtMs: number,
  endMs: number,
): number {
  const beforeMs = 5_000
  const each = faults.map(({ fromS }, nth) => {
    const faultMs = startedAtMs + fromS * 1000
    const next = faults[nth + 1]
    const untilMs = next ? startedAtMs + next.fromS * 1000 : endMs
    const before = rateOf(acks, Math.max(startedAtMs, faultMs - beforeMs), faultMs)
    return recoveryMs(acks, { faultMs, untilMs, before }) ?? untilMs - faultMs
  })
  return Math.max(0, ...each)
}

async function strikeInTurn(deps: TroubleDeps, { faults }: SoakCourse, startedAtMs: number): Promise<void> {
  const end = startedAtMs + totalMs
  const sinceS = (): number => (performance.now() - startedAtMs) / 1000
  for (let nth = 0; ; nth++) {
    const at = startedAtMs + (nth + 0.5) * faultEveryMs
    if (at + faultLastsMs >= end) break
    await pause(Math.max(0, at - performance.now()))
    const trouble = troubles[nth % troubles.length]
    if (!trouble) break
    const fault = { what: trouble.what, fromS: sinceS(), untilS: 0 }
    faults.push(fault)
    progress.say(`${fault.fromS.toFixed(0)} s: ${trouble.what}`)
    await trouble.strike(deps)
    fault.untilS = sinceS()
  }
  await pause(Math.max(0, end - performance.now()))
}

async function report(outcome: Outcome, { samples, faults }: SoakCourse): Promise<void> {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}, three members`
  const name = `soak of ${values.minutes} min, ${faults.length} faults`
  process.stdout.write(`\n${machine}\n\n${reportOf([{ name, outcome }])}\n`)
  const held = outcome.broken.length === 0
  process.stdout.write(held ? '\n1 held, 0 broken\n' : '\n0 held, 1 broken\n')
  if (values.json) {
    const json = { machine, minutes: Number(values.minutes), clients, outcome, faults, samples }
    await writeFile(values.json, `${JSON.stringify(json, null, 2)}\n`)
  }
  if (values.chart) await writeFile(values.chart, chartOf({ samples, faults }, `${name}; ${machine}`))
  if (!held) process.exitCode = 1
}

await main()
process.exit()
