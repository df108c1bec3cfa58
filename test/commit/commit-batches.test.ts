import t from 'tap'
import type { ConversationDocument, MessageDocument } from '../../src/collections.ts'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { createCommitter } from '../../src/send-message/commit.ts'
import { startedBy } from '../support/commands.ts'
import { commandsOf, idsOf, newCommitter, storedIds } from '../support/commits.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'
import { recordOf } from '../support/media.ts'

const feature = await startFeature(t, { monitorCommands: true })
const { db, client, commitDeps, storage } = feature
const messages = db.collection<MessageDocument>('messages')
const conversations = db.collection<ConversationDocument>('conversations')

const { two } = feature

const reads = ['find blocks', 'find users', 'find devices']

t.test('a text in a known chat is three reads, an insert and a commit, alone or with others', async (t) => {
  const [alice, bob] = await two()
  const { commit } = newCommitter(commitDeps)
  await commit(draft(alice, bob))

  const lone = await commandsOf(client, () => commit(draft(alice, bob)))
  // The first leaves at once, and the others together behind it.
  const many = await commandsOf(client, () =>
    Promise.all(Array.from({ length: 50 }, () => commit(draft(alice, bob)))),
  )

  t.strictSame(lone, [...reads, 'insert messages', 'commit'])
  t.strictSame(many, [...lone, ...lone])
})

t.test('a new chat, a key and media cost a command more each', async (t) => {
  const [alice, bob] = await two()
  const { commit } = newCommitter(commitDeps)

  const newChat = await commandsOf(client, () => commit(draft(alice, bob)))
  const key = await commandsOf(client, () => commit(draft(alice, bob, { key: 'k' })))
  const replay = await commandsOf(client, () => commit(draft(alice, bob, { key: 'k' })))
  const media = await commandsOf(client, () =>
    codeOf(commit(draft(alice, bob, { media: [{ publicId: 'x' }] }))),
  )

  t.strictSame(newChat, [...reads, 'update conversations', 'insert messages', 'commit'])
  t.strictSame(key, [...reads, 'find messages', 'insert messages', 'commit'])
  t.strictSame(replay, [...reads, 'find messages', 'commit'])
  t.strictSame(media, [...reads, 'find media', 'commit'])
})

t.test('300 messages of as many people at once are all stored exactly once', async (t) => {
  const people = await Promise.all(Array.from({ length: 300 }, () => feature.person()))
  const [bob] = await two()
  const { commit } = newCommitter(commitDeps)

  const all = await Promise.all(people.map((person) => commit(draft(person, bob))))

  const senders = people.map(({ id }) => id)
  const stored = await messages.find({ senderId: { $in: senders } }).toArray()
  t.strictSame(stored.map(({ _id }) => _id.toHexString()).sort(), idsOf(all))
  t.equal(await conversations.countDocuments({ participants: bob.id }), 300)
})

t.test('256 of the longest messages, with four bytes a character, fit into one batch', async (t) => {
  const [alice, bob] = await two()
  const sizes: number[] = []
  const { commit } = createCommitter({ ...commitDeps, onBatch: (size) => void sizes.push(size) })
  const content = '👍'.repeat(4096)

  const all = await Promise.all(Array.from({ length: 257 }, () => commit(draft(alice, bob, { content }))))

  t.strictSame(await storedIds(alice, bob), idsOf(all))
  t.ok(sizes.length > 1 && sizes.length < 6, `in ${sizes} messages`)
})

t.test('what is more than may wait is refused at once', async (t) => {
  const [alice, bob] = await two()
  await alice.becomes('suspended')
  const { commit } = newCommitter(commitDeps)

  // One leaves at once, and 8,192 wait.
  const codes = await Promise.all(Array.from({ length: 8_195 }, () => codeOf(commit(draft(alice, bob)))))

  t.strictSame([...new Set(codes.slice(0, 8_193))], ['ACCOUNT_SUSPENDED'])
  t.strictSame(codes.slice(8_193), ['OVERLOADED', 'OVERLOADED'])
})

t.test('a message that the database refuses fails alone', async (t) => {
  const [alice, bob] = await two()
  await db.command({ collMod: 'messages', validator: { content: { $ne: 'poison' } } })
  t.teardown(() => db.command({ collMod: 'messages', validator: {} }))
  const { commit } = newCommitter(commitDeps)
  const contents = ['a', 'b', 'poison', 'c', 'poison', 'd']

  const codes = await Promise.all(contents.map((content) => codeOf(commit(draft(alice, bob, { content })))))

  t.strictSame(codes, ['OK', 'OK', 'INTERNAL_ERROR', 'OK', 'INTERNAL_ERROR', 'OK'])
  t.strictSame((await alice.sentTo(bob)).map(({ content }) => content).sort(), ['a', 'b', 'c', 'd'])
})

t.test('a chat that the database refuses fails its messages alone', async (t) => {
  const [alice, bob] = await two()
  const [carol, dave] = await two()
  await db.command({ collMod: 'conversations', validator: { participants: { $ne: carol.id } } })
  t.teardown(() => db.command({ collMod: 'conversations', validator: {} }))
  const { commit } = newCommitter(commitDeps)
  await commit(draft(alice, bob))

  const codes = await Promise.all([
    codeOf(commit(draft(alice, bob))),
    codeOf(commit(draft(carol, dave))),
    codeOf(commit(draft(dave, alice))),
    codeOf(commit(draft(alice, bob))),
  ])

  t.strictSame(codes, ['OK', 'INTERNAL_ERROR', 'OK', 'OK'])
  t.equal(await conversations.countDocuments({ participants: carol.id }), 0)
})

t.test('data that no check expects fails its own message', async (t) => {
  const [alice, bob] = await two()
  const odd = await feature.person()
  const userId = odd.id.toHexString()
  await db.collection('devices').updateOne({ _id: odd.deviceId }, { $set: { userId } })
  const { commit } = newCommitter(commitDeps)

  const codes = await Promise.all(
    [alice, odd, bob].map((sender) => codeOf(commit(draft(sender, sender === bob ? alice : bob)))),
  )

  t.strictSame(codes, ['OK', 'INTERNAL_ERROR', 'OK'])
})

t.test('media that was never claimed is not stored', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')

  const code = await codeOf(newCommitter(commitDeps).commit(draft(alice, bob, { media: [{ publicId: id }] })))

  t.equal(code, 'REQUEST_IN_PROGRESS')
  t.strictSame(storage.requests, [])
  t.equal((await alice.sentTo(bob)).length, 0)
})

t.test('fewer records settled than a message has media: not stored', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const media = [{ publicId: id }, { publicId: id }]
  await feature.deps.records.claim([id], { senderId: alice.id, token: 'held' }, deadlineIn(5_000))

  const sent = newCommitter(commitDeps).commit(draft(alice, bob, { media }), {
    media: [],
    claim: { token: 'held' },
  })

  t.equal(await codeOf(sent), 'INTERNAL_ERROR')
  t.equal((await alice.sentTo(bob)).length, 0)
  t.equal((await recordOf(db, id))?.state, 'promoting')
})

t.test(
  'those with keys are written in the order of their keys, so that of two batches one goes on',
  async (t) => {
    const [alice, bob] = await two()
    const { commit } = newCommitter(commitDeps)
    const leading = commit(draft(bob, alice))

    const started = await startedBy(client, () =>
      Promise.all(['c', 'a', 'b'].map((key) => commit(draft(alice, bob, { key })))),
    )

    await leading
    const written = started.flatMap(({ command }): MessageDocument[] => command.documents ?? [])
    const keys = written.map(({ idempotency }) => idempotency?.key)
    t.strictSame(keys.filter(Boolean), ['a', 'b', 'c'])
  },
)

t.test(
  'of several with one key in one batch, one leads, and the others get its message or 422',
  async (t) => {
    const [alice, bob] = await two()
    const { commit } = newCommitter(commitDeps)
    const leading = commit(draft(bob, alice))

    const together = await Promise.all([
      commit(draft(alice, bob, { key: 'k' })),
      commit(draft(alice, bob, { key: 'k' })),
      codeOf(commit(draft(alice, bob, { key: 'k', content: 'other' }))),
    ])

    const [first, second, third] = together
    t.notOk((await leading).replayed)
    t.strictSame([first.replayed, second.replayed, third], [false, true, 'IDEMPOTENCY_KEY_REUSED'])
    t.strictSame(second.message, first.message)
  },
)

t.test('an untrusted leader leaves its key to the next', async (t) => {
  const [alice, bob] = await two()
  const { commit } = newCommitter(commitDeps)
  const leading = commit(draft(bob, alice))
  const untrusted = { ...draft(alice, bob, { key: 'k' }), deviceId: bob.deviceId.toHexString() }

  const codes = await Promise.all([
    codeOf(commit(untrusted)),
    codeOf(commit(draft(alice, bob, { key: 'k' }))),
  ])

  await leading
  t.strictSame(codes, ['DEVICE_NOT_TRUSTED', 'OK'])
})

t.test('a cluster’s read concern sees the same', async (t) => {
  const [alice, bob] = await two()
  const { commit } = createCommitter({ ...commitDeps, readConcern: 'majority', primary: undefined })
  await commit(draft(alice, bob, { key: 'k' }))

  const replay = await commit(draft(alice, bob, { key: 'k' }))

  t.ok(replay.replayed)
})

t.test('what was read beside a transaction counts only while one primary answers', async (t) => {
  const [alice, bob] = await two()
  const primaries = ['one', 'another']
  const primary = (): string => primaries.shift() ?? 'another'
  const attempts: number[] = []
  const deps = { ...commitDeps, primary, onBatch: (size: number) => void attempts.push(size) }

  const sent = await createCommitter(deps).commit(draft(alice, bob))

  t.strictSame(attempts, [1, 1])
  t.strictSame(await storedIds(alice, bob), idsOf([sent]))
})
