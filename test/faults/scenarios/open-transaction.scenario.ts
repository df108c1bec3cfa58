import { setTimeout as pause } from 'node:timers/promises'
import type { Outcome, Scenario, Stage } from '../scenario.ts'
import { sendTogether } from '../support/errands.ts'
import { latencyOf, toldLatency } from '../support/latency.ts'
import type { Entry } from '../support/ledger.ts'
import { type Load, underLoad } from '../support/under-load.ts'
import { startWire, type Wire } from '../support/wire.ts'

// Who waits for the open transaction waits for its 10 s, and for the server's look at what has expired (every 5 s). This
// is what a busy machine may take for anything else.
const bystanderMaxMs = 3_000
// Until the open transaction has ended, and a little longer.
const watchedMs = 20_000
// The messages of a batch that its process leaves open, of each kind.
const ofEach = 16

/** A process dies, or loses a connection, with its transaction open: only who wants the same documents may feel it. */
export const scenarios: Scenario[] = [
  {
    name: 'a process killed with its transaction open',
    // An upload that it had claimed is its own for a minute and a half.
    timeoutMs: 600_000,
    run: (stage) => killWithOpenTransaction(stage),
  },
  ...(['insert', 'commitTransaction'] as const).flatMap((command) => [
    {
      name: `a connection lost inside the transaction, at ${command}`,
      run: (stage: Stage) => loseConnections(stage, (wire) => wire.loses('request', command, { times: 1 })),
    },
    {
      name: `a connection lost inside the transaction, after ${command}`,
      run: (stage: Stage) => loseConnections(stage, (wire) => wire.loses('reply', command, { times: 1 })),
    },
  ]),
]

async function killWithOpenTransaction(stage: Stage): Promise<Outcome> {
  const wire = await startWire()
  stage.onEnd(() => wire.close())
  const mix = { text: 0.75, once: 0.1, first: 0.1, media: 0.05 }
  // The first process is the one that dies; the traffic of those who share nothing with it goes to the second.
  const options = { mix, uriOptions: [wire.uriOptions], trafficTo: [1] }
  return await underLoad(stage, options, async (load) => {
    const errands: Promise<void>[] = []
    for (let round = 0; round < 2; round++) {
      const { answered } = await leaveOpen(stage, load, wire, round)
      errands.push(answered)
      const fromMs = performance.now()
      await pause(watchedMs)
      judge(load, { fromMs, untilMs: performance.now() })
      await load.services[0]?.start()
    }
    await Promise.all(errands)
    const others = load.traffic.ledger.entries.filter(isOpen)
    const ofKind = (kinds: string[]): Entry[] => others.filter(({ kind }) => kinds.includes(kind))
    const ever = { fromMs: 0, untilMs: performance.now() }
    load.note(
      `who wants the same key or first message: ${toldLatency(latencyOf(ofKind(['text', 'first']), ever))}`,
    )
    load.note(`who wants the same upload: ${toldLatency(latencyOf(ofKind(['media']), ever))}`)
  })
}

/** `answered`: once those who wanted the same have it, from the other process. */
async function leaveOpen(
  stage: Stage,
  load: Load,
  wire: Wire,
  round: number,
): Promise<{ answered: Promise<void> }> {
  const [victim, other] = load.services
  const urlOf = (tryNumber: number): string => (tryNumber === 0 ? victim?.url : other?.url) ?? ''
  const deps = { people: load.people, storage: stage.storage, ledger: load.traffic.ledger, urlOf }
  // The first message goes alone, and the others gather while its commit is kept back: they are the batch after it.
  const first = wire.holds('commitTransaction')
  const answered = sendTogether(deps, { mark: `open-${round}`, ofEach })
  await first.held
  await pause(700)
  const second = wire.holds('commitTransaction')
  first.release()
  await second.held
  load.strikes('a process is killed with its transaction open')
  await victim?.kill()
  return { answered }
}

async function loseConnections(stage: Stage, lose: (wire: Wire) => void): Promise<Outcome> {
  const wire = await startWire()
  stage.onEnd(() => wire.close())
  return await underLoad(stage, { uriOptions: [wire.uriOptions] }, async (load) => {
    const fromMs = performance.now()
    while (load.goesOn()) {
      load.strikes('a connection is lost')
      lose(wire)
      await pause(2_000)
    }
    load.note(`${wire.lost()} connections lost`)
    if (wire.lost() === 0) load.breaks('no connection was lost, so nothing was shown')
    judge(load, { fromMs, untilMs: performance.now() })
  })
}

function judge(load: Load, time: { fromMs: number; untilMs: number }): void {
  const { entries } = load.traffic.ledger
  const bystanders = entries.filter((entry) => !isOpen(entry))
  const latency = latencyOf(bystanders, time)
  const before = latencyOf(bystanders, { fromMs: 0, untilMs: time.fromMs })
  load.note(`before: ${toldLatency(before)}`)
  load.note(`who shares nothing with it: ${toldLatency(latency)}`)
  for (const kind of new Set(bystanders.map((each) => each.kind))) {
    const ofKind = bystanders.filter((each) => each.kind === kind)
    load.note(`of these, ${kind}: ${toldLatency(latencyOf(ofKind, time))}`)
  }
  if (latency.maxMs > bystanderMaxMs)
    load.breaks(`who shares nothing with it waited ${latency.maxMs.toFixed(0)} ms`)
  const refused = bystanders.filter(({ sentAtMs, unavailable }) => sentAtMs > time.fromMs && unavailable > 0)
  if (refused.length > 0) load.breaks(`${refused.length} who share nothing with it were answered with 503`)
}

function isOpen({ mark }: Entry): boolean {
  return mark.startsWith('open')
}
