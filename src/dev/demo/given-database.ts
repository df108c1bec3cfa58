import { once } from 'node:events'
import { hostname } from 'node:os'
import { type Db, MongoServerError, ObjectId } from 'mongodb'
import type { Config } from '../../config.ts'
import { createMongoClient } from '../../plugins/mongodb-client.ts'
import { isAlive } from '../processes.ts'
import { DemoFailure } from './failure.ts'
import type { Stage } from './stage.ts'

/** Says whose the database is: one without it is somebody's data, and is never dropped. */
interface MarkerDocument {
  _id: 'demo'
  run: ObjectId
  host: string
  pid: number
  startedAt: Date
}

const markers = 'demo_marker'

const answerTimeoutMs = 10_000

// As long as the tokens are valid. What is older was killed, and its process id may be somebody else's.
const runLifeMs = 86_400_000

const options = {
  appName: 'private-message-service-demo',
  serverSelectionTimeoutMS: answerTimeoutMs,
  maxPoolSize: 2,
} as const

/** A database beside the one that the URI names, dropped at the end. Gives its URI. */
export async function useGivenDatabase(given: Config['mongodb'], stage: Stage): Promise<string> {
  const name = demoNameOf(given)
  const client = createMongoClient(given.uri, options)
  stage.atEnd('the connection to the database', () => client.close())
  try {
    await orStop(client.connect(), stage.stopping)
    const db = client.db(name)
    const run = await claim(db)
    stage.atEnd(`the database ${name}`, () => dropOwn(db, run))
  } catch (error) {
    throw asFailure(error, name, stage.stopping)
  }
  return withDatabase(given.uri, name, client.options.credentials?.source)
}

export function demoNameOf({ databaseName }: Config['mongodb']): string {
  return `${databaseName}_demo`
}

/** Refuses what is not a demo's, or another demo is using. What a killed one has left is dropped. */
async function claim(db: Db): Promise<ObjectId> {
  const collection = db.collection<MarkerDocument>(markers)
  const marker = await collection.findOne({ _id: 'demo' })
  if (marker === null && (await db.listCollections({}, { nameOnly: true }).hasNext())) {
    throw new DemoFailure(
      `The database ${db.databaseName} is there already, and no demo has made it: name another one in MONGODB_URI.`,
    )
  }
  if (marker !== null) {
    if (isRunning(marker)) throw inUse(db)
    await db.dropDatabase()
  }
  const run = new ObjectId()
  const mine = { run, host: hostname(), pid: process.pid, startedAt: new Date() }
  await collection.insertOne({ _id: 'demo', ...mine }).catch((error: unknown) => {
    const duplicateKey = 11_000
    throw error instanceof MongoServerError && error.code === duplicateKey ? inUse(db) : error
  })
  return run
}

function isRunning({ host, pid, startedAt }: MarkerDocument): boolean {
  if (host !== hostname() || pid === process.pid) return false
  return Date.now() - startedAt.getTime() < runLifeMs && isAlive(pid)
}

function inUse({ databaseName }: Db): DemoFailure {
  return new DemoFailure(`Another demo is running on the database ${databaseName}: stop it first.`)
}

async function dropOwn(db: Db, run: ObjectId): Promise<void> {
  const mine = await db.collection<MarkerDocument>(markers).findOne({ _id: 'demo', run })
  if (mine !== null) await db.dropDatabase()
}

/** Ends the wait at Ctrl-C; the client is closed with the rest. */
async function orStop(promise: Promise<unknown>, stopping: AbortSignal): Promise<void> {
  stopping.throwIfAborted()
  await Promise.race([promise, once(stopping, 'abort')])
  stopping.throwIfAborted()
}

/** Never the driver's own words: they can name users and hosts. */
function asFailure(error: unknown, name: string, stopping: AbortSignal): unknown {
  if (error instanceof DemoFailure || stopping.aborted) return error
  if (!(error instanceof MongoServerError)) {
    return new DemoFailure(`MONGODB_URI: the database did not answer within ${answerTimeoutMs / 1000} s.`)
  }
  if (error.code === 18) return new DemoFailure('MONGODB_URI: the database refuses the credentials.')
  return new DemoFailure(`MONGODB_URI: the database ${name} can't be used (${error.codeName ?? 'no code'}).`)
}

/** By hand, because a URL can't have several hosts. `source`: where the user is known, which was the named database. */
function withDatabase(uri: string, name: string, source: string | undefined): string {
  const [, server = '', query = ''] = /^([a-z+]+:\/\/[^/]+)\/[^?]*(?:\?(.*))?$/.exec(uri) ?? []
  const known = query === '' ? [] : [query]
  const isSaid = new URLSearchParams(query).has('authSource')
  const said = source === undefined || isSaid ? [] : [`authSource=${encodeURIComponent(source)}`]
  const parameters = [...known, ...said].join('&')
  return `${server}/${encodeURIComponent(name)}${parameters && `?${parameters}`}`
}
