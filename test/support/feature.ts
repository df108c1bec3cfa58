import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import { type Db, MongoClient, type MongoClientOptions } from 'mongodb'
import type { Test } from 'tap'
import { ensureBlocksIndex, ensureOwnCollections } from '../../src/collections.ts'
import { type CloudinaryStandIn, startCloudinary } from '../../src/dev/cloudinary/server.ts'
import { findMongod } from '../../src/dev/mongod.ts'
import { startReplicaSet } from '../../src/dev/replica-set.ts'
import { deadlineIn, monotonicMs } from '../../src/lib/deadline.ts'
import cloudinary from '../../src/plugins/cloudinary.ts'
import { createAdmission } from '../../src/send-message/admission.ts'
import { type CommitDeps, createCommitter } from '../../src/send-message/commit.ts'
import { type Draft, type DraftRequest, draftOf } from '../../src/send-message/draft.ts'
import { createKnownChats } from '../../src/send-message/known-chats.ts'
import { createMediaRecords } from '../../src/send-message/media-records.ts'
import type { SendMessageDeps } from '../../src/send-message/send-message.ts'
import { databaseUri, dropDatabase } from './database.ts'
import { createPeople, type Person } from './people.ts'

/** The feature without HTTP in front of it, and without a sweeper that runs by itself. */
export interface Feature {
  uri: string
  client: MongoClient
  db: Db
  storage: CloudinaryStandIn
  deps: SendMessageDeps
  commitDeps: CommitDeps
  person(): Promise<Person>
  two(): Promise<[Person, Person]>
  /** Lets the own server fail commands; ends with the test. */
  failCommand(t: Test, failCommands: string[], how: Record<string, unknown>, times?: number): Promise<void>
  /** Ends it earlier. */
  mendCommands(): Promise<void>
}

export interface FeatureOptions extends MongoClientOptions {
  /** Needed for `failCommand`. */
  ownServer?: boolean
}

export async function startFeature(
  t: Test,
  { ownServer = false, ...options }: FeatureOptions = {},
): Promise<Feature> {
  const uri = await (ownServer ? uriOfOwnServer(t) : databaseUri(`_${randomBytes(4).toString('hex')}`))
  const client = new MongoClient(uri, { heartbeatFrequencyMS: 1_000, ...options })
  const db = client.db()
  await ensureOwnCollections(db)
  await ensureBlocksIndex(db, (error) => t.error(error))

  const storage = await startCloudinary()
  process.env.CLOUDINARY_URL ??= storage.cloudinaryUrl
  const app = Fastify()
  const account = { cloudName: 'demo', apiKey: 'key', apiSecret: 'secret' }
  await app.register(cloudinary, { ...account, uploadPrefix: storage.baseUrl })
  await app.ready()
  t.teardown(async () => {
    await app.close()
    await storage.close()
    await client.close()
    await dropDatabase(uri)
  })

  const now = (): Date => new Date()
  const commitDeps: CommitDeps = {
    client,
    db,
    knownChats: createKnownChats(),
    readConcern: 'snapshot',
    primary: () => 'the only one',
    now,
  }
  const records = createMediaRecords(db)
  const deps: SendMessageDeps = {
    storage: app.storage,
    records,
    clock: monotonicMs,
    onPromotion() {},
    afterwards: (write) => void write().catch(() => {}),
    ...createAdmission({ db }),
    ...createCommitter(commitDeps),
  }
  const conformance = { check() {} }
  const failPoint = async (mode: unknown, data: object = {}): Promise<void> => {
    assert(ownServer, 'a fail point is the whole server’s')
    await client.db('admin').command({ configureFailPoint: 'failCommand', mode, data })
  }
  const { person } = createPeople({ url: '', db, storage, conformance })
  return {
    uri,
    client,
    db,
    storage,
    deps,
    commitDeps,
    person,
    two: async () => [await person(), await person()],
    async failCommand(test, failCommands, how, times) {
      test.teardown(() => failPoint('off'))
      await failPoint(times === undefined ? 'alwaysOn' : { times }, { failCommands, ...how })
    },
    mendCommands: () => failPoint('off'),
  }
}

/** With fail points, and for this file alone: a server has one that fails commands, and the run's set is shared. */
export async function uriOfOwnServer(t: Test): Promise<string> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const binary = await findMongod({ env: process.env, say })
  const { uri, stop } = await startReplicaSet({ binary, testCommands: true })
  t.teardown(stop)
  return uri('tests')
}

/** What the route makes of a request. */
export function draft(
  sender: Person,
  receiver: Person,
  request: Partial<DraftRequest> = {},
  ms: number = 14_500,
): Draft {
  return draftOf({
    sender: { userId: sender.id.toHexString(), deviceId: sender.deviceId.toHexString() },
    receiverId: receiver.id.toHexString(),
    content: 'Hello',
    type: 'text',
    deadline: deadlineIn(ms),
    ...request,
  })
}

/** The refusal's code, or `OK`. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'OK'
  } catch (error) {
    return String((error as { code?: unknown }).code ?? error)
  }
}
