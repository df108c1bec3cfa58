import { setTimeout as pause } from 'node:timers/promises'
import type { Stage } from '../scenario.ts'
import type { ServiceProcess } from '../support/services.ts'
import type { Wire } from '../support/wire.ts'

export interface TroubleDeps {
  stage: Stage
  services: readonly ServiceProcess[]
  wires: readonly Wire[]
  /** How long one goes on that ends by itself. */
  lastsMs: number
}

export interface Trouble {
  what: string
  /** Resolves when its cause is gone, and all members run. */
  strike(deps: TroubleDeps): Promise<void>
}

// Until an orchestrator has started a process again.
const restartMs = 2_000

/** In this order, again and again. The killed process first: what it held is held longest, for a minute and a half. */
export const troubles: readonly Trouble[] = [
  {
    what: 'a service process killed',
    // Always the second: the first lives through all of it, so that its memory can be compared.
    async strike({ services }) {
      await services[1]?.kill()
      await pause(restartMs)
      await services[1]?.start()
    },
  },
  {
    what: 'the primary killed',
    async strike({ stage: { members } }) {
      const primary = await members.primary()
      await members.kill(primary)
      await members.primary()
      await members.restart(primary)
      await members.heal()
    },
  },
  {
    what: 'the storage silent',
    async strike({ stage: { storage }, lastsMs }) {
      const end = storage.faults.on(() => true, { kind: 'hang' })
      await pause(lastsMs)
      end()
    },
  },
  {
    what: 'the primary stepped down',
    async strike({ stage: { members } }) {
      await members.stepDown()
    },
  },
  {
    what: 'the primary paused',
    async strike({ stage: { members }, lastsMs }) {
      const primary = await members.primary()
      members.pause(primary)
      await pause(lastsMs)
      members.resume(primary)
      await members.heal()
    },
  },
  {
    what: 'the storage failing (503)',
    async strike({ stage: { storage }, lastsMs }) {
      const end = storage.faults.on(() => true, { kind: 'status', status: 503 })
      await pause(lastsMs)
      end()
    },
  },
  {
    what: 'all connections to the database cut',
    async strike({ stage: { members }, wires }) {
      for (const wire of wires) {
        for (const { port } of members.all) wire.cut(port)
        wire.mend()
      }
    },
  },
  {
    what: 'a secondary paused',
    async strike({ stage: { members }, lastsMs }) {
      const secondary = await members.secondary()
      members.pause(secondary)
      await pause(lastsMs)
      members.resume(secondary)
      await members.heal()
    },
  },
]
