import { ObjectId } from 'mongodb'
import t from 'tap'
import type { MediaRecordDocument } from '../../src/collections.ts'
import { conversationIdOf, pairOf } from '../../src/send-message/conversation.ts'
import { commandNames } from '../support/database-messages.ts'
import { countUp, type Found, type StoredMessage } from './support/count.ts'
import { type Entry, openLedger } from './support/ledger.ts'
import { longestGapMs, rateOf, recoveryMs } from './support/rate.ts'

// What counts the messages after a fault must itself be able to fail: each test changes one thing that must not be.

const sender = new ObjectId()
const receiver = new ObjectId()
const conversationId = conversationIdOf(pairOf(sender, receiver))
const upload = `temp/user_${sender.toHexString()}/a`
const promoted = `messages/user_${sender.toHexString()}/a`

function entry(more: Partial<Entry> = {}): Entry {
  const { entries, open } = openLedger()
  open({
    mark: 'one',
    kind: 'text',
    key: 'k',
    senderId: sender.toHexString(),
    receiverId: receiver.toHexString(),
    mediaIds: [],
  })
  return { ...(entries[0] as Entry), ...more }
}

function message(more: Partial<StoredMessage> = {}): StoredMessage {
  const idempotency = { key: 'k', digest: 'd' }
  return {
    _id: new ObjectId(),
    conversationId,
    senderId: sender,
    content: 'one',
    media: [],
    idempotency,
    ...more,
  }
}

function found(messages: StoredMessage[], more: Partial<Found> = {}): Found {
  const conversations = new Set([conversationId.toHexString()])
  return { messages, conversations, records: [], assets: new Set(), ...more }
}

function withMedia(): StoredMessage {
  const item = {
    url: 'u',
    publicId: promoted,
    assetId: 'a',
    type: 'image',
    height: 1,
    width: 1,
    bytes: 1,
  } as const
  return message({ media: [item] })
}

function record(more: Partial<MediaRecordDocument>): MediaRecordDocument {
  return { _id: upload, state: 'attached', senderId: sender, token: 't', takenOver: false, ...more }
}

t.test('what was acknowledged and is there, once, is in order', async (t) => {
  const stored = message()

  const count = countUp([entry({ acknowledged: stored._id.toHexString() })], found([stored]))

  t.strictSame(count, { acknowledged: 1, found: 1, lost: 0, doubled: 0, broken: [] })
})

t.test('an acknowledged message that is not there is lost, also when another has its key', async (t) => {
  const acknowledged = new ObjectId().toHexString()

  t.match(countUp([entry({ acknowledged })], found([])), { lost: 1, broken: [/lost: one/] })
  t.match(countUp([entry({ acknowledged })], found([message()])), { lost: 1, broken: [/lost: one/] })
})

t.test('a message that is there twice is doubled', async (t) => {
  const stored = message()

  const count = countUp([entry({ acknowledged: stored._id.toHexString() })], found([stored, message()]))

  t.match(count, { lost: 0, doubled: 1, broken: [/stored twice: one/] })
})

t.test('a message that nobody has sent, or that was refused, must not be there', async (t) => {
  t.match(countUp([], found([message()])).broken, [/sent by nobody: one/])
  t.match(countUp([entry({ refused: '400 X' })], found([message()])).broken, [
    /refused, and stored: one 400 X/,
  ])
  t.strictSame(countUp([entry({ refused: '503 X', unknown: true, key: undefined })], found([])).broken, [])
})

t.test('who repeats with a key must come to an end', async (t) => {
  t.match(countUp([entry()], found([])).broken, [/without a 200 or a refusal: one/])
  t.strictSame(countUp([entry({ key: undefined })], found([])).broken, [])
})

t.test('a message is there as it was sent, in its chat', async (t) => {
  const wrong: Partial<StoredMessage>[] = [
    { senderId: receiver },
    { conversationId: new ObjectId() },
    { idempotency: { key: 'another', digest: 'd' } },
    { media: withMedia().media },
  ]
  const broken = wrong.map(
    (each) => countUp([entry({ refused: 'x', unknown: true })], found([message(each)])).broken,
  )

  t.ok(broken.every((each) => each.some((sentence) => /not as it was sent: one/.test(sentence))))
  t.match(
    countUp([entry({ refused: 'x', unknown: true })], found([message()], { conversations: new Set() }))
      .broken,
    [/chat that is not there: one/],
  )
})

t.test('a stored message has its asset, and the record says so', async (t) => {
  const stored = withMedia()
  const entries = [entry({ mediaIds: [upload], acknowledged: stored._id.toHexString() })]
  const attached = record({ messageId: stored._id })
  const look = (records: MediaRecordDocument[], assets: string[]) =>
    countUp(entries, found([stored], { records, assets: new Set(assets) })).broken

  t.strictSame(look([attached], [promoted]), [])
  t.match(look([attached], [upload]), [/without its asset/])
  t.match(look([record({ messageId: new ObjectId() })], [promoted]), [/not recorded/])
  t.match(look([record({ state: 'promoting', until: new Date() })], [promoted]), [/not recorded/])
})

t.test('an upload without a message is back, or due to the sweeper', async (t) => {
  const entries = [entry({ mediaIds: [upload], refused: '500 X' })]
  const due = record({ state: 'promoting', until: new Date() })
  const look = (records: MediaRecordDocument[], assets: string[]) =>
    countUp(entries, found([], { records, assets: new Set(assets) })).broken

  t.strictSame(look([], [upload]), [])
  t.strictSame(look([due], [promoted]), [])
  t.match(look([], [promoted]), [/due to nobody/])
  t.match(look([record({})], [promoted]), [/due to nobody/])
  t.match(look([due], []), [/neither promoted nor back/])
})

t.test('a gap and a recovery are measured from the times of the answers', async (t) => {
  const every = (fromMs: number, untilMs: number, stepMs: number) =>
    Array.from({ length: (untilMs - fromMs) / stepMs }, (_, index) => fromMs + index * stepMs)
  const acks = [...every(0, 10_000, 10), ...every(13_000, 14_000, 50), ...every(14_000, 30_000, 10)]
  const fault = { faultMs: 10_000, untilMs: 30_000, before: 100 }

  t.equal(rateOf(acks, 0, 10_000), 100)
  t.equal(longestGapMs(acks, 0, 30_000), 3_010)
  // The first window of a second with 80 of the 100.
  t.equal(recoveryMs(acks, fault), 3_800)
  t.equal(recoveryMs(acks, { ...fault, faultMs: 15_000 }), 0)
  t.equal(recoveryMs(acks, { ...fault, untilMs: 13_500 }), undefined)
})

t.test('commands are told from the bytes of a connection, however they are cut', async (t) => {
  const bytes = Buffer.concat([command('find', 300), command('commitTransaction', 40), command('insert', 0)])
  const whole = commandNames()
  const single = commandNames()

  t.strictSame(whole(bytes), ['find', 'commitTransaction', 'insert'])
  t.strictSame(
    [...bytes].flatMap((byte) => single(Buffer.from([byte]))),
    ['find', 'commitTransaction', 'insert'],
  )
})

/** An OP_MSG as the driver sends it; of its document only the beginning. */
function command(name: string, moreBytes: number): Buffer {
  const rest = Buffer.concat([Buffer.from(`\x10${name}\0`), Buffer.alloc(4 + moreBytes)])
  const message = Buffer.concat([Buffer.alloc(25), rest])
  message.writeInt32LE(message.length, 0)
  message.writeInt32LE(2013, 12)
  return message
}
