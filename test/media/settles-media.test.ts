import type { Document } from 'mongodb'
import { ObjectId } from 'mongodb'
import t from 'tap'
import type { MediaItem } from '../../schemas/message.ts'
import type { MediaRecordDocument } from '../../src/collections.ts'
import { messageOf } from '../../src/send-message/draft.ts'
import type { Entry } from '../../src/send-message/entry.ts'
import { readClaims, settleMedia } from '../../src/send-message/settle-media.ts'
import { startedBy } from '../support/commands.ts'
import { draft, startFeature } from '../support/feature.ts'
import { databaseNowMs } from '../support/media.ts'

// The records of a message's media, at its commit: only their holder's, only as long as he holds them, and all of them.

const feature = await startFeature(t, { monitorCommands: true })
const { client, db } = feature
const media = db.collection<MediaRecordDocument>('media')
const [alice, bob] = await feature.two()
const options = { signal: AbortSignal.timeout(60_000) }

function entry(ids: string[], claimToken: string | undefined, types: MediaItem['type'][] = []): Entry {
  const made = draft(alice, bob, { media: ids.map((publicId) => ({ publicId })) })
  // Of a media item, a settlement looks at nothing else.
  const items = types.map((type) => ({ type }) as MediaItem)
  return { draft: made, message: messageOf(made, items, new Date(0)), claimToken }
}

/** A record in some state, of a holder; gives its id. */
async function record(token: string, rest: Partial<MediaRecordDocument> = {}): Promise<string> {
  const _id = `temp/user_${alice.id.toHexString()}/${new ObjectId().toHexString()}`
  const held = {
    state: 'promoting',
    token,
    until: new Date(),
    takenOver: false,
    senderId: alice.id,
    failures: 1,
  } as const
  await media.insertOne({ _id, ...held, ...rest })
  return _id
}

async function settle(...entries: Entry[]): Promise<void> {
  await settleMedia(db, entries, await readClaims(db, entries, options), options)
}

async function recordsOf(...ids: string[]): Promise<MediaRecordDocument[]> {
  return await media
    .find({ _id: { $in: ids } })
    .sort({ _id: 1 })
    .toArray()
}

async function commandsOf(work: () => Promise<unknown>): Promise<Document[]> {
  return (await startedBy(client, work)).map(({ command }) => command)
}

t.test('a claim is held while every record is its own, and being promoted', async (t) => {
  const [one, two] = [await record('mine'), await record('mine')]
  const states = [{ state: 'undoing' }, { state: 'attached' }] as const
  const others = [await record('another'), ...(await Promise.all(states.map((each) => record('mine', each))))]
  const entries = {
    whole: entry([one, two], 'mine'),
    "another's": entry([one, others[0] ?? ''], 'mine'),
    undone: entry([others[1] ?? '', two], 'mine'),
    attached: entry([others[2] ?? ''], 'mine'),
    'another claim': entry([one], 'another'),
    'no record': entry([one, 'temp/none'], 'mine'),
    'no claim': entry(['temp/none'], undefined),
    'no media': entry([], undefined),
  }

  const claims = await readClaims(db, Object.values(entries), options)

  const held = Object.entries(entries).filter(([, each]) => claims.areHeldBy(each))
  t.strictSame(
    held.map(([name]) => name),
    ['whole', 'no media'],
  )
})

t.test('what is settled is attached to its message for good, and nothing else is touched', async (t) => {
  const [one, two, three] = [await record('first'), await record('first'), await record('second')]
  const untouched = [await record('first'), await record('second')]
  const [first, text, second] = [entry([one, two], 'first'), entry([], undefined), entry([three], 'second')]
  const before = await recordsOf(...untouched)

  const commands = await commandsOf(() => settle(first, text, second))

  const attached = { state: 'attached', takenOver: false, senderId: alice.id }
  t.strictSame(await recordsOf(one, two, three), [
    { _id: one, ...attached, token: 'first', messageId: first.message._id },
    { _id: two, ...attached, token: 'first', messageId: first.message._id },
    { _id: three, ...attached, token: 'second', messageId: second.message._id },
  ] as unknown[])
  t.strictSame(await recordsOf(...untouched), before)
  const writes = commands.filter(({ update }) => update === 'media')
  t.match(writes, [
    {
      updates: [
        { multi: true, u: { $set: {} } },
        { multi: true, u: { $set: {} } },
      ],
    },
  ])
  t.strictSame([writes.length, writes[0]?.updates.length], [1, 2])
})

t.test('what is uncertain stays due, and says in which types its message has nothing', async (t) => {
  const uncertain = { uncertain: 'forward', takenOver: true } as const
  const [image, certain] = [await record('mine', uncertain), await record('mine')]
  const [video, file] = [await record('mine', uncertain), await record('mine', uncertain)]
  const plain = await record('another')
  const mixed = entry([image, certain, video, file], 'mine', ['image', 'image', 'video', 'file'])
  const beside = entry([plain], 'another', ['image'])

  const beforeMs = await databaseNowMs(db)
  await settle(mixed, beside)
  const afterMs = await databaseNowMs(db)

  const [ofImage, ofCertain, ofVideo, ofFile] = await recordsOf(image, certain, video, file)
  const kept = { state: 'attached', messageId: mixed.message._id, uncertain: 'forward' }
  for (const each of [ofImage, ofVideo, ofFile]) t.match(each, kept)
  // Not by `match`, to which a type too many is the same.
  t.strictSame(
    [ofImage, ofVideo, ofFile].map((each) => each?.lateTypes),
    [
      ['video', 'raw'],
      ['image', 'raw'],
      ['image', 'video'],
    ],
  )
  const quietUntilMs = [ofImage, ofVideo, ofFile].map((each) => each?.until?.getTime() ?? 0)
  t.ok(quietUntilMs.every((ms) => ms >= beforeMs + 90_000 && ms <= afterMs + 90_000))
  const settled = { state: 'attached', takenOver: false, senderId: alice.id }
  t.strictSame([ofCertain, ...(await recordsOf(plain))], [
    { _id: certain, ...settled, token: 'mine', messageId: mixed.message._id },
    { _id: plain, ...settled, token: 'another', messageId: beside.message._id },
  ] as unknown[])
})

t.test('fewer records than a message has media are a defect', async (t) => {
  const [held, lost] = [await record('mine'), await record('another')]
  const gone = await record('mine', { state: 'undoing' })

  const failures = await Promise.all(
    [[held, lost], [gone], ['temp/none']].map((ids) =>
      settle(entry(ids, 'mine')).then(
        () => 'settled',
        (error: unknown) => (error as Error).message,
      ),
    ),
  )

  t.strictSame(failures, [
    '1 of 2 media records could be settled',
    '0 of 1 media records could be settled',
    '0 of 1 media records could be settled',
  ])
})

t.test(
  'texts cost no command, and of a record no more is read than who holds it, and how surely',
  async (t) => {
    const id = await record('mine')
    const texts = [entry([], undefined), entry([], undefined)]

    const none = await commandsOf(() => settle(...texts))
    const read = await commandsOf(() => readClaims(db, [entry([id], 'mine')], options))

    t.strictSame(none, [])
    const projection = { state: 1, token: 1, uncertain: 1 }
    t.match(read, [{ find: 'media', filter: { _id: { $in: [id] } }, projection }])
    t.strictSame([read.length, Object.keys(read[0]?.projection)], [1, Object.keys(projection)])
  },
)
