import { setTimeout as pause } from 'node:timers/promises'
import type { Scenario } from '../scenario.ts'
import { underLoad } from '../support/under-load.ts'

// Shorter than the election time-out of 2 s, after which it would step down by itself.
const aloneMs = 1_500

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
    // What it alone has taken is rolled back when it comes again: nothing of that may have been acknowledged.
    name: 'primary killed after a time alone, both secondaries paused',
    run: (stage) =>
      underLoad(stage, {}, async (load) => {
        while (load.goesOn()) {
          const primary = await stage.members.primary()
          const others = stage.members.all.filter(({ port }) => port !== primary.port)
          load.strikes(`${primary.name} is left alone`)
          for (const other of others) stage.members.pause(other)
          await pause(aloneMs)
          await stage.members.kill(primary)
          for (const other of others) stage.members.resume(other)
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
  {
    name: 'primary paused, and resumed when another is in its place',
    run: (stage) =>
      underLoad(stage, {}, async (load) => {
        while (load.goesOn()) {
          const primary = await stage.members.primary()
          load.strikes(`${primary.name} is paused`)
          stage.members.pause(primary)
          await load.recovers()
          // It wakes as one that takes itself for the primary, with commands in its sockets that everybody has given up.
          stage.members.resume(primary)
          await stage.members.heal()
          await load.recovers()
        }
      }),
  },
  {
    name: 'a secondary paused',
    run: (stage) =>
      underLoad(stage, {}, async (load) => {
        while (load.goesOn()) {
          const secondary = await stage.members.secondary()
          load.strikes(`${secondary.name} is paused`)
          stage.members.pause(secondary)
          await pause(5_000)
          stage.members.resume(secondary)
          await stage.members.heal()
        }
      }),
  },
]
