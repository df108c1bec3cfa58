import { setTimeout as pause } from 'node:timers/promises'
import type { Scenario } from '../scenario.ts'
import { underLoad } from '../support/under-load.ts'

/** What happens to the member that takes the writes. */
export const scenarios: Scenario[] = [
  {
    name: 'primary killed again and again',
    run: (stage) =>
      underLoad(stage, {}, async (load) => {
        while (load.goesOn()) {
          const primary = await stage.members.primary()
          load.strikes(`${primary.name} is killed`)
          await stage.members.kill(primary)
          await load.recovers()
          await stage.members.restart(primary)
          await stage.members.heal()
        }
      }),
  },
  {
    name: 'primary stepped down again and again',
    run: (stage) =>
      underLoad(stage, {}, async (load) => {
        while (load.goesOn()) {
          load.strikes('the primary steps down')
          await stage.members.stepDown()
          await load.recovers()
          await pause(1_000)
        }
      }),
  },
]
