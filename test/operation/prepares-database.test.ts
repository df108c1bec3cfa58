import { Admin, type Collection, type CreateIndexesOptions, MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { type Config, loadConfig } from '../../src/config.ts'
import { useGivenDatabase } from '../../src/dev/demo/given-database.ts'
import { databaseUri, dropDatabase } from '../support/database.ts'
import { uriOfOwnServer } from '../support/feature.ts'
import { jwtSecret, startService } from '../support/service.ts'

/** A database of the test's own, before any service has seen it. */
async function emptyDatabase(t: Test, suffix: string): Promise<{ uri: string; client: MongoClient }> {
  const uri = await databaseUri(suffix)
  const client = new MongoClient(uri)
  t.teardown(async () => {
    await client.close()
    await dropDatabase(uri)
  })
  return { uri, client }
}

const keyIndex = { conversationId: 1, senderId: 1, 'idempotency.key': 1 } as const
const keyOptions = { unique: true, partialFilterExpression: { 'idempotency.key': { $exists: true } } }

async function indexNames(collection: Collection): Promise<(string | undefined)[]> {
  return (await collection.indexes()).map(({ name }) => name)
}

function inTheWay(theirs: string, own: string): string {
  return `the index "${theirs}" of messages is in the way of the service’s index "${own}": drop it, and start again`
}

function silentConfig(uri: string): Config {
  const env = { MONGODB_URI: uri, CLOUDINARY_URL: 'cloudinary://key:secret@demo', JWT_SECRET: jwtSecret }
  return loadConfig({ ...env, LOG_LEVEL: 'silent' })
}

function withOptions(uri: string, options: string): string {
  return `${uri}${uri.includes('?') ? '&' : '?'}${options}`
}

t.test('the start makes the collections and indexes, and leaves those that are there', async (t) => {
  const { uri, client } = await emptyDatabase(t, '_indexes')
  const db = client.db()
  const blocks = db.collection('blocks')
  await blocks.createIndex({ blockerId: 1, blockedId: 1 }, { name: 'theirs', unique: true })

  await startService(t, { mongodbUri: uri })
  await startService(t, { mongodbUri: uri })

  t.strictSame(await indexNames(db.collection('messages')), ['_id_', 'history', 'idempotency'])
  t.strictSame(await indexNames(db.collection('media')), ['_id_', 'open'])
  t.strictSame(await indexNames(db.collection('conversations')), ['_id_'])
  t.strictSame(await indexNames(blocks), ['_id_', 'theirs'])
})

t.test(
  'an index of another service’s collection that cannot be made is warned of, and no more',
  async (t) => {
    const { uri, client } = await emptyDatabase(t, '_view')
    await client.db().createCollection('blocks', { viewOn: 'elsewhere', pipeline: [] })

    const service = await startService(t, { mongodbUri: uri })

    t.ok(service.logs.some((line) => line.includes('the index of blocks could not be made')))
  },
)

t.test('an index like its own serves under whatever name', async (t) => {
  const { uri, client } = await emptyDatabase(t, '_names')
  const [messages, media] = [client.db().collection('messages'), client.db().collection('media')]
  await messages.createIndex({ conversationId: 1, _id: 1 }, { name: 'theirs' })
  await messages.createIndex(keyIndex, { ...keyOptions, name: 'keys' })
  await media.createIndex(
    { until: 1 },
    { name: 'due', partialFilterExpression: { until: { $exists: true } } },
  )

  await startService(t, { mongodbUri: uri })

  t.strictSame(await indexNames(messages), ['_id_', 'theirs', 'keys'])
  t.strictSame(await indexNames(media), ['_id_', 'due'])
})

t.test('a collection with a collation of its own keeps keys apart, and is started on again', async (t) => {
  const { uri, client } = await emptyDatabase(t, '_collation')
  const anyCase = { locale: 'en', strength: 2 }
  const messages = await client.db().createCollection('messages', { collation: anyCase })

  await startService(t, { mongodbUri: uri })
  await startService(t, { mongodbUri: uri })

  const collations = (await messages.indexes()).map(({ name, collation }) => [name, collation?.locale])
  t.strictSame(collations, [
    ['_id_', 'en'],
    ['history', undefined],
    ['idempotency', undefined],
  ])
})

t.test('an index with the keys of its own and other options stops the start', async (t) => {
  const { uri, client } = await emptyDatabase(t, '_options')
  const messages = client.db().collection('messages')
  const refusal = async (options: CreateIndexesOptions): Promise<unknown> => {
    await messages.createIndex(keyIndex, { ...options, name: 'theirs' })
    const refused = await buildApp(silentConfig(uri)).catch((error: unknown) => error)
    await messages.drop()
    return refused
  }

  const refusals = [
    await refusal({}),
    await refusal({ unique: true }),
    await refusal({ ...keyOptions, unique: false }),
    await refusal({ unique: true, partialFilterExpression: { content: { $exists: true } } }),
    await refusal({ ...keyOptions, collation: { locale: 'en', strength: 2 } }),
  ]

  t.match(
    refusals,
    refusals.map(() => ({ name: 'DatabaseNotUsable', message: inTheWay('theirs', 'idempotency') })),
  )
})

t.test('an index that would delete what it needs stops the start', async (t) => {
  const { uri, client } = await emptyDatabase(t, '_ttl')
  const partialFilterExpression = { until: { $exists: true } }
  const media = client.db().collection('media')
  await media.createIndex({ until: 1 }, { name: 'ttl', expireAfterSeconds: 1, partialFilterExpression })

  await t.rejects(buildApp(silentConfig(uri)), {
    name: 'DatabaseNotUsable',
    message: 'the index "ttl" of media is in the way of the service’s index "open": drop it, and start again',
  })
})

t.test('an index that leaves documents out stops the start', async (t) => {
  const { uri, client } = await emptyDatabase(t, '_sparse')
  const messages = client.db().collection('messages')
  await messages.createIndex({ conversationId: 1, _id: 1 }, { name: 'theirs', sparse: true })

  await t.rejects(buildApp(silentConfig(uri)), {
    name: 'DatabaseNotUsable',
    message: inTheWay('theirs', 'history'),
  })
})

t.test('an index with the name of its own and other keys stops the start', async (t) => {
  const { uri, client } = await emptyDatabase(t, '_taken')
  await client.db().collection('messages').createIndex({ senderId: 1 }, { name: 'history' })

  await t.rejects(buildApp(silentConfig(uri)), {
    name: 'DatabaseNotUsable',
    message: inTheWay('history', 'history'),
  })
})

t.test('a collection of its own that cannot be made stops the start', async (t) => {
  const { uri, client } = await emptyDatabase(t, '_own')
  await client.db().createCollection('messages', { viewOn: 'elsewhere', pipeline: [] })

  await t.rejects(buildApp(silentConfig(uri)), {
    name: 'DatabaseNotUsable',
    message: 'the database refuses to make the collections and indexes (CommandNotSupportedOnView)',
  })
})

t.test('on a cluster a transaction reads what a majority has, else a snapshot', async (t) => {
  const { uri } = await emptyDatabase(t, '_cluster')
  const onReplicaSet = await startService(t, { mongodbUri: uri })
  // No mongos is to be had: the replica set's own answer, with what tells a router from it.
  const real = Admin.prototype.command
  async function asRouter(this: Admin, ...args: Parameters<typeof real>): Promise<object> {
    return { ...(await real.apply(this, args)), msg: 'isdbgrid' }
  }
  t.intercept(Admin.prototype, 'command', { value: asRouter, writable: true, configurable: true })

  const onCluster = await startService(t, { mongodbUri: uri })
  const [alice, bob] = [await onCluster.person(), await onCluster.person()]

  t.equal(onReplicaSet.app.mongo.transactionReadConcern, 'snapshot')
  t.equal(onCluster.app.mongo.transactionReadConcern, 'majority')
  t.equal((await alice.sends(bob, 'Hello', { key: 'k' })).status, 200)
})

t.test('whatever the URI says, reads go to the primary and writes to a majority', async (t) => {
  const { uri } = await emptyDatabase(t, '_concerns')
  const weak = 'readPreference=secondary&readConcernLevel=local&w=1&journal=false&retryWrites=false'
  const service = await startService(t, { mongodbUri: withOptions(uri, weak) })
  const [alice, bob] = [await service.person(), await service.person()]

  const answer = await alice.sends(bob, 'Hello')

  const { readPreference, readConcern, writeConcern } = service.app.mongo.client.options
  t.equal(answer.status, 200)
  t.equal(readPreference.mode, 'primary')
  t.equal(readConcern.level, 'majority')
  t.equal(writeConcern.w, 'majority')
})

t.test('an address that asks for more connections than there will be starts', async (t) => {
  const { uri } = await emptyDatabase(t, '_pool')

  const service = await startService(t, { mongodbUri: withOptions(uri, 'minPoolSize=41&maxPoolSize=50') })

  const { minPoolSize, maxPoolSize } = service.app.mongo.client.options
  t.strictSame({ minPoolSize, maxPoolSize }, { minPoolSize: 0, maxPoolSize: 40 })
})

t.test(
  'an address that asks for other members, by their lag or their tags, reads from the primary',
  async (t) => {
    const { uri } = await emptyDatabase(t, '_lag')
    const lag =
      'readPreference=secondaryPreferred&maxStalenessSeconds=120&readPreferenceTags=dc:a&readPreferenceTags='

    const service = await startService(t, { mongodbUri: withOptions(uri, lag) })

    const { mode, tags, maxStalenessSeconds } = service.app.mongo.client.options.readPreference
    t.strictSame(
      { mode, tags, maxStalenessSeconds },
      { mode: 'primary', tags: undefined, maxStalenessSeconds: undefined },
    )
  },
)

t.test('an address that would wait for nothing starts, and waits as long as it takes', async (t) => {
  const { uri } = await emptyDatabase(t, '_waits')
  const hasty = 'wtimeoutMS=1&SocketTimeout%4DS=1&connectTimeoutMS=1&waitQueueTimeoutMS=1'

  const service = await startService(t, { mongodbUri: withOptions(uri, hasty) })

  const { writeConcern, socketTimeoutMS } = service.app.mongo.client.options
  t.strictSame({ ...writeConcern }, { w: 'majority' })
  t.equal(socketTimeoutMS, 10_000)
})

t.test('the demo’s database may have any of these addresses', async (t) => {
  const { uri } = await emptyDatabase(t, '_given')
  const options = 'minPoolSize=3&readPreference=secondary&maxStalenessSeconds=120&wtimeoutMS=1'
  const databaseName = `given_${process.pid}`
  const stopping = new AbortController().signal
  const stage = { env: {}, stopping, say: () => undefined, progress: () => undefined }
  const atEnd = (_what: string, end: () => unknown): void => t.teardown(end)

  const given = await useGivenDatabase({ uri: withOptions(uri, options), databaseName }, { ...stage, atEnd })

  t.match(given, `/${databaseName}_demo?`)
  t.match(given, options)
})

t.test('a login that may make indexes, and not list them, is enough', async (t) => {
  // The run's server has one fail point for all files, and another file sets it.
  const uri = await uriOfOwnServer(t)
  const client = new MongoClient(uri)
  t.teardown(() => client.close())
  const data = { failCommands: ['listIndexes'], errorCode: 13, appName: 'unlisted' }
  await client.db('admin').command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data })

  await startService(t, { mongodbUri: withOptions(uri, 'appName=unlisted') })

  t.strictSame(await indexNames(client.db().collection('messages')), ['_id_', 'history', 'idempotency'])
})
