import { setTimeout as pause } from 'node:timers/promises'
import type { Outcome, Scenario, Stage } from '../scenario.ts'
import { underLoad } from '../support/under-load.ts'
import { startWire, type Wire } from '../support/wire.ts'

// Longer than the driver's 10 s of patience with a silent member would be the same again; this is two of its heartbeats,
// its selection of a server, and two attempts.
const cutMs = 6_000

/** One of two processes has lost its way to the primary, and to nobody else; the other has not. */
export const scenarios: Scenario[] = [
  {
    name: 'one process cut off from the primary: refused',
    run: (stage) => cutOffOne(stage, (wire, port) => wire.cut(port)),
  },
  {
    name: 'one process cut off from the primary: silent, and what was sent arrives later',
    run: (stage) => cutOffOne(stage, (wire, port) => wire.freeze(port)),
  },
]

async function cutOffOne(stage: Stage, cutOff: (wire: Wire, port: number) => void): Promise<Outcome> {
  const wire = await startWire()
  stage.onEnd(() => wire.close())
  return await underLoad(stage, { uriOptions: [wire.uriOptions] }, async (load) => {
    while (load.goesOn()) {
      const primary = await stage.members.primary()
      load.strikes(`the first process is cut off from ${primary.name}`)
      cutOff(wire, primary.port)
      await pause(cutMs)
      wire.mend()
      await load.recovers()
    }
  })
}
