import type { Db } from 'mongodb'
import type { MediaRecordDocument } from '../../../src/collections.ts'
import type { CloudinaryStandIn } from '../../../src/dev/cloudinary/server.ts'
import type { Found, StoredMessage } from './count.ts'

/** Everything that is there, as a majority has it. */
export async function findAll(db: Db, storage: CloudinaryStandIn): Promise<Found> {
  const majority = { readConcern: { level: 'majority' } } as const
  const projection = { conversationId: 1, senderId: 1, content: 1, media: 1, idempotency: 1 }
  const messages = db.collection<StoredMessage>('messages').find({}, { ...majority, projection })
  const conversations = db.collection('conversations').find({}, { ...majority, projection: { _id: 1 } })
  return {
    messages: await messages.toArray(),
    records: await db.collection<MediaRecordDocument>('media').find({}, majority).toArray(),
    conversations: new Set((await conversations.toArray()).map(({ _id }) => _id.toHexString())),
    assets: new Set(storage.list().map(({ publicId }) => publicId)),
  }
}
