import { type Collection, type Db, type Document, MongoBulkWriteError, ObjectId } from 'mongodb'
import {
  type ConversationDocument,
  ensureBlocksIndex,
  ensureOwnCollections,
  type MessageDocument,
} from '../src/collections.ts'
import { conversationIdOf, type Pair, pairOf } from '../src/send-message/conversation.ts'
import { burstMessages, contactAt, contactsOf, personAt, scattered } from './people.ts'

export interface SeedSize {
  people: number
  messages: number
}

type Progress = (line: string) => void

const daySeconds = 24 * 3600

/**
 * People with a trusted device and a block each, a chat with each of their contacts, and messages in those chats, sent
 * over the last two years. The indexes come first, as in production: their trees grow with what is stored.
 */
export async function seed(
  db: Db,
  { people, messages, progress }: SeedSize & { progress: Progress },
): Promise<void> {
  await ensureOwnCollections(db)
  await ensureBlocksIndex(db, () => undefined)
  await seedPeople(db, people, progress)
  const chats = chatsOf(people)
  await insertAll(db.collection('conversations'), chats.length, chats.documentAt, progress)
  const nowSeconds = Math.floor(Date.now() / 1000)
  const secondsEach = (2 * 365 * daySeconds) / messages
  const documentAt = (index: number): MessageDocument => {
    const burst = Math.floor(index / burstMessages)
    const sender = scattered(burst, people)
    // All of somebody's contacts get their share, however few messages there are.
    const contact = (burst + Math.floor(burst / people)) % contactsOf
    const sentAtSeconds = Math.floor(nowSeconds - daySeconds - (messages - index) * secondsEach)
    const sentAt = new Date(sentAtSeconds * 1000)
    return {
      _id: idAt(sentAtSeconds, index),
      conversationId: chats.idAt(sender * contactsOf + contact),
      senderId: chats.userIdAt(index % 2 === 0 ? sender : contactAt(sender, contact, people)),
      type: 'text',
      content: `Message ${index}, which is about as long as most of them are.`.padEnd(60, '.'),
      media: [],
      deliveredTo: [],
      seenBy: [],
      isDeleted: false,
      createdAt: sentAt,
      updatedAt: sentAt,
    }
  }
  await insertAll(db.collection('messages'), messages, documentAt, progress)
  // What was inserted before it lasts, too, and no checkpoint of the seed falls into a measurement.
  await db.admin().command({ fsync: 1 })
}

/** Each of `blockers` people blocks `blocks` ids of nobody's: what a block check has to read past. */
export async function seedBlocks(
  db: Db,
  { blockers, blocks }: { blockers: number; blocks: number },
): Promise<void> {
  const documentAt = (index: number): Document => ({
    blockerId: ObjectId.createFromHexString(personAt(index % blockers).userId),
    blockedId: new ObjectId(),
  })
  await insertAll(db.collection('blocks'), blockers * blocks, documentAt, () => undefined)
}

async function seedPeople(db: Db, people: number, progress: Progress): Promise<void> {
  const id = (hex: string): ObjectId => ObjectId.createFromHexString(hex)
  const userAt = (index: number): Document => ({ _id: id(personAt(index).userId), status: 'active' })
  const deviceAt = (index: number): Document => {
    const { deviceId, userId } = personAt(index)
    return { _id: id(deviceId), userId: id(userId), trusted: true }
  }
  await insertAll(db.collection('users'), people, userAt, progress)
  await insertAll(db.collection('devices'), people, deviceAt, progress)
  await seedBlocks(db, { blockers: people, blocks: 1 })
}

interface Chats {
  length: number
  idAt(index: number): ObjectId
  userIdAt(person: number): ObjectId
  documentAt(index: number): ConversationDocument
}

/** Chat `n` is somebody's with their contact `n % contactsOf`. Ids lie in one buffer: there can be five million. */
function chatsOf(people: number): Chats {
  const bytes = 12
  const userIds = Buffer.alloc(people * bytes)
  for (let person = 0; person < people; person++) {
    userIds.write(personAt(person).userId, person * bytes, 'hex')
  }
  const userIdAt = (person: number): ObjectId =>
    new ObjectId(userIds.subarray(person * bytes, (person + 1) * bytes))
  const pairAt = (index: number): Pair => {
    const person = Math.floor(index / contactsOf)
    return pairOf(userIdAt(person), userIdAt(contactAt(person, index % contactsOf, people)))
  }
  const length = people * contactsOf
  const ids = Buffer.alloc(length * bytes)
  for (let index = 0; index < length; index++) ids.set(conversationIdOf(pairAt(index)).id, index * bytes)
  const idAt = (index: number): ObjectId => new ObjectId(ids.subarray(index * bytes, (index + 1) * bytes))
  const at = new Date(Date.now() - 3 * 365 * daySeconds * 1000)
  const documentAt = (index: number): ConversationDocument => {
    const [smaller, larger] = pairAt(index)
    return {
      _id: idAt(index),
      type: 'private',
      participants: [smaller, larger],
      createdAt: at,
      updatedAt: at,
    }
  }
  return { length, idAt, userIdAt, documentAt }
}

/** An id as the driver makes them, of another time. */
function idAt(seconds: number, index: number): ObjectId {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32BE(seconds, 0)
  bytes.writeUInt32BE(index, 8)
  return new ObjectId(bytes)
}

// 104,000 documents a second on two cores; one at a time 64,000, and 10,000 in a command are no faster.
const chunk = 2_000
const inFlight = 3

/** Unordered, and each acknowledged by the primary alone: what counts is that all are there before the measuring. */
async function insertAll<D extends Document>(
  collection: Collection,
  total: number,
  documentAt: (index: number) => D,
  progress: Progress,
): Promise<void> {
  let next = 0
  const work = async (): Promise<void> => {
    while (next < total) {
      const from = next
      next = Math.min(from + chunk, total)
      const some = Array.from({ length: next - from }, (_, nth) => documentAt(from + nth))
      await collection.insertMany(some, { ordered: false, writeConcern: { w: 1 } }).catch(unlessThere)
      progress(`seeded ${next.toLocaleString('en-US')} ${collection.collectionName}`)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, work))
}

/** Of two who are each other's contacts, both have the chat. */
function unlessThere(error: unknown): void {
  const duplicateKey = 11000
  const isThere =
    error instanceof MongoBulkWriteError &&
    [error.writeErrors].flat().every(({ code }) => code === duplicateKey)
  if (!isThere) throw error
}
