import { MongoClient, ObjectId } from 'mongodb'
import t, { type Test } from 'tap'
import type { MessageDocument } from '../../src/collections.ts'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { createCommitter } from '../../src/send-message/commit.ts'
import { pauseBeforeRepeat } from '../../src/send-message/pause.ts'
import { idsOf, newCommitter, storedIds } from '../support/commits.ts'
import { startDatabaseProxy } from '../support/database-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'

const feature = await startFeature(t, { ownServer: true, monitorCommands: true })
const { db, client, commitDeps } = feature
const messages = db.collection<MessageDocument>('messages')

const { two } = feature

type Fault = [commands: string[], how: Record<string, unknown>, times: number]

/** Six messages at once, plain and with keys, in a known and a new chat, while the database misbehaves. */
async function sixAreStoredOnce(t: Test, ...fault: Fault): Promise<void> {
  const [alice, bob] = await two()
  const carol = await feature.person()
  const { commit } = newCommitter(commitDeps)
  await commit(draft(bob, alice))
  await feature.failCommand(t, ...fault)

  const all = await Promise.all([
    commit(draft(alice, bob)),
    commit(draft(alice, bob)),
    commit(draft(alice, bob, { key: 'one' })),
    commit(draft(alice, bob, { key: 'other' })),
    commit(draft(alice, carol)),
    commit(draft(alice, carol, { key: 'one' })),
  ])

  const stored = await messages.find({ senderId: alice.id }).toArray()
  t.strictSame(stored.map(({ _id }) => _id.toHexString()).sort(), idsOf(all))
}

t.test('a write conflict is repeated', async (t) => {
  await sixAreStoredOnce(t, ['insert'], { errorCode: 112, errorLabels: ['TransientTransactionError'] }, 5)
})

t.test('a transaction that is gone is repeated', async (t) => {
  await sixAreStoredOnce(t, ['insert', 'update', 'find'], { errorCode: 251 }, 4)
})

t.test('a label decides where the code is not known', async (t) => {
  await sixAreStoredOnce(t, ['insert'], { errorCode: 9999, errorLabels: ['TransientTransactionError'] }, 2)
})

t.test('a connection that is cut before a command is made anew', async (t) => {
  await sixAreStoredOnce(t, ['insert', 'find'], { closeConnection: true }, 3)
})

t.test('a commit whose connection is cut is repeated', async (t) => {
  await sixAreStoredOnce(t, ['commitTransaction'], { closeConnection: true }, 3)
})

t.test('a commit that is never answered is repeated within the deadline', async (t) => {
  const proxy = await startDatabaseProxy(t, feature.uri)
  const throughProxy = new MongoClient(proxy.uri, { socketTimeoutMS: 10_000, monitorCommands: true })
  t.teardown(() => throughProxy.close())
  const deps = { ...commitDeps, client: throughProxy, db: throughProxy.db(db.databaseName) }
  const { commit } = createCommitter(deps)
  const [alice, bob] = await two()
  throughProxy.on('commandStarted', function freeze({ commandName }) {
    if (commandName !== 'commitTransaction') return
    throughProxy.off('commandStarted', freeze)
    proxy.freezeOpen()
  })

  const { message } = await commit(draft(alice, bob, {}, 7_500))

  t.strictSame(await storedIds(alice, bob), [message._id.toHexString()])
})

t.test('a commit that a stepping down member refuses is repeated', async (t) => {
  await sixAreStoredOnce(t, ['commitTransaction'], { errorCode: 189 }, 3)
})

t.test('a commit that was done, and not acknowledged by a majority, is not stored twice', async (t) => {
  const writeConcernError = { code: 64, errmsg: 'waiting for replication timed out' }
  await sixAreStoredOnce(t, ['commitTransaction'], { writeConcernError }, 3)
})

t.test('a commit of which only a label tells that it may have been done is not stored twice', async (t) => {
  const errorLabels = ['UnknownTransactionCommitResult']
  await sixAreStoredOnce(t, ['commitTransaction'], { errorCode: 9999, errorLabels }, 2)
})

t.test('a command of which only a label tells that it may be repeated is repeated', async (t) => {
  await sixAreStoredOnce(t, ['insert'], { errorCode: 9999, errorLabels: ['RetryableWriteError'] }, 2)
})

t.test(
  'a database that never answers as it should: DATABASE_UNAVAILABLE at the deadline, and no sooner',
  async (t) => {
    const [alice, bob] = await two()
    await feature.failCommand(t, ['commitTransaction'], { errorCode: 91 })
    const start = performance.now()

    const codes = await Promise.all([
      codeOf(newCommitter(commitDeps).commit(draft(alice, bob, {}, 500))),
      codeOf(newCommitter(commitDeps).commit(draft(alice, bob, { key: 'k' }, 600))),
    ])

    t.strictSame(codes, ['DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE'])
    t.ok(performance.now() - start >= 500)
  },
)

t.test(
  'what cannot be told apart goes alone, and what may be stored is not said to have failed',
  async (t) => {
    const [alice, bob] = await two()
    const { commit } = newCommitter(commitDeps)
    await feature.failCommand(t, ['commitTransaction'], { errorCode: 9999 }, 2)
    const alone = await codeOf(commit(draft(alice, bob)))
    await feature.failCommand(t, ['commitTransaction'], { errorCode: 9999 })
    const unnamed = await Promise.all([codeOf(commit(draft(alice, bob))), codeOf(commit(draft(alice, bob)))])

    t.equal(alone, 'INTERNAL_ERROR')
    t.strictSame(unnamed, ['INTERNAL_ERROR', 'INTERNAL_ERROR'])
  },
)

t.test('a commit that failed leaves nothing locked', async (t) => {
  const [alice, bob] = await two()
  const { commit } = newCommitter(commitDeps)
  await feature.failCommand(t, ['commitTransaction'], { errorCode: 9999 })
  const failed = await codeOf(commit(draft(alice, bob, { key: 'k' })))
  await feature.mendCommands()

  // The server itself would end the transaction only after its lifetime, a minute by default.
  const repeat = await codeOf(commit(draft(alice, bob, { key: 'k' }, 3_000)))

  t.strictSame([failed, repeat], ['INTERNAL_ERROR', 'OK'])
})

t.test(
  'what a commit has left open at a server that did not answer is ended as soon as it does',
  async (t) => {
    const [alice, bob] = await two()
    const { commit } = newCommitter(commitDeps)
    // Through connections of its own: each fault clears the client's.
    const other = new MongoClient(feature.uri)
    t.teardown(() => other.close())
    const open = async (): Promise<number> =>
      (await other.db('admin').command({ serverStatus: 1 })).transactions.currentOpen
    await feature.failCommand(t, ['commitTransaction', 'abortTransaction'], { closeConnection: true })
    const vainAbort = new Promise<void>((resolve) => {
      client.on('commandFailed', ({ commandName }) => commandName === 'abortTransaction' && resolve())
    })

    const code = await codeOf(commit(draft(alice, bob, { key: 'k' }, 500)))
    await vainAbort
    const left = await open()
    await feature.mendCommands()

    t.equal(code, 'DATABASE_UNAVAILABLE')
    t.equal(left, 1)
    // The server itself would end it only after its lifetime: 10 s here, a minute by default.
    await eventually(async () => (await open()) === 0, 5_000)
  },
)

t.test('who waits for a document waits no longer than until his deadline', async (t) => {
  // Else an hour, at least.
  await pauseBeforeRepeat(7_200_000, deadlineIn(5))

  t.pass('it is over')
})

t.test('while another transaction holds a key, only who shares it waits', async (t) => {
  const [alice, bob] = await two()
  const { commit } = newCommitter(commitDeps)
  await commit(draft(alice, bob))
  const [known] = await alice.sentTo(bob)
  const session = client.startSession()
  t.teardown(() => session.endSession())
  session.startTransaction()
  const idempotency = { key: 'held', digest: 'another' }
  const { _id, ...held } = { ...known, idempotency } as MessageDocument
  await messages.insertOne(held as MessageDocument, { session })

  const contended = codeOf(commit(draft(alice, bob, { key: 'held' })))
  const others = await Promise.all([
    codeOf(commit(draft(alice, bob))),
    codeOf(commit(draft(alice, bob, { key: 'free' }))),
    codeOf(commit(draft(bob, alice))),
  ])
  await session.commitTransaction()

  t.strictSame(others, ['OK', 'OK', 'OK'])
  t.equal(await contended, 'IDEMPOTENCY_KEY_REUSED')
})

t.test('while another transaction holds an upload’s record, only its message waits', async (t) => {
  const [alice, bob] = await two()
  const { commit } = newCommitter(commitDeps)
  await commit(draft(alice, bob))
  const id = alice.uploads('image')
  await feature.deps.records.claim([id], { senderId: alice.id, token: 'ours' }, deadlineIn(5_000))
  const session = client.startSession()
  t.teardown(() => session.endSession())
  session.startTransaction()
  await db.collection<{ _id: string }>('media').updateOne({ _id: id }, { $set: { x: 1 } }, { session })

  const first = commit(draft(alice, bob))
  const media = [{ publicId: id }]
  const held = commit(draft(alice, bob, { media }), { media: [], claim: { token: 'ours' } })
  const others = await Promise.all([
    codeOf(first),
    codeOf(commit(draft(alice, bob, {}, 2_000))),
    codeOf(commit(draft(bob, alice, {}, 2_000))),
  ])
  await session.abortTransaction()

  t.strictSame(others, ['OK', 'OK', 'OK'])
  t.notOk((await held).replayed)
})

t.test('who wants a held document fails one batch, and none of the later ones', async (t) => {
  const [alice, bob] = await two()
  const sizes: number[] = []
  const { commit } = createCommitter({ ...commitDeps, onBatch: (size) => void sizes.push(size) })
  const { message } = await commit(draft(alice, bob))
  const session = client.startSession()
  t.teardown(() => session.endSession())
  session.startTransaction()
  const held = { ...message, _id: new ObjectId(), idempotency: { key: 'held', digest: 'another' } }
  await messages.insertOne(held, { session })
  const first = codeOf(commit(draft(alice, bob, { key: 'held' })))
  // Two tries in the batch, and then some alone.
  await eventually(() => sizes.length > 5)

  // The first leaves at once, and the others together behind it.
  const plain = Promise.all(Array.from({ length: 20 }, () => commit(draft(alice, bob))))
  const again = codeOf(commit(draft(alice, bob, { key: 'held' })))
  await plain
  await session.commitTransaction()

  t.strictSame([await first, await again], ['IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_REUSED'])
  t.strictSame(
    sizes.filter((size) => size > 1),
    [19],
  )
})

t.test('instances that write the same keys at once store each once', async (t) => {
  const [alice, bob] = await two()
  const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`)
  const instances = [newCommitter(commitDeps), newCommitter(commitDeps), newCommitter(commitDeps)]
  const orders = [keys, keys.toReversed(), keys.toSorted()]

  const all = await Promise.all(
    instances.flatMap(({ commit }, index) =>
      (orders[index] ?? []).map((key) => commit(draft(alice, bob, { key }))),
    ),
  )

  t.strictSame(await storedIds(alice, bob), [...new Set(idsOf(all))])
  t.equal(all.filter(({ replayed }) => !replayed).length, keys.length)
})
