import { randomBytes } from 'node:crypto'
import { type Db, MongoClient } from 'mongodb'
import type { Test } from 'tap'
import type { MediaRecordDocument, MessageDocument } from '../../../src/collections.ts'
import { type CloudinaryStandIn, startCloudinary } from '../../../src/dev/cloudinary/server.ts'
import type { Conformance } from '../conformance.ts'
import { databaseUri, dropDatabase } from '../database.ts'
import { letTimePass } from '../media.ts'
import { createPeople } from '../people.ts'
import { startService } from '../service.ts'
import { type Sent, type Trio, trioIn } from '../storage/trio.ts'
import { sweepLater } from '../sweeping.ts'
import { startDoomed } from './process.ts'
import { type CrashProxy, startCrashProxy } from './proxy.ts'

/** What decides where a process is killed: the storage that it asks, and the way to its database. */
export interface Stage {
  trio: Trio
  storage: CloudinaryStandIn
  proxy: CrashProxy
}

/** What a killed process has left, and another instance on the same database and storage. */
export interface Aftermath {
  trio: Trio
  /** Of the other instance. */
  url: string
  /** The same message with the same key, sent there. */
  repeat(): Promise<Sent>
  /** The server ends it by itself, after `transactionLifetimeLimitSeconds`. */
  endTransaction(): Promise<void>
  /** As if the leases, or the quiet times, had passed. */
  letTimePass(): Promise<void>
  /** A sweep when they have passed. */
  sweep(): Promise<void>
  /** What no message or no sweeper will ever find again. */
  lost(): Promise<string[]>
}

/** Sends three uploads to a process of its own, and kills it when it has come to the point. */
export async function killAt(t: Test, point: (stage: Stage) => Promise<unknown>): Promise<Aftermath> {
  const mongodbUri = await databaseUri(`_${randomBytes(4).toString('hex')}`)
  const client = new MongoClient(mongodbUri)
  const storage = await startCloudinary()
  const proxy = await startCrashProxy(t, mongodbUri)
  t.teardown(async () => {
    await client.close()
    await storage.close()
    await dropDatabase(mongodbUri)
  })
  const victim = await startDoomed(t, { MONGODB_URI: proxy.uri, CLOUDINARY_URL: storage.cloudinaryUrl })
  const conformance: Conformance = { check() {} }
  const { person } = createPeople({ url: victim.url, db: client.db(), storage, conformance })
  const trio = await trioIn({ person, db: client.db(), storage })

  const reached = point({ trio, storage, proxy })
  const sending = trio.send()
  // An answer would mean that the point was passed, or was none.
  const answered = sending.then(({ outcome }) => Promise.reject(new Error(`answered with ${outcome}`)))
  await Promise.race([reached, answered])
  await victim.kill()
  await t.rejects(answered, { message: 'fetch failed' })
  storage.faults.clear()

  const survivor = await startService(t, { mongodbUri, storage })
  conformance.check = survivor.conformance.check
  return {
    trio,
    url: survivor.url,
    repeat: () => trio.send(survivor.url),
    async endTransaction() {
      // An empty list would end everybody's.
      if (proxy.sessions.length > 0) await client.db('admin').command({ killSessions: proxy.sessions })
    },
    letTimePass: () => letTimePass(client.db(), ...trio.ids),
    sweep: async () => void (await sweepLater(survivor, ...trio.ids)),
    lost: () => lostIn(client.db(), storage),
  }
}

async function lostIn(db: Db, storage: CloudinaryStandIn): Promise<string[]> {
  const messages = await db.collection<MessageDocument>('messages').find().toArray()
  const records = await db.collection<MediaRecordDocument>('media').find().toArray()
  const promised = messages.flatMap(({ media }) => media.map(({ publicId }) => publicId))
  const permanent = storage
    .list()
    .map(({ publicId }) => publicId)
    .filter((id) => id.startsWith('messages/'))
  const messageIds = new Set(messages.map(({ _id }) => _id.toHexString()))
  return [
    ...permanent.filter((id) => !promised.includes(id)).map((id) => `${id} is without a message`),
    ...promised.filter((id) => !permanent.includes(id)).map((id) => `${id} is not there`),
    ...records.flatMap(({ _id, state, until, messageId }) => {
      const isFound =
        state === 'attached' ? messageIds.has(messageId?.toHexString() ?? '') : until !== undefined
      return isFound ? [] : [`${_id} is ${state}, and nobody will look`]
    }),
  ]
}
