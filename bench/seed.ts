import { type Db, ObjectId } from 'mongodb'
import { conversationIdOf, pairOf } from '../src/send-message/conversation.ts'
import { contactAt, contactsOf, personAt } from './people.ts'

const chunk = 10_000

/** People with a trusted device each, their chats, and messages that are already stored. */
export async function seed(
  db: Db,
  { people, messages, progress }: { people: number; messages: number; progress(line: string): void },
): Promise<void> {
  const id = (hex: string): ObjectId => ObjectId.createFromHexString(hex)
  await inChunks(people, async (from, to) => {
    const some = range(from, to).map(personAt)
    await db.collection('users').insertMany(some.map(({ userId }) => ({ _id: id(userId), status: 'active' })))
    const devices = some.map(({ userId, deviceId }) => ({
      _id: id(deviceId),
      userId: id(userId),
      trusted: true,
    }))
    await db.collection('devices').insertMany(devices)
    progress(`${to} people`)
  })
  const now = new Date()
  await inChunks(messages, async (from, to) => {
    const some = range(from, to).map((index) => {
      const sender = index % people
      const receiver = contactAt(sender, index % contactsOf, people)
      const senderId = id(personAt(sender).userId)
      const conversationId = conversationIdOf(pairOf(senderId, id(personAt(receiver).userId)))
      const lists = { media: [], deliveredTo: [], seenBy: [], isDeleted: false }
      return {
        conversationId,
        senderId,
        type: 'text',
        content: `seeded ${index}`,
        ...lists,
        createdAt: now,
        updatedAt: now,
      }
    })
    await db.collection('messages').insertMany(some, { ordered: false })
    progress(`${to} messages`)
  })
}

/** Each of `blockers` people blocks `blocks` ids of nobody's: what a block check has to read past. */
export async function seedBlocks(
  db: Db,
  { blockers, blocks }: { blockers: number; blocks: number },
): Promise<void> {
  for (const blocker of range(0, blockers)) {
    const blockerId = ObjectId.createFromHexString(personAt(blocker).userId)
    const some = range(0, blocks).map(() => ({ _id: new ObjectId(), blockerId, blockedId: new ObjectId() }))
    await db.collection('blocks').insertMany(some, { ordered: false })
  }
}

async function inChunks(total: number, work: (from: number, to: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < total; from += chunk) await work(from, Math.min(from + chunk, total))
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}
