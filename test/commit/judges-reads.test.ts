import type { CommandStartedEvent, Document } from 'mongodb'
import { ObjectId } from 'mongodb'
import t, { type Test } from 'tap'
import { type Draft, messageOf } from '../../src/send-message/draft.ts'
import { nameOf, readFor } from '../../src/send-message/judge.ts'
import { draft, startFeature } from '../support/feature.ts'
import type { Person } from '../support/people.ts'

// What is read for a batch: all that its checks look at, nothing of anybody else, and nothing more than they need.

const feature = await startFeature(t, { monitorCommands: true })
const { client, db } = feature
const signal = AbortSignal.timeout(60_000)

/** What was asked of the database meanwhile, by collection, and how many of it were under way at once. */
async function asked(
  t: Test,
  work: () => Promise<unknown>,
): Promise<{ finds: Document[]; atOnceMax: number }> {
  const finds: Document[] = []
  const underWay = new Set<number>()
  let atOnceMax = 0
  const onStart = ({ commandName, command, requestId }: CommandStartedEvent): void => {
    if (commandName !== 'find') return
    finds.push(command)
    underWay.add(requestId)
    atOnceMax = Math.max(atOnceMax, underWay.size)
  }
  const onEnd = ({ requestId }: { requestId: number }): void => void underWay.delete(requestId)
  const off = (): void => {
    client.off('commandStarted', onStart).off('commandSucceeded', onEnd)
  }
  client.on('commandStarted', onStart).on('commandSucceeded', onEnd)
  t.teardown(off)
  await work()
  off()
  return { finds, atOnceMax }
}

function of(finds: readonly Document[], collection: string): Document {
  return finds.find(({ find }) => find === collection) ?? {}
}

async function stored(each: Draft): Promise<void> {
  await db.collection('messages').insertOne(messageOf(each, [], new Date(0)))
}

t.test('only those who write, are written to, or block between them are read', async (t) => {
  const [alice, bob] = await feature.two()
  const [carol, dave] = await feature.two()
  await bob.blocks(alice)
  await dave.blocks(carol)
  await dave.blocks(alice)
  const drafts = [draft(alice, bob, { key: 'k' }), draft(bob, alice)]
  await stored(draft(alice, bob, { key: 'k' }))
  await stored(draft(alice, bob, { key: 'another' }))
  await stored(draft(bob, alice, { key: 'k' }))
  await stored(draft(alice, carol, { key: 'k' }))
  await stored(draft(alice, bob))

  const reads = await readFor(db, drafts, { signal })

  const [a, b] = [alice, bob].map(({ id }) => id.toHexString()) as [string, string]
  t.strictSame(new Set(reads.users.keys()), new Set([a, b]))
  t.strictSame(new Set(reads.devices.keys()), new Set(drafts.map(({ deviceId }) => deviceId)))
  t.strictSame([...reads.blocks], [`${b}:${a}`])
  t.strictSame([...reads.finished.keys()], drafts.slice(0, 1).map(nameOf))
})

t.test('without a key no message is read', async (t) => {
  const [alice, bob] = await feature.two()
  await stored(draft(alice, bob, { key: 'k' }))

  const { finds } = await asked(t, async () => {
    const reads = await readFor(db, [draft(alice, bob)], { signal })
    t.equal(reads.finished.size, 0)
  })

  t.strictSame(new Set(finds.map(({ find }) => find)), new Set(['blocks', 'users', 'devices']))
})

t.test('of accounts, devices and blocks no other field is read', async (t) => {
  const [alice, bob] = await feature.two()
  await db.collection('devices').updateOne({ _id: alice.deviceId }, { $set: { secret: 'x' } })

  const { finds } = await asked(t, async () => {
    const reads = await readFor(db, [draft(alice, bob)], { signal })
    t.strictSame(Object.keys(reads.devices.get(alice.deviceId.toHexString()) ?? {}), [
      '_id',
      'userId',
      'trusted',
    ])
  })

  t.strictSame(of(finds, 'users').projection, { status: 1 })
  t.strictSame(of(finds, 'blocks').projection, { _id: 0, blockerId: 1, blockedId: 1 })
})

t.test('blocks and keys are read by eight pairs a branch, each pair in one', async (t) => {
  const drafts = (count: number): Draft[] =>
    Array.from({ length: count }, () => draft(stranger(), stranger(), { key: 'k' }))
  const branchesOf = async (count: number): Promise<number[][]> => {
    const { finds } = await asked(t, () => readFor(db, drafts(count), { signal }))
    return ['blocks', 'messages'].map((name) =>
      of(finds, name).filter.$or.map((branch: Document) => (branch.blockerId ?? branch.senderId).$in.length),
    )
  }

  t.strictSame(await branchesOf(1), [[2], [1]])
  t.strictSame(await branchesOf(8), [[16], [8]])
  t.strictSame(await branchesOf(17), [
    [16, 16, 2],
    [8, 8, 1],
  ])
})

function stranger(): Person {
  return { id: new ObjectId(), deviceId: new ObjectId() } as Person
}

t.test('a transaction has one command at a time, and what is read beside it goes at once', async (t) => {
  const [alice, bob] = await feature.two()
  const drafts = [draft(alice, bob, { key: 'k' })]
  const session = client.startSession()
  t.teardown(() => session.endSession())

  const inside = await asked(t, () => session.withTransaction(() => readFor(db, drafts, { session, signal })))
  const beside = await asked(t, () =>
    session.withTransaction(() => readFor(db, drafts, { session, signal }, { readConcern: 'local', signal })),
  )

  t.equal(inside.atOnceMax, 1)
  t.ok(inside.finds.every(({ autocommit }) => autocommit === false))
  t.strictSame(
    inside.finds.map(({ find }) => find),
    ['blocks', 'users', 'devices', 'messages'],
  )
  t.equal(beside.atOnceMax, 3)
  t.equal(beside.finds[0]?.find, 'blocks', 'the transaction begins before what is read beside it')
  t.strictSame(
    new Set(beside.finds.filter(({ autocommit }) => autocommit === undefined).map(({ find }) => find)),
    new Set(['users', 'devices']),
  )
})
