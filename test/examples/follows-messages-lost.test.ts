import { MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import { batchMax, type Message } from '../../examples/follow-messages.ts'
import {
  boundMs,
  type Following,
  hasPlace,
  hasToken,
  remembers,
  startFollowing,
} from '../support/client/following.ts'
import { type DatabaseProxy, startDatabaseProxy } from '../support/database-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { startFeature } from '../support/feature.ts'
import { latch } from '../support/media.ts'

// examples/follow-messages.ts, when its place in the stream, the collection or the database is gone.

const feature = await startFeature(t, { ownServer: true })
const { client } = feature
// Longer than any test: whoever needs the end of a transaction that was left open must bring it about.
await client.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: 3_600 })

// What mongod 6.0 says of an oplog that has rolled over; to roll a real one over takes a minute.
const historyLost = { errorCode: 286, errorLabels: ['NonResumableChangeStreamError'] }

/** Well made, in 2021, by a server that is none of these. */
const foreignToken = {
  _data:
    '8260000000000000072B022C01002B026E5A100469581BEF42B84E9584589F3CA312A06046645F696400646B037BFE0FBD2A0010737C640004',
}

/** A follower that has handed over three messages, and knows where to go on. */
async function stoppedWithToken(
  t: Test,
  { minutesAgo = 0 } = {},
): Promise<{ following: Following; before: string[] }> {
  const following = startFollowing(t, client)
  const first = following.start()
  await hasPlace(following)
  const before = await following.stores(3, { minutesAgo })
  await following.delivers(t, before)
  await hasToken(following)
  await first.stop()
  return { following, before }
}

t.test('a place that the oplog has lost costs no message, and none comes twice', async (t) => {
  const { following, before } = await stoppedWithToken(t)
  // Stored late, with ids from before the last that was delivered.
  const late = await following.stores(2, { minutesAgo: 9 })
  const meanwhile = await following.stores(250)
  await feature.failCommand(t, ['aggregate'], historyLost, 1)

  const { troubles } = following.start()

  await following.delivers(t, [...before, ...late, ...meanwhile])
  const after = await following.stores(3)
  await following.delivers(t, [...before, ...late, ...meanwhile, ...after])
  t.match(troubles, [{ codeName: 'ChangeStreamHistoryLost' }])
})

t.test('a place in another cluster’s stream is given up in the same way', async (t) => {
  const { following, before } = await stoppedWithToken(t)
  const meanwhile = await following.stores(3)
  await following.own.collection('followers').updateOne({}, { $set: { token: foreignToken } })

  const { troubles } = following.start()

  await following.delivers(t, [...before, ...meanwhile])
  t.match(troubles, [{ codeName: 'ChangeStreamFatalError' }])
})

t.test('it looks back from where it is by then, when it is lost on the way', async (t) => {
  const { following, before: old } = await stoppedWithToken(t, { minutesAgo: 60 })
  const { troubles } = following.start()
  const recent = await following.stores(3)
  await following.delivers(t, [...old, ...recent])
  await remembers(following, recent)

  await feature.failCommand(t, ['getMore'], historyLost, 1)
  await eventually(() => troubles.length > 0, boundMs)
  const after = await following.stores(3)

  await following.delivers(t, [...old, ...recent, ...after])
})

t.test('a look back that fails goes on with what is missing', async (t) => {
  const following = startFollowing(t, client)
  const ids = await following.stores(250)
  const defect = new Error('a defect of the handler')
  let calls = 0
  const handle = async (): Promise<void> => {
    calls += 1
    if (calls === 2) throw defect
  }

  const { troubles } = following.start({ handle })

  await following.delivers(t, ids)
  t.strictSame(troubles, [defect])
})

t.test('what is stored during a look back that takes long is delivered once', async (t) => {
  const following = startFollowing(t, client)
  const before = await following.stores(batchMax, { minutesAgo: 60 })
  const meanwhile: string[] = []
  const isOver = latch()
  const handle = async (): Promise<void> => {
    if (meanwhile.length > 0) return
    // As if it took the time from the first of these to the last.
    meanwhile.push(...(await following.stores(1, { minutesAgo: 61 })))
    meanwhile.push(...(await following.stores(batchMax, { minutesAgo: 30 })))
    meanwhile.push(...(await following.stores(1)))
    isOver.open()
  }

  following.start({ handle })
  await isOver.until
  await following.delivers(t, [...before, ...meanwhile])
  const after = await following.stores(1)

  await following.delivers(t, [...before, ...meanwhile, ...after])
})

t.test('a collection that is dropped and made again is followed on', async (t) => {
  const following = startFollowing(t, client)
  const before = await following.stores(2)
  following.start()
  await following.delivers(t, before)

  await following.messages.drop()
  const after = await following.stores(3)

  await following.delivers(t, [...before, ...after])
})

t.test('without a place it begins with what is sent from then on', async (t) => {
  const following = startFollowing(t, client)
  await following.stores(1, { minutesAgo: 5 })
  following.start({ since: undefined })
  await hasPlace(following)

  const after = await following.stores(1)

  await following.delivers(t, after)
})

t.test('while the database is away it tries again, and goes on when it is back', async (t) => {
  const following = startFollowing(t, client)
  const { proxy, far } = await startFar(t)
  const own = far.db(following.own.databaseName)
  const { troubles } = following.start({ own, messages: own.collection<Message>('messages') })
  const before = await following.stores(2)
  await following.delivers(t, before)

  proxy.cut()
  const meanwhile = await following.stores(2)
  await eventually(() => troubles.length >= 3, boundMs)
  proxy.mend()

  await following.delivers(t, [...before, ...meanwhile])
})

t.test('a database that goes in the middle of a handler has kept nothing of it', async (t) => {
  const following = startFollowing(t, client)
  const { proxy, far } = await startFar(t)
  const own = far.db(following.own.databaseName)
  let cutsLeft = 1
  const handle = async (): Promise<void> => {
    if (cutsLeft > 0) proxy.cut()
    cutsLeft -= 1
  }
  const ids = await following.stores(2)
  const options = { own, messages: own.collection<Message>('messages'), handle }
  const { troubles, batches } = following.start(options)
  await eventually(() => troubles.length > 0, boundMs)
  t.strictSame(await following.delivered(), [])

  proxy.mend()

  await following.delivers(t, ids)
  t.strictSame(batches, [2, 2])
})

/** A client that can be cut off, and soon notices. */
async function startFar(t: Test): Promise<{ proxy: DatabaseProxy; far: MongoClient }> {
  const proxy = await startDatabaseProxy(t, feature.uri)
  const far = new MongoClient(proxy.uri, { serverSelectionTimeoutMS: 200 })
  t.teardown(() => far.close())
  return { proxy, far }
}
