import { isDeepStrictEqual } from 'node:util'
import type { Collection, Db, IndexDescription, IndexDescriptionInfo, ObjectId } from 'mongodb'
import type { MediaItem, MessageType } from '../schemas/message.ts'

/** The data model on one page. What this service owns: `conversations`, `messages`, `media`. */

export interface ConversationDocument {
  _id: ObjectId
  type: 'private'
  /** Sorted. The `_id` is made from these two alone, so a chat needs no look-up and no other unique index. */
  participants: [ObjectId, ObjectId]
  createdAt: Date
  updatedAt: Date
}

export interface MessageDocument {
  _id: ObjectId
  conversationId: ObjectId
  senderId: ObjectId
  type: MessageType
  content: string
  media: MediaItem[]
  deliveredTo: ObjectId[]
  seenBy: ObjectId[]
  isDeleted: boolean
  createdAt: Date
  updatedAt: Date
  /** The client's key and a digest of what it sent with it: a repeat is told from another message by them. */
  idempotency?: { key: string; digest: string }
}

/** Where an upload belongs and who may move it: see `send-message/media-records.ts`. */
export interface MediaRecordDocument {
  /** The temporary public id. That it is unique is the claim. */
  _id: string
  state: 'promoting' | 'undoing' | 'undone' | 'attached'
  senderId: ObjectId
  /** New with every change of hands: what a former holder still sends is refused by it. */
  token: string
  /** Until when the holder may act, in the database's time; absent once nobody has to look, so that the index stays small. */
  until?: Date
  /** Another request or process has held this record before: a call of its may still be under way. */
  takenOver: boolean
  /** A call that was not answered and may yet land: a promotion (`forward`; `late`: after its quiet time) or its undo (`back`). */
  uncertain?: 'forward' | 'late' | 'back'
  /** Attached, and still due: the types in which its message has nothing. What is found there under its id is moved back. */
  lateTypes?: ('image' | 'video' | 'raw')[]
  /** How often the sweeper has failed on it. */
  failures?: number
  messageId?: ObjectId
}

/** What other services own; this one only reads it. Other fields are ignored. */

export interface UserDocument {
  _id: ObjectId
  status: 'active' | 'inactive' | 'suspended' | 'deleted'
}

export interface DeviceDocument {
  _id: ObjectId
  userId: ObjectId
  trusted: boolean
}

export interface BlockDocument {
  _id: ObjectId
  blockerId: ObjectId
  blockedId: ObjectId
}

/** Users and devices are read by `_id` alone, conversations too: the index that every collection has. */
const ownIndexes: Record<'conversations' | 'messages' | 'media', IndexDescription[]> = {
  conversations: [],
  messages: [
    { name: 'history', key: { conversationId: 1, _id: 1 } },
    {
      // Begins with the shard key, so that it stays enforceable on a sharded cluster.
      name: 'idempotency',
      key: { conversationId: 1, senderId: 1, 'idempotency.key': 1 },
      unique: true,
      partialFilterExpression: { 'idempotency.key': { $exists: true } },
    },
  ],
  media: [{ name: 'open', key: { until: 1 }, partialFilterExpression: { until: { $exists: true } } }],
}

const blocksIndex: IndexDescription = { key: { blockerId: 1, blockedId: 1 }, unique: true }

/** Somebody has made it; the service can neither use it nor make its own, and what it does to the documents is not known. */
export class IndexInTheWay extends Error {
  override readonly name = 'IndexInTheWay'
  constructor(collection: string, theirs: string | undefined, own: string | undefined) {
    super(
      `the index "${theirs}" of ${collection} is in the way of the service’s index "${own}": drop it, and start again`,
    )
  }
}

/** Makes the service's own collections and indexes; throws `IndexInTheWay`, or what the database answers. Safe to repeat. */
export async function ensureOwnCollections(db: Db): Promise<void> {
  for (const [name, indexes] of Object.entries(ownIndexes)) {
    await ensureCollection(db, name)
    const collection = db.collection(name)
    // A login that may make indexes, and not list them, is enough: then the database itself compares.
    const present = await indexesOf(collection, { noneOn: unauthorized })
    const missing = missingOf(indexes, present, name)
    // Not the collection's own collation, which may take two keys for one.
    const exact = missing.map((index) => ({ ...index, collation: { locale: 'simple' } }))
    if (exact.length > 0) await collection.createIndexes(exact)
  }
}

/**
 * Makes the index that the block check reads by, unless one with the same keys is there. The collection is another
 * service's: what cannot be made is reported, and the service goes on, slower.
 */
export async function ensureBlocksIndex(db: Db, warn: (cause: unknown) => void): Promise<void> {
  const blocks = db.collection('blocks')
  try {
    if (!(await hasIndexOn(blocks, blocksIndex.key))) await blocks.createIndexes([blocksIndex])
  } catch (error) {
    warn(error)
  }
}

async function ensureCollection(db: Db, name: string): Promise<void> {
  try {
    await db.createCollection(name)
  } catch (error) {
    const namespaceExists = 48
    if ((error as { code?: unknown }).code !== namespaceExists) throw error
  }
}

async function hasIndexOn(collection: Collection, key: IndexDescription['key']): Promise<boolean> {
  const indexes = await indexesOf(collection, { noneOn: namespaceNotFound })
  return indexes.some((index) => hasKey(index, key))
}

const unauthorized = 13
const namespaceNotFound = 26

async function indexesOf(
  collection: Collection,
  { noneOn }: { noneOn: number },
): Promise<IndexDescriptionInfo[]> {
  return await collection.indexes().catch((error: { code?: unknown }) => {
    if (error.code === noneOn) return []
    throw error
  })
}

/** One that is like it serves under whatever name: the database refuses a second one. */
function missingOf(
  own: readonly IndexDescription[],
  present: readonly IndexDescriptionInfo[],
  collection: string,
): IndexDescription[] {
  const missing = own.filter((index) => !present.some((each) => isLike(each, index)))
  for (const { name, key } of missing) {
    const inTheWay = present.find((each) => each.name === name || hasKey(each, key))
    if (inTheWay) throw new IndexInTheWay(collection, inTheWay.name, name)
  }
  return missing
}

function isLike(present: IndexDescriptionInfo, own: IndexDescription): boolean {
  return (
    hasKey(present, own.key) &&
    Boolean(present.unique) === Boolean(own.unique) &&
    isDeepStrictEqual(present.partialFilterExpression, own.partialFilterExpression) &&
    !present.sparse &&
    present.expireAfterSeconds === undefined &&
    present.collation === undefined
  )
}

/** The order of the keys counts. */
function hasKey(present: IndexDescriptionInfo, key: IndexDescription['key']): boolean {
  return JSON.stringify(present.key) === JSON.stringify(key)
}
