import { setTimeout as pause } from 'node:timers/promises'
import type { Scenario, Stage } from '../scenario.ts'
import { rateOf } from '../support/rate.ts'
import { type Load, underLoad } from '../support/under-load.ts'
import { startWire, type Wire } from '../support/wire.ts'

/** Begins a failing that goes on, and gives what ends it and tells how often it has struck. */
type Fail = (stage: Stage, wires: readonly Wire[]) => Promise<() => Promise<number>>

const commands = ['find', 'insert', 'update', 'commitTransaction'] as const
// A batch is five to seven commands, each of which can be hit: most batches are, many twice.
const share = 0.1

const writeConcernError = { code: 64, errmsg: 'waiting for replication timed out' }

/** Each command of the batch's transaction fails, in each way that it can. */
export const scenarios: Scenario[] = [
  ...commands.flatMap((command) => [
    scenario(`${command}: the connection closed before it`, failing(command, { closeConnection: true })),
    scenario(`${command}: the connection lost after it`, losingReplies(command)),
    scenario(`${command}: a write conflict`, failing(command, { errorCode: 112 })),
  ]),
  scenario(
    'commitTransaction: too late (UnknownTransactionCommitResult)',
    failing('commitTransaction', { errorCode: 50 }),
  ),
  scenario(
    'commitTransaction: done, but a majority did not say so',
    failing('commitTransaction', { writeConcernError }),
  ),
  scenario('commitTransaction: no longer the primary', failing('commitTransaction', { errorCode: 10107 })),
]

function scenario(name: string, fail: Fail): Scenario {
  return { name, run: (stage) => failShare(stage, fail) }
}

async function failShare(stage: Stage, fail: Fail): ReturnType<Scenario['run']> {
  const wires = [await startWire(), await startWire()]
  for (const wire of wires) stage.onEnd(() => wire.close())
  const uriOptions = wires.map((wire) => wire.uriOptions)
  return await underLoad(stage, { uriOptions }, async (load: Load) => {
    const acks = load.traffic.ledger.acknowledgedAtMs
    const from = performance.now()
    load.strikes('commands fail')
    const mend = await fail(stage, wires)
    await pause((stage.seconds * 1000) / 2)
    const struck = await mend()
    const during = rateOf(acks, from, performance.now())
    load.note(`${during.toFixed(0)} messages/s while ${struck} commands failed`)
    if (struck === 0) load.breaks('no command failed, so nothing was shown')
    await load.recovers()
  })
}

/** By the server's own fail point, before it carries the command out; a write concern's error is told after. */
function failing(command: string, how: Record<string, unknown>): Fail {
  return async ({ members }) => {
    await members.failCommand({ activationProbability: share }, { failCommands: [command], ...how })
    return () => members.mendCommands()
  }
}

/** No fail point does that: the wire lets the command through, and ends the connection when the answer comes. */
function losingReplies(command: string): Fail {
  return async (_stage, wires) => {
    const ends = wires.map((wire) => wire.loses('reply', command, { share }))
    return async () => {
      for (const end of ends) end()
      return wires.reduce((sum, wire) => sum + wire.lost(), 0)
    }
  }
}
