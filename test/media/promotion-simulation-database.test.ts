import t from 'tap'
import type { MediaRecordDocument } from '../../src/collections.ts'
import { startFeature } from '../support/feature.ts'
import { letTimePass } from '../support/media.ts'
import { anyStep, type Side, sideOf } from '../support/simulation/beside.ts'
import { createDatabase } from '../support/simulation/database.ts'
import { createDice } from '../support/simulation/dice.ts'
import { createWorld } from '../support/simulation/world.ts'

const { db } = await startFeature(t)
const media = db.collection<MediaRecordDocument>('media')
const acknowledged = { writeConcern: { w: 'majority' } } as const

const histories = 40
const stepsPerHistory = 25

/** MongoDB itself. */
const real = sideOf(db, {
  all: () => media.find().sort({ _id: 1 }).toArray(),
  letTimePass: (ids) => letTimePass(db, ...ids),
})

/** The simulation's, by the clock of this process. */
function simulated(): { side: Side; now(): Date; keepUp(): void; defects: readonly string[] } {
  const world = createWorld({ seed: 1, breaks: [], counts: {} })
  const database = createDatabase(world)
  const documents = database.media as Map<string, unknown> as Map<string, MediaRecordDocument>
  const beganAt = performance.now()
  const side = sideOf(database.atOnce, {
    all: async () => [...documents.values()].sort((one, other) => (one._id < other._id ? -1 : 1)),
    async letTimePass(ids) {
      for (const id of ids) {
        const record = documents.get(id)
        if (record?.until) documents.set(id, { ...record, until: new Date(0) })
      }
    },
  })
  return {
    side,
    now: database.now,
    defects: world.violations,
    keepUp() {
      world.timeline.after(performance.now() - beganAt - world.timeline.nowMs, () => {})
      world.timeline.step()
    },
  }
}

/** Comparable: a lease by when it ends from now. */
function told(records: readonly MediaRecordDocument[], now: Date): unknown {
  return records.map(({ until, senderId, messageId, ...rest }) => ({
    ...rest,
    senderId: String(senderId),
    messageId: String(messageId),
    until: until && until.getTime() > 0 ? stepsTo(until, now) : until,
  }))
}

/** In steps of the shortest time that a record is given, which no history lasts. */
function stepsTo(until: Date, now: Date): number {
  return Math.max(0, Math.ceil((until.getTime() - now.getTime()) / 15_000))
}

t.test('the simulated database changes records as MongoDB does', async (t) => {
  const met = new Set<string>()
  for (let seed = 1; seed <= histories; seed += 1) {
    await media.deleteMany({}, acknowledged)
    const dice = createDice(seed)
    const { side, now, keepUp, defects } = simulated()
    for (let count = 0; count < stepsPerHistory; count += 1) {
      const step = anyStep(dice, await real.all(), `token ${seed}.${count}`)
      const expected = await step.on(real)
      keepUp()
      const actual = await step.on(side)
      const name = `history ${seed}, step ${count}: ${step.name}`
      t.strictSame(actual, expected, name)
      t.strictSame(told(await side.all(), now()), told(await real.all(), new Date()), name)
      if (!t.passing()) return
      for (const { state, uncertain } of await real.all()) met.add(`${state} ${uncertain ?? 'certain'}`)
    }
    t.strictSame(defects, [])
  }
  // That it went through every state, and every uncertainty of each.
  t.strictSame([...met].sort(), [
    'attached certain',
    'attached forward',
    'attached late',
    'promoting certain',
    'promoting forward',
    'undoing back',
    'undoing certain',
    'undoing forward',
    'undoing late',
    'undone back',
    'undone certain',
    'undone forward',
    'undone late',
  ])
})
