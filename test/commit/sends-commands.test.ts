import { type Document, MongoClient } from 'mongodb'
import t from 'tap'
import { findAll, updateEach, WriteRejected, write } from '../../src/send-message/commands.ts'
import { beginTransaction, commitTransaction, endSession } from '../../src/send-message/session.ts'
import { startedBy } from '../support/commands.ts'
import { startFeature } from '../support/feature.ts'

// Plain commands inherit no concern, and resolve when a write was refused: what is seen to in commands.ts.

const feature = await startFeature(t, { monitorCommands: true })
const { client, db } = feature
const signal = AbortSignal.timeout(60_000)
const things = db.collection<{ _id: number; n?: number }>('things')
await things.insertMany(Array.from({ length: 150 }, (_, _id) => ({ _id })))

async function commandOf(work: () => Promise<unknown>): Promise<Document> {
  const [first] = await startedBy(client, work)
  return first?.command ?? {}
}

t.test('all that matches comes in one reply, of what a majority has', async (t) => {
  const query = { find: 'things', filter: { _id: { $gte: 1 } }, sort: { _id: -1 } }

  let found: unknown[] = []
  const command = await commandOf(async () => {
    found = await findAll(db, query, { signal })
  })
  const local = await commandOf(() => findAll(db, query, { readConcern: 'local', signal }))

  t.equal(found.length, 149)
  t.strictSame(found[0], { _id: 149 })
  t.match(command, { ...query, singleBatch: true, readConcern: { level: 'majority' }, maxTimeMS: 2_000 })
  t.match(local.readConcern, { level: 'local' })
})

t.test('a write is acknowledged by a majority, and says how many it met and made', async (t) => {
  const updates = [
    { q: { _id: 1 }, u: { $set: { n: 1 } } },
    { q: { _id: 1_000 }, u: { $set: { n: 1 } }, upsert: true },
  ]

  const insert = await commandOf(async () => {
    const result = await write(db, { insert: 'things', documents: [{ _id: 2_000 }] }, { signal })
    t.strictSame(result, { n: 1, upserted: [] })
  })
  const result = await write(db, { update: 'things', updates }, { signal })

  t.match(insert, { writeConcern: { w: 'majority' }, maxTimeMS: 2_000 })
  t.match(result, { n: 2, upserted: [{ index: 1, _id: 1_000 }] })
})

t.test('a refused write is thrown, by its position, without a word of the server’s', async (t) => {
  const documents = [{ _id: 3_000 }, { _id: 1, secret: 'x' }, { _id: 2, secret: 'x' }]

  const error = await write(db, { insert: 'things', documents }, { signal }).catch(
    (rejection: unknown) => rejection,
  )

  t.ok(error instanceof WriteRejected)
  t.match(error, { name: 'WriteRejected', index: 1, code: 11000 })
  t.equal((error as Error).message, 'the write at 1 of a command was refused with code 11000')
})

t.test('of updates that do not depend on each other one that is refused stops none', async (t) => {
  const updates = [
    { q: { _id: 10 }, u: { $set: { n: 10 } } },
    { q: { _id: 11 }, u: { $set: { _id: 12 } } },
    { q: { _id: 4_000 }, u: { $set: { n: 13 } }, upsert: true },
  ]

  const command = await commandOf(async () => {
    const result = await updateEach(db, { update: 'things', updates }, { signal })
    t.match(result, { n: 2, upserted: [{ index: 2, _id: 4_000 }] })
  })

  t.match(command, { update: 'things', ordered: false, writeConcern: { w: 'majority' }, maxTimeMS: 2_000 })
  t.strictSame(
    await things
      .find({ _id: { $in: [10, 11, 4_000] } })
      .sort({ _id: 1 })
      .toArray(),
    [{ _id: 10, n: 10 }, { _id: 11 }, { _id: 4_000, n: 13 }],
  )
})

t.test('inside a transaction its concerns apply, and its writes are seen there alone', async (t) => {
  const session = client.startSession()
  t.teardown(() => session.endSession())
  session.startTransaction()
  const options = { session, signal }
  const query = { find: 'things', filter: { _id: 5_000 } }
  const documents = [{ _id: 5_000 }]

  const wrote = await commandOf(() => write(db, { insert: 'things', documents }, options))
  let inside: unknown[] = []
  const read = await commandOf(async () => {
    inside = await findAll(db, query, options)
  })
  const outside = await findAll(db, query, { signal })
  await session.abortTransaction()

  t.strictSame([inside, outside], [documents, []])
  t.match(wrote, { autocommit: false, startTransaction: true, writeConcern: undefined, maxTimeMS: undefined })
  t.match(read, { autocommit: false, readConcern: undefined, maxTimeMS: undefined })
})

t.test('a wait is ended by its signal', async (t) => {
  const session = client.startSession()
  t.teardown(() => session.endSession())
  session.startTransaction()
  t.teardown(() => session.abortTransaction())
  const query = { find: 'things', filter: { _id: 1 } }
  const insert = { insert: 'things', documents: [{ _id: 6_000 }] }
  const aborted = { signal: AbortSignal.abort() }

  const ends = await Promise.all(
    [
      findAll(db, query, aborted),
      findAll(db, query, { ...aborted, session }),
      write(db, insert, aborted),
      write(db, insert, { ...aborted, session }),
    ].map((work) => work.catch((error: Error) => error.name)),
  )

  t.strictSame(ends, ['AbortError', 'AbortError', 'AbortError', 'AbortError'])
  t.equal(await things.countDocuments({ _id: 6_000 }), 0)
})

t.test('a transaction reads one snapshot of the primary, and is committed by a majority', async (t) => {
  const session = client.startSession({ causalConsistency: false })
  t.teardown(() => session.endSession())

  const started = await startedBy(client, async () => {
    beginTransaction(session, 'snapshot')
    await findAll(db, { find: 'things', filter: {} }, { session, signal })
    await commitTransaction(db, session)
  })

  const commands = started.map(({ command }) => command)
  t.match(commands, [
    { find: 'things', startTransaction: true, readConcern: { level: 'snapshot' } },
    { commitTransaction: 1, writeConcern: { w: 'majority' } },
  ])
  t.equal(commands.length, 2)
})

t.test('a transaction is the primary’s and acknowledged, whatever the address says', async (t) => {
  const elsewhere = new MongoClient(feature.uri, { readPreference: 'secondaryPreferred', w: 0 })
  t.teardown(() => elsewhere.close())
  const session = elsewhere.startSession()
  t.teardown(() => session.endSession())
  const query = { find: 'things', filter: { _id: 1 } }

  beginTransaction(session, 'snapshot')
  const found = await findAll(elsewhere.db(db.databaseName), query, { session, signal })

  t.equal(found.length, 1)
})

t.test('a session’s open transaction is ended once, and then the session', async (t) => {
  const session = client.startSession({ causalConsistency: false })
  const wrote = await startedBy(client, async () => {
    beginTransaction(session, 'snapshot')
    await write(db, { insert: 'things', documents: [{ _id: 7_000 }] }, { session, signal })
  })

  const ended = await startedBy(client, () => endSession(db, session))

  t.match(
    ended.map(({ command }) => command),
    [{ abortTransaction: 1, txnNumber: wrote[0]?.command.txnNumber }],
  )
  t.equal(ended.length, 1)
  t.ok(session.hasEnded)
  t.equal(await things.countDocuments({ _id: 7_000 }), 0)
})

t.test('a server that refuses to end a transaction is not asked again', async (t) => {
  const session = client.startSession({ causalConsistency: false })
  beginTransaction(session, 'snapshot')
  await findAll(db, { find: 'things', filter: { _id: 1 } }, { session, signal })
  // Ended behind the driver's back: there is nothing left to end.
  const { id: lsid } = session
  await client.db('admin').command({ killSessions: [lsid] })

  const ended = await startedBy(client, () => endSession(db, session))

  t.strictSame(
    ended.map(({ commandName }) => commandName),
    ['abortTransaction'],
  )
  t.ok(session.hasEnded)
})

t.test('a session whose transaction was committed has nothing to end', async (t) => {
  const session = client.startSession({ causalConsistency: false })
  beginTransaction(session, 'snapshot')
  await findAll(db, { find: 'things', filter: { _id: 1 } }, { session, signal })
  await commitTransaction(db, session)

  const ended = await startedBy(client, () => endSession(db, session))

  t.strictSame(ended, [])
  t.ok(session.hasEnded)
})
