import t from 'tap'
import type { Person } from '../support/people.ts'
import { type Bar, type Send, unexplained } from '../support/race/history.ts'
import { type Lane, putUp, startTraffic } from '../support/race/lanes.ts'
import { startService } from '../support/service.ts'

const env = { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'warn' }
const service = await startService(t, { env })
const other = await startService(t, { env, mongodbUri: service.mongodbUri, storage: service.storage })
const { db } = service
const acknowledged = { writeConcern: { w: 'majority' } } as const

// So many from each lane on each side of a change.
const messages = 4

async function two(): Promise<[Person, Person]> {
  return [await service.person(), await service.person()]
}

/** Texts and pictures on both instances. */
function lanesFrom(sender: Person, receiver: Person): Lane[] {
  return [service, other].flatMap(({ url }) => [
    { sender, receiver, options: { via: url } },
    { sender, receiver, options: { via: url }, uploads: 1 },
  ])
}

/** Traffic before, while and after a bar is there. */
async function raced(lanes: readonly Lane[], up: () => ReturnType<typeof putUp>): Promise<[Send[], Bar]> {
  const traffic = startTraffic(service, lanes)
  try {
    await traffic.goesOn(messages)
    const there = await up()
    await traffic.goesOn(messages)
    const bar = await there.lift()
    await traffic.goesOn(messages)
    return [await traffic.ends(), bar]
  } finally {
    await traffic.ends()
  }
}

/** So that no test passes because nothing met. */
function met(sends: readonly Send[], { acknowledgedAt, liftedFrom, goneAt }: Bar): Record<string, boolean> {
  const barred = sends.filter(({ beganAt, endedAt }) => acknowledgedAt < beganAt && endedAt < liftedFrom)
  return {
    before: sends.some(({ endedAt, isStored }) => endedAt < acknowledgedAt && isStored),
    across: sends.some(({ beganAt, endedAt }) => beganAt < acknowledgedAt && endedAt > acknowledgedAt),
    barred: barred.length > 0 && barred.every(({ isStored }) => !isStored),
    after: sends.some(({ beganAt, isStored }) => beganAt > goneAt && isStored),
  }
}

const allMet = { before: true, across: true, barred: true, after: true }

t.test('a block, by either of the two, while both send on', async (t) => {
  const pairs = await Promise.all(Array.from({ length: 3 }, two))

  const histories = await Promise.all(
    pairs.map(([alice, bob], index) => {
      const [blocker, blocked] = index % 2 === 0 ? [alice, bob] : [bob, alice]
      const block = { blockerId: blocker.id, blockedId: blocked.id }
      return raced([...lanesFrom(alice, bob), ...lanesFrom(bob, alice)], () =>
        putUp('BLOCKED_RELATIONSHIP', {
          up: () => blocker.blocks(blocked),
          down: () => db.collection('blocks').deleteMany(block, acknowledged),
        }),
      )
    }),
  )

  for (const [sends, bar] of histories) {
    t.strictSame(unexplained(sends, [bar]), [])
    t.strictSame(met(sends, bar), allMet)
  }
})

const devices = db.collection('devices')
const ofSenders = [
  {
    what: 'a suspension',
    code: 'ACCOUNT_SUSPENDED',
    up: (alice: Person) => alice.becomes('suspended'),
    down: (alice: Person) => alice.becomes('active'),
  },
  {
    what: 'a device’s distrust',
    code: 'DEVICE_NOT_TRUSTED',
    up: ({ deviceId }: Person) =>
      devices.updateOne({ _id: deviceId }, { $set: { trusted: false } }, acknowledged),
    down: ({ deviceId }: Person) =>
      devices.updateOne({ _id: deviceId }, { $set: { trusted: true } }, acknowledged),
  },
]

for (const { what, code, up, down } of ofSenders) {
  t.test(`${what} in the middle of batches bars its sender, and nobody who shares them`, async (t) => {
    const pairs = await Promise.all(Array.from({ length: 3 }, two))
    const beside = startTraffic(
      service,
      pairs.flatMap(([alice, bob]) => lanesFrom(bob, alice)),
    )

    const histories = await Promise.all(
      pairs.map(([alice, bob]) =>
        raced(lanesFrom(alice, bob), () => putUp(code, { up: () => up(alice), down: () => down(alice) })),
      ),
    )
    const others = await beside.ends()

    for (const [sends, bar] of histories) {
      t.strictSame(unexplained(sends, [bar]), [])
      t.strictSame(met(sends, bar), allMet)
    }
    t.strictSame(unexplained(others, []), [])
    t.ok(others.length > 0)
  })
}
