import type { FastifyBaseLogger } from 'fastify'
import fp from 'fastify-plugin'
import { type Db, type MongoClient, MongoServerError } from 'mongodb'
import { ensureBlocksIndex, ensureOwnCollections, IndexInTheWay } from '../collections.ts'
import type { Config } from '../config.ts'
import { createMongoClient } from './mongodb-client.ts'

declare module 'fastify' {
  interface FastifyInstance {
    mongo: {
      client: MongoClient
      db: Db
      /** On a cluster a snapshot is taken at a time that one router knows of: it could miss another router's block. */
      transactionReadConcern: 'snapshot' | 'majority'
      primary: (() => string) | undefined
    }
  }
}

/** One sentence for the operator: the start failed, and no stack would help. */
export class DatabaseNotUsable extends Error {
  override readonly name = 'DatabaseNotUsable'
}

// The contract's: how long a start waits for a database that does not answer.
const startTimeoutMs = 10_000

/**
 * What bounds an operation when a member dies or freezes; with the driver's own defaults a frozen primary costs 32 s.
 * Each but the last time-out is shorter than a request's 7.5 s, so that a second try fits. `timeoutMS` would be the option for
 * it, but has no effect in this version.
 */
const driverOptions = {
  serverSelectionTimeoutMS: 2_000,
  connectTimeoutMS: 1_000,
  heartbeatFrequencyMS: 1_000,
  waitQueueTimeoutMS: 1_000,
  // Longer than any command may take, an index build at the start excepted: that has a client of its own.
  socketTimeoutMS: 10_000,
  maxPoolSize: 40,
} as const

/** Decorates `app.mongo`, once the database has answered and the collections and indexes are there. */
export default fp<Config['mongodb']>(
  async (app, { uri, databaseName }) => {
    const topology = await prepare(uri, databaseName, app.log)
    const client = createMongoClient(uri, { appName: 'private-message-service', ...driverOptions })
    app.addHook('onClose', () => client.close())
    const primary = primaryOf(client)
    await client.connect().catch((cause: unknown) => {
      throw new DatabaseNotUsable('the database has answered, and then took too long for a connection', {
        cause,
      })
    })
    const transactionReadConcern = topology === 'cluster' ? 'majority' : 'snapshot'
    app.decorate('mongo', {
      client,
      db: client.db(databaseName),
      transactionReadConcern,
      primary: topology === 'cluster' ? undefined : primary,
    })
  },
  { name: 'mongodb' },
)

/** The primary's address and election, as the driver knows them: commands go there until this changes. */
function primaryOf(client: MongoClient): () => string {
  let primary = ''
  client.on('topologyDescriptionChanged', ({ newDescription }) => {
    const server = [...newDescription.servers.values()].find(({ type }) => type === 'RSPrimary')
    primary = server ? `${server.address} ${server.electionId?.toHexString()}` : ''
  })
  return () => primary
}

/** With a client of its own: a build of an index may take hours, and the service's client must never wait so long. */
async function prepare(uri: string, databaseName: string, log: FastifyBaseLogger): Promise<Topology> {
  const client = createMongoClient(uri, { serverSelectionTimeoutMS: startTimeoutMs, maxPoolSize: 2 })
  try {
    const db = client.db(databaseName)
    const topology = await topologyOf(db)
    await ensureOwnCollections(db)
    await ensureBlocksIndex(db, (err) => log.warn({ err }, 'the index of blocks could not be made'))
    return topology
  } catch (error) {
    if (error instanceof DatabaseNotUsable) throw error
    throw new DatabaseNotUsable(reason(error), { cause: error })
  } finally {
    await client.close()
  }
}

type Topology = 'replica-set' | 'cluster'

async function topologyOf(db: Db): Promise<Topology> {
  const hello = await db.admin().command({ hello: 1 }, { signal: AbortSignal.timeout(startTimeoutMs) })
  if (hello.msg === 'isdbgrid') return 'cluster'
  if (hello.setName !== undefined) return 'replica-set'
  throw new DatabaseNotUsable(
    'the database is a standalone server: transactions need a replica set or a cluster',
  )
}

/** Never the driver's own words: they can name hosts, users, and what a command contained. */
function reason(error: unknown): string {
  if (error instanceof IndexInTheWay) return error.message
  if (error instanceof MongoServerError && error.code === 18) return 'the database refuses the credentials'
  if (error instanceof MongoServerError) {
    return `the database refuses to make the collections and indexes (${error.codeName})`
  }
  return `the database did not answer within ${startTimeoutMs / 1000} s`
}
