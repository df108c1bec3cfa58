import { createHash } from 'node:crypto'
import { ObjectId } from 'mongodb'
import t from 'tap'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { conversationIdOf, pairOf } from '../../src/send-message/conversation.ts'
import { bytesOf, type Draft, type DraftRequest, draftOf, messageOf } from '../../src/send-message/draft.ts'
import { createKnownChats } from '../../src/send-message/known-chats.ts'
import { permanentIdOf, refuseInvalidMediaReferences } from '../../src/send-message/media-reference.ts'

// What a request becomes before anything is looked up, without a database.

const [alice, bob] = ['a', 'b'].map((letter) => letter.repeat(24)) as [string, string]
const deviceId = '1'.repeat(24)
const deadline = deadlineIn(1_000)

function draft(request: Partial<DraftRequest> = {}): Draft {
  const sender = { userId: alice, deviceId }
  return draftOf({ sender, receiverId: bob, content: 'Hello', type: 'text', deadline, ...request })
}

t.test('a chat has its two people in one order, and one id, whoever writes', async (t) => {
  const [one, other] = [ObjectId.createFromHexString(alice), ObjectId.createFromHexString(bob)]
  const expected = createHash('sha256')
    .update(Buffer.from(alice + bob, 'hex'))
    .digest('hex')
    .slice(0, 24)

  t.strictSame(pairOf(one, other), [one, other])
  t.strictSame(pairOf(other, one), [one, other])
  t.equal(conversationIdOf(pairOf(other, one)).toHexString(), expected)
  t.equal(draft().conversationId.toHexString(), expected)
})

t.test('a draft is what was asked for, with the receiver in lower case', async (t) => {
  const made = draft({
    receiverId: bob.toUpperCase(),
    type: 'file',
    media: [{ publicId: 'x' }, { publicId: 'w' }],
  })

  t.strictSame(made, {
    senderId: alice,
    deviceId,
    receiverId: bob,
    participants: [ObjectId.createFromHexString(alice), ObjectId.createFromHexString(bob)],
    conversationId: draft().conversationId,
    type: 'file',
    content: 'Hello',
    mediaIds: ['x', 'w'],
    deadline,
  })
  t.strictSame(draft().mediaIds, [])
})

t.test('what has another content, type or media has another digest, and nothing else has', async (t) => {
  const digest = (request: Partial<DraftRequest>): unknown =>
    draft({ key: 'k', ...request }).idempotency?.digest
  const media = [{ publicId: 'x' }, { publicId: 'w' }]
  const different = [
    digest({}),
    digest({ content: 'other' }),
    digest({ type: 'file' }),
    digest({ media }),
    digest({ media: [...media].reverse() }),
    digest({ content: '["Hello","text",[]]' }),
  ]

  t.equal(new Set(different).size, different.length)
  t.strictSame(digest({}), digest({ media: [], receiverId: alice, deadline: deadlineIn(1) }))
  t.match(digest({}), /^[\w-]{43}$/)
  t.equal(draft({ key: 'k' }).idempotency?.key, 'k')
})

t.test('a message is its draft, new, and told to nobody yet', async (t) => {
  const media = [
    { url: 'u', publicId: 'x', assetId: 'a', type: 'file' as const, height: null, width: null, bytes: 1 },
  ]
  const now = new Date(1_000)
  const keyed = draft({ key: 'k' })

  const message = messageOf(keyed, media, now)
  const another = messageOf(draft(), [], now)

  t.strictSame(message, {
    _id: message._id,
    conversationId: keyed.conversationId,
    senderId: ObjectId.createFromHexString(alice),
    type: 'text',
    content: 'Hello',
    media,
    deliveredTo: [],
    seenBy: [],
    isDeleted: false,
    createdAt: now,
    updatedAt: now,
    idempotency: keyed.idempotency,
  })
  t.notOk('idempotency' in another)
  t.notOk(message._id.equals(another._id))
})

t.test('the bound of a message’s size is above its bytes, in UTF-8', async (t) => {
  const media = Array.from({ length: 10 }, () => ({ publicId: 'x' }))

  t.equal(bytesOf(draft({ content: '' })), 1_024)
  t.equal(bytesOf(draft({ content: '👩é' })), 1_024 + 6)
  t.equal(bytesOf(draft({ content: '', media })), 1_024 + 10 * 5_120)
})

t.test('a reference is in the sender’s own folder, and is no other path', async (t) => {
  const own = `temp/user_${alice}/`
  const wrong = [
    'x',
    own,
    own.slice(0, -1),
    `temp/user_${bob}/x`,
    `temp/user_${alice.toUpperCase()}/x`,
    `/${own}x`,
    ` ${own}x`,
    `messages/user_${alice}/x`,
    ...['..', '.', '../x', 'x/..', 'x/../y', 'x/./y', '/x', 'x//y', 'x/', ' x ', 'x ', 'x\u00a0', '\ud800'],
    ...['\u0000', '\u001f', '\u007f', '\u009f', '\\', '%', '?', '#', '&', '+', '<', '>'].map(
      (each) => `x${each}y`,
    ),
  ].map((id) => (id.startsWith('temp') || id.includes('user_') || id === 'x' ? id : own + id))
  const right = [
    'x',
    'x/y',
    '..x',
    'x..',
    '...',
    '.x',
    'x y',
    'ü',
    '\u{1f469}',
    '\u00a1',
    '~',
    '$where',
    '__proto__',
  ]

  const faults = wrong.map((id) => faultsOf([id]))

  t.strictSame(
    faults,
    wrong.map(() => ['/media/0']),
  )
  t.strictSame(faultsOf(right.map((id) => own + id)), [])
  t.strictSame(faultsOf([`${own}x`, 'y', `${own}z`, '']), ['/media/1', '/media/3'])
})

function faultsOf(mediaIds: string[]): unknown[] {
  try {
    refuseInvalidMediaReferences({ senderId: alice, mediaIds })
    return []
  } catch (error) {
    const { code, faults } = error as { code: string; faults: { path: string }[] }
    return [...(code === 'INVALID_MEDIA_REFERENCE' ? [] : [code]), ...faults.map(({ path }) => path)]
  }
}

t.test('a permanent id is the temporary one in another folder', async (t) => {
  t.equal(permanentIdOf(`temp/user_${alice}/temp/x`), `messages/user_${alice}/temp/x`)
})

t.test('known chats are those that were added, up to a number, the oldest gone first', async (t) => {
  const ids = [new ObjectId(), new ObjectId(), new ObjectId()] as const
  const chats = createKnownChats(2)
  const known = (): boolean[] => ids.map((id) => chats.has(new ObjectId(id.toHexString())))

  const before = known()
  chats.add(ids.slice(0, 2))
  const two = known()
  chats.add([ids[2]])

  t.strictSame(
    [before, two, known()],
    [
      [false, false, false],
      [true, true, false],
      [false, true, true],
    ],
  )
})

t.test('a known chat that is used again outlives those that came with it and were not', async (t) => {
  const [first, second, third] = [new ObjectId(), new ObjectId(), new ObjectId()]
  const chats = createKnownChats(4)

  chats.add([first, second, third])
  const wasKnown = chats.has(first)
  chats.add([new ObjectId(), new ObjectId()])

  t.strictSame([wasKnown, chats.has(first), chats.has(second)], [true, true, false])
})
