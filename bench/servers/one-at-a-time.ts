import { MongoClient, ObjectId } from 'mongodb'
import type { SendMessageBody } from '../../schemas/message.ts'
import { conversationIdOf, pairOf } from '../../src/send-message/conversation.ts'
import { echoOf, environment, serve } from './common.ts'

/**
 * What a good engineer writes first: the ceiling, a look at sender, device, receiver and blocks, then a transaction for each
 * message with the chat's upsert and the insert. Correct, and one message at a time.
 */
const client = await MongoClient.connect(environment.mongodbUri, { writeConcern: { w: 'majority' } })
const db = client.db()

await serve(async ({ sub, deviceId }, receiver, body) => {
  const senderId = new ObjectId(sub)
  const receiverId = new ObjectId(receiver)
  await check(senderId, receiverId, new ObjectId(deviceId))
  const message = await store(senderId, receiverId, body)
  const answer = echoOf(sub, receiver, body)
  const ids = { _id: message._id.toHexString(), conversationId: message.conversationId.toHexString() }
  return { ...answer, data: { ...answer.data, ...ids } }
})

async function check(senderId: ObjectId, receiverId: ObjectId, deviceId: ObjectId): Promise<void> {
  const either = [
    { blockerId: senderId, blockedId: receiverId },
    { blockerId: receiverId, blockedId: senderId },
  ]
  const [sender, device, receiver, block] = await Promise.all([
    db.collection('users').findOne({ _id: senderId }),
    db.collection('devices').findOne({ _id: deviceId, userId: senderId }),
    db.collection('users').findOne({ _id: receiverId }),
    db.collection('blocks').findOne({ $or: either }),
  ])
  if (sender?.status !== 'active' || device?.trusted !== true || !receiver || block)
    throw new Error('refused')
}

async function store(senderId: ObjectId, receiverId: ObjectId, { content, type }: SendMessageBody) {
  const participants = pairOf(senderId, receiverId)
  const conversationId = conversationIdOf(participants)
  const now = new Date()
  const times = { createdAt: now, updatedAt: now }
  const lists = { media: [], deliveredTo: [], seenBy: [], isDeleted: false }
  const message = { _id: new ObjectId(), conversationId, senderId, type, content, ...lists, ...times }
  await client.withSession((session) =>
    session.withTransaction(async () => {
      const chat = { $setOnInsert: { type: 'private', participants, ...times } }
      await db.collection('conversations').updateOne({ _id: conversationId }, chat, { upsert: true, session })
      await db.collection('messages').insertOne(message, { session })
    }),
  )
  return message
}
