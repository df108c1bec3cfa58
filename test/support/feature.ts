import { randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import { type Db, MongoClient, type MongoClientOptions } from 'mongodb'
import type { Test } from 'tap'
import { ensureBlocksIndex, ensureOwnCollections } from '../../src/collections.ts'
import { type CloudinaryStandIn, startCloudinary } from '../../src/dev/cloudinary/server.ts'
import { deadlineIn, monotonicMs } from '../../src/lib/deadline.ts'
import cloudinary from '../../src/plugins/cloudinary.ts'
import { type CommitDeps, createCommitter } from '../../src/send-message/commit.ts'
import { type Draft, type DraftRequest, draftOf } from '../../src/send-message/draft.ts'
import { createKnownChats } from '../../src/send-message/known-chats.ts'
import { createMediaRecords } from '../../src/send-message/media-records.ts'
import type { SendMessageDeps } from '../../src/send-message/send-message.ts'
import { databaseUri, dropDatabase } from './database.ts'
import { createPeople, type Person } from './people.ts'

/** The feature without HTTP in front of it, and without a sweeper that runs by itself. */
export interface Feature {
  client: MongoClient
  db: Db
  storage: CloudinaryStandIn
  deps: SendMessageDeps
  commitDeps: CommitDeps
  person(): Promise<Person>
  /** Lets commands of this client fail, of nobody else's; ends with the test. */
  failCommand(t: Test, failCommands: string[], how: Record<string, unknown>, times?: number): Promise<void>
  /** Ends it earlier. */
  mendCommands(): Promise<void>
}

export async function startFeature(t: Test, options: MongoClientOptions = {}): Promise<Feature> {
  const uri = await databaseUri(`_${randomBytes(4).toString('hex')}`)
  const appName = `tests ${randomBytes(8).toString('hex')}`
  const client = new MongoClient(uri, { appName, heartbeatFrequencyMS: 1_000, ...options })
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
  const commitDeps: CommitDeps = { client, db, knownChats: createKnownChats(), readConcern: 'snapshot', now }
  const records = createMediaRecords(db)
  const deps: SendMessageDeps = {
    db,
    storage: app.storage,
    records,
    clock: monotonicMs,
    onPromotion() {},
    releaseLater: (ids, claim) => void records.release(ids, claim).catch(() => {}),
    commit: createCommitter(commitDeps).commit,
  }
  const conformance = { check() {} }
  const failPoint = async (mode: unknown, data: object = {}): Promise<void> => {
    await client.db('admin').command({ configureFailPoint: 'failCommand', mode, data })
  }
  const { person } = createPeople({ url: '', db, storage, conformance })
  return {
    client,
    db,
    storage,
    deps,
    commitDeps,
    person,
    async failCommand(test, failCommands, how, times) {
      test.teardown(() => failPoint('off'))
      await failPoint(times === undefined ? 'alwaysOn' : { times }, { failCommands, appName, ...how })
    },
    mendCommands: () => failPoint('off'),
  }
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
