import { createHash } from 'node:crypto'
import { ObjectId } from 'mongodb'
import t from 'tap'
import type { ConversationDocument, MessageDocument } from '../../src/collections.ts'
import type { Person } from '../support/people.ts'
import { startService } from '../support/service.ts'

const service = await startService(t)
const other = await startService(t, { mongodbUri: service.mongodbUri, storage: service.storage })
const conversations = service.db.collection<ConversationDocument>('conversations')
const messages = service.db.collection<MessageDocument>('messages')

async function two(): Promise<[Person, Person]> {
  return [await service.person(), await service.person()]
}

/** The contract's formula, written down a second time. */
function chatOf(one: Person, another: Person): { _id: ObjectId; participants: [ObjectId, ObjectId] } {
  const hexes = [one.id.toHexString(), another.id.toHexString()].sort() as [string, string]
  const hash = createHash('sha256')
    .update(Buffer.from(hexes.join(''), 'hex'))
    .digest()
  return {
    _id: new ObjectId(hash.subarray(0, 12)),
    participants: [new ObjectId(hexes[0]), new ObjectId(hexes[1])],
  }
}

t.test('a text is answered with the message, and nothing else', async (t) => {
  const [alice, bob] = await two()
  const before = Date.now()

  const answer = await alice.sends(bob, { content: 'Hello there', type: 'text' })

  const { data } = answer.body
  t.equal(answer.status, 200)
  t.strictSame(answer.body, {
    success: true,
    message: 'request processed successfully',
    data: {
      conversationId: chatOf(alice, bob)._id.toHexString(),
      senderId: alice.id.toHexString(),
      type: 'text',
      content: 'Hello there',
      media: [],
      deliveredTo: [],
      seenBy: [],
      isDeleted: false,
      _id: data._id,
      createdAt: data.createdAt,
      updatedAt: data.createdAt,
    },
    timestamp: answer.body.timestamp,
  })
  t.match(data._id, /^[0-9a-f]{24}$/)
  t.ok(Date.parse(data.createdAt) >= before && Date.parse(data.createdAt) <= Date.now())
  t.ok(Date.parse(answer.body.timestamp) >= Date.parse(data.createdAt))
  t.notOk(answer.headers.has('idempotent-replayed'))
})

t.test('the stored message has the fields of the data model, and no key where none was sent', async (t) => {
  const [alice, bob] = await two()

  const { data } = (await alice.sends(bob, 'Hello there')).body

  const [stored, ...more] = await alice.sentTo(bob)
  t.strictSame(more, [])
  t.strictSame(stored, {
    _id: new ObjectId(data._id),
    conversationId: chatOf(alice, bob)._id,
    senderId: alice.id,
    type: 'text',
    content: 'Hello there',
    media: [],
    deliveredTo: [],
    seenBy: [],
    isDeleted: false,
    createdAt: new Date(data.createdAt),
    updatedAt: new Date(data.updatedAt),
  })
  t.ok(stored?.createdAt instanceof Date)
})

t.test('a key is stored with a digest, beside the same fields', async (t) => {
  const [alice, bob] = await two()

  await alice.sends(bob, 'Hello there', { key: 'a-key' })

  const [stored] = await alice.sentTo(bob)
  t.strictSame(Object.keys(stored?.idempotency ?? {}).sort(), ['digest', 'key'])
  t.equal(stored?.idempotency?.key, 'a-key')
  t.match(stored?.idempotency?.digest, /^\S{20,}$/)
})

t.test('the first message makes the chat, and no later one touches it', async (t) => {
  const [alice, bob] = await two()
  const chat = chatOf(alice, bob)

  const { data } = (await alice.sends(bob, 'first')).body
  const made = await conversations.findOne({ _id: chat._id })
  await alice.sends(bob, 'second')
  // The other instance does not know the chat yet.
  await alice.sends(bob, 'third', { via: other.url })

  const createdAt = new Date(data.createdAt)
  t.strictSame(made, { ...chat, type: 'private', createdAt, updatedAt: createdAt })
  t.strictSame(await conversations.findOne({ _id: chat._id }), made)
  t.strictSame(
    (await alice.sentTo(bob)).map(({ content }) => content),
    ['first', 'second', 'third'],
  )
})

t.test('both directions meet in one chat', async (t) => {
  const [alice, bob] = await two()

  const there = await alice.sends(bob, 'Hello')
  const back = await bob.sends(alice, 'Hello yourself')

  const participants = { $all: [alice.id, bob.id] }
  t.equal(there.body.data.conversationId, back.body.data.conversationId)
  t.equal(await conversations.countDocuments({ participants }), 1)
  t.equal(await messages.countDocuments({ conversationId: chatOf(alice, bob)._id }), 2)
})

t.test('two first messages at once, on two instances, meet in one chat', async (t) => {
  const pairs = await Promise.all(Array.from({ length: 8 }, two))

  const answers = await Promise.all(
    pairs.flatMap(([alice, bob]) => [
      alice.sends(bob, 'Hello', { via: service.url }),
      bob.sends(alice, 'Hello', { via: other.url }),
    ]),
  )

  const ids = pairs.map(([alice, bob]) => chatOf(alice, bob)._id)
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(await conversations.countDocuments({ _id: { $in: ids } }), pairs.length)
  t.equal(await messages.countDocuments({ conversationId: { $in: ids } }), answers.length)
})

t.test('the receiver may be written in upper case', async (t) => {
  const [alice, bob] = await two()

  const answer = await alice.sends(bob, 'Hello', { userId: bob.id.toHexString().toUpperCase() })

  t.equal(answer.body.data.conversationId, chatOf(alice, bob)._id.toHexString())
  t.equal((await alice.sentTo(bob)).length, 1)
})

t.test('content is kept as it was sent: not trimmed, not normalised, not escaped', async (t) => {
  const [alice, bob] = await two()
  const content = ' \t<b>a\u0308 & \u00e4</b>\r\n\u200d👩‍👩‍👧 "\\u0041" $where \ufeff '

  const answer = await alice.sends(bob, { content, type: 'text' })

  const [stored] = await alice.sentTo(bob)
  t.equal(answer.body.data.content, content)
  t.equal(stored?.content, content)
})

t.test('4096 code points of four bytes each are a text', async (t) => {
  const [alice, bob] = await two()
  const content = '👍'.repeat(4096)

  const answer = await alice.sends(bob, { content, type: 'text' })

  t.equal(answer.status, 200)
  t.equal((await alice.sentTo(bob))[0]?.content, content)
})

t.test('every type may go without media', async (t) => {
  const [alice, bob] = await two()

  const types = ['text', 'image', 'video', 'file']
  const answers = await Promise.all(
    types.map((type) => alice.sends(bob, { content: 'Hello', type, media: [] })),
  )

  t.strictSame(
    answers.map(({ body }) => body.data.type),
    types,
  )
  t.strictSame(
    answers.map(({ body }) => body.data.media),
    [[], [], [], []],
  )
})

t.test('without a key, the same text twice is two messages', async (t) => {
  const [alice, bob] = await two()

  const first = await alice.sends(bob, 'Hello')
  const second = await alice.sends(bob, 'Hello')

  t.not(first.body.data._id, second.body.data._id)
  t.equal((await alice.sentTo(bob)).length, 2)
})
