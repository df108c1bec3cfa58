import type { Document } from 'mongodb'
import { ObjectId } from 'mongodb'
import t from 'tap'
import type { MediaRecordDocument } from '../src/collections.ts'
import { messageOf } from '../src/send-message/draft.ts'
import type { Entry } from '../src/send-message/entry.ts'
import { readClaims, settleMedia } from '../src/send-message/settle-media.ts'
import { draft, startFeature } from './support/feature.ts'

// The records of a message's media, at its commit: only their holder's, only as long as he holds them, and all of them.

const feature = await startFeature(t, { monitorCommands: true })
const { client, db } = feature
const media = db.collection<MediaRecordDocument>('media')
const [alice, bob] = await feature.two()
const options = { signal: AbortSignal.timeout(60_000) }

function entry(ids: string[], claim: string | undefined): Entry {
  const made = draft(alice, bob, { media: ids.map((publicId) => ({ publicId })) })
  return { draft: made, message: messageOf(made, [], new Date(0)), claim }
}

/** A record in some state, of a holder; gives its id. */
async function record(token: string, state: MediaRecordDocument['state'] = 'promoting'): Promise<string> {
  const _id = `temp/user_${alice.id.toHexString()}/${new ObjectId().toHexString()}`
  const rest = { uncertain: 'forward', failures: 1, takenOver: false, senderId: alice.id } as const
  await media.insertOne({ _id, state, token, until: new Date(), ...rest } as MediaRecordDocument)
  return _id
}

async function commandsOf(work: () => Promise<unknown>): Promise<Document[]> {
  const commands: Document[] = []
  const onStart = ({ command }: { command: Document }): void => void commands.push(command)
  client.on('commandStarted', onStart)
  await work()
  client.off('commandStarted', onStart)
  return commands
}

t.test('a claim is held while every record is its own, and being promoted', async (t) => {
  const [one, two] = [await record('mine'), await record('mine')]
  const others = [await record('another'), await record('mine', 'undoing'), await record('mine', 'attached')]
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
  const before = await media.find({ _id: { $in: untouched } }).toArray()

  await settleMedia(db, [first, text, second], options)

  const settled = await media
    .find({ _id: { $in: [one, two, three] } })
    .sort({ _id: 1 })
    .toArray()
  const attached = { state: 'attached', takenOver: false, senderId: alice.id }
  t.strictSame(settled, [
    { _id: one, ...attached, token: 'first', messageId: first.message._id },
    { _id: two, ...attached, token: 'first', messageId: first.message._id },
    { _id: three, ...attached, token: 'second', messageId: second.message._id },
  ] as unknown[])
  t.strictSame(await media.find({ _id: { $in: untouched } }).toArray(), before)
})

t.test('fewer records than a message has media are a defect', async (t) => {
  const [held, lost, gone] = [await record('mine'), await record('another'), await record('mine', 'undoing')]

  const failures = await Promise.all(
    [[held, lost], [gone], ['temp/none']].map((ids) =>
      settleMedia(db, [entry(ids, 'mine')], options).then(
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

t.test('texts cost no command, and of a record no more is read than who holds it', async (t) => {
  const id = await record('mine')
  const texts = [entry([], undefined), entry([], undefined)]

  const none = await commandsOf(async () => {
    await readClaims(db, texts, options)
    await settleMedia(db, texts, options)
  })
  const read = await commandsOf(() => readClaims(db, [entry([id], 'mine')], options))

  t.strictSame(none, [])
  t.match(read, [{ find: 'media', filter: { _id: { $in: [id] } }, projection: { state: 1, token: 1 } }])
  t.equal(read.length, 1)
})
