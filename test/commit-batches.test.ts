import type { CommandStartedEvent } from 'mongodb'
import t, { type Test } from 'tap'
import type { ConversationDocument, MessageDocument } from '../src/collections.ts'
import { type Committed, type Committer, createCommitter } from '../src/send-message/commit.ts'
import { createKnownChats } from '../src/send-message/known-chats.ts'
import { codeOf, draft, startFeature } from './support/feature.ts'
import { recordOf } from './support/media.ts'
import type { Person } from './support/people.ts'

const feature = await startFeature(t, { ownServer: true, monitorCommands: true })
const { db, client, commitDeps, storage } = feature
const messages = db.collection<MessageDocument>('messages')
const conversations = db.collection<ConversationDocument>('conversations')

async function two(): Promise<[Person, Person]> {
  return [await feature.person(), await feature.person()]
}

/** As another instance: it knows no chats, and its batches are its own. */
function committer(): Committer {
  return createCommitter({ ...commitDeps, knownChats: createKnownChats() })
}

async function storedIds(sender: Person, receiver: Person): Promise<string[]> {
  return (await sender.sentTo(receiver)).map(({ _id }) => _id.toHexString()).sort()
}

function idsOf(committed: readonly Committed[]): string[] {
  return committed.map(({ message }) => message._id.toHexString()).sort()
}

/** The commands that some work sends, in their order. */
async function commandsOf(work: () => Promise<unknown>): Promise<string[]> {
  const commands: string[] = []
  const listen = ({ commandName, command }: CommandStartedEvent): void => {
    commands.push(commandName === 'commitTransaction' ? 'commit' : `${commandName} ${command[commandName]}`)
  }
  client.on('commandStarted', listen)
  await work()
  client.off('commandStarted', listen)
  return commands.filter((command) => !command.startsWith('endSessions'))
}

const reads = ['find users', 'find devices', 'find blocks']

t.test('a text in a known chat is three reads, an insert and a commit, alone or with others', async (t) => {
  const [alice, bob] = await two()
  const { commit } = committer()
  await commit(draft(alice, bob))

  const lone = await commandsOf(() => commit(draft(alice, bob)))
  // The first leaves at once, and the others together behind it.
  const many = await commandsOf(() =>
    Promise.all(Array.from({ length: 50 }, () => commit(draft(alice, bob)))),
  )

  t.strictSame(lone, [...reads, 'insert messages', 'commit'])
  t.strictSame(many, [...lone, ...lone])
})

t.test('a new chat, a key and media cost a command more each', async (t) => {
  const [alice, bob] = await two()
  const { commit } = committer()

  const newChat = await commandsOf(() => commit(draft(alice, bob)))
  const key = await commandsOf(() => commit(draft(alice, bob, { key: 'k' })))
  const replay = await commandsOf(() => commit(draft(alice, bob, { key: 'k' })))
  const media = await commandsOf(() => codeOf(commit(draft(alice, bob, { media: [{ publicId: 'x' }] }))))

  t.strictSame(newChat, [...reads, 'update conversations', 'insert messages', 'commit'])
  t.strictSame(key, [...reads, 'find messages', 'insert messages', 'commit'])
  t.strictSame(replay, [...reads, 'find messages', 'commit'])
  t.strictSame(media, [...reads, 'find media', 'commit'])
})

t.test('300 messages of as many people at once are all stored exactly once', async (t) => {
  const people = await Promise.all(Array.from({ length: 300 }, () => feature.person()))
  const [bob] = await two()
  const { commit } = committer()

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
  const { commit } = committer()

  // One leaves at once, and 6,144 wait.
  const codes = await Promise.all(Array.from({ length: 6_147 }, () => codeOf(commit(draft(alice, bob)))))

  t.strictSame([...new Set(codes.slice(0, 6_145))], ['ACCOUNT_SUSPENDED'])
  t.strictSame(codes.slice(6_145), ['OVERLOADED', 'OVERLOADED'])
})

t.test('a message that the database refuses fails alone', async (t) => {
  const [alice, bob] = await two()
  await db.command({ collMod: 'messages', validator: { content: { $ne: 'poison' } } })
  t.teardown(() => db.command({ collMod: 'messages', validator: {} }))
  const { commit } = committer()
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
  const { commit } = committer()
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
  const { commit } = committer()

  const codes = await Promise.all(
    [alice, odd, bob].map((sender) => codeOf(commit(draft(sender, sender === bob ? alice : bob)))),
  )

  t.strictSame(codes, ['OK', 'INTERNAL_ERROR', 'OK'])
})

t.test('media that was never claimed is not stored', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')

  const code = await codeOf(committer().commit(draft(alice, bob, { media: [{ publicId: id }] })))

  t.equal(code, 'REQUEST_IN_PROGRESS')
  t.strictSame(storage.requests, [])
  t.equal((await alice.sentTo(bob)).length, 0)
})

t.test('fewer records settled than a message has media: not stored', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const media = [{ publicId: id }, { publicId: id }]
  await feature.deps.records.claim([id], { senderId: alice.id, token: 'held' })

  const sent = committer().commit(draft(alice, bob, { media }), { media: [], claim: 'held' })

  t.equal(await codeOf(sent), 'INTERNAL_ERROR')
  t.equal((await alice.sentTo(bob)).length, 0)
  t.equal((await recordOf(db, id))?.state, 'promoting')
})

type Fault = [commands: string[], how: Record<string, unknown>, times: number]

/** Six messages at once, plain and with keys, in a known and a new chat, while the database misbehaves. */
async function sixAreStoredOnce(t: Test, ...fault: Fault): Promise<void> {
  const [alice, bob] = await two()
  const carol = await feature.person()
  const { commit } = committer()
  await commit(draft(bob, alice))
  await feature.failCommand(t, ...fault)

  const all = await Promise.all([
    commit(draft(alice, bob)),
    commit(draft(alice, bob)),
    commit(draft(alice, bob, { key: 'one' })),
    commit(draft(alice, bob, { key: 'other' })),
    commit(draft(alice, carol)),
    commit(draft(alice, carol, { key: 'one' })),
  ])

  const stored = await messages.find({ senderId: alice.id }).toArray()
  t.strictSame(stored.map(({ _id }) => _id.toHexString()).sort(), idsOf(all))
}

t.test('a write conflict is repeated', async (t) => {
  await sixAreStoredOnce(t, ['insert'], { errorCode: 112, errorLabels: ['TransientTransactionError'] }, 5)
})

t.test('a transaction that is gone is repeated', async (t) => {
  await sixAreStoredOnce(t, ['insert', 'update', 'find'], { errorCode: 251 }, 4)
})

t.test('a label decides where the code is not known', async (t) => {
  await sixAreStoredOnce(t, ['insert'], { errorCode: 9999, errorLabels: ['TransientTransactionError'] }, 2)
})

t.test('a connection that is cut before a command is made anew', async (t) => {
  await sixAreStoredOnce(t, ['insert', 'find'], { closeConnection: true }, 3)
})

t.test('a commit whose connection is cut is repeated', async (t) => {
  await sixAreStoredOnce(t, ['commitTransaction'], { closeConnection: true }, 3)
})

t.test('a commit that a stepping down member refuses is repeated', async (t) => {
  await sixAreStoredOnce(t, ['commitTransaction'], { errorCode: 189 }, 3)
})

t.test('a commit that was done, and not acknowledged by a majority, is not stored twice', async (t) => {
  const writeConcernError = { code: 64, errmsg: 'waiting for replication timed out' }
  await sixAreStoredOnce(t, ['commitTransaction'], { writeConcernError }, 3)
})

t.test('a commit of which only a label tells that it may have been done is not stored twice', async (t) => {
  const errorLabels = ['UnknownTransactionCommitResult']
  await sixAreStoredOnce(t, ['commitTransaction'], { errorCode: 9999, errorLabels }, 2)
})

t.test('a command of which only a label tells that it may be repeated is repeated', async (t) => {
  await sixAreStoredOnce(t, ['insert'], { errorCode: 9999, errorLabels: ['RetryableWriteError'] }, 2)
})

t.test(
  'a database that never answers as it should: DATABASE_UNAVAILABLE at the deadline, and no sooner',
  async (t) => {
    const [alice, bob] = await two()
    await feature.failCommand(t, ['commitTransaction'], { errorCode: 91 })
    const start = performance.now()

    const codes = await Promise.all([
      codeOf(committer().commit(draft(alice, bob, {}, 500))),
      codeOf(committer().commit(draft(alice, bob, { key: 'k' }, 600))),
    ])

    t.strictSame(codes, ['DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE'])
    t.ok(performance.now() - start >= 500)
  },
)

t.test(
  'what cannot be told apart goes alone, and what may be stored is not said to have failed',
  async (t) => {
    const [alice, bob] = await two()
    const { commit } = committer()
    await feature.failCommand(t, ['commitTransaction'], { errorCode: 9999 }, 2)
    const alone = await codeOf(commit(draft(alice, bob)))
    await feature.failCommand(t, ['commitTransaction'], { errorCode: 9999 })
    const unnamed = await Promise.all([codeOf(commit(draft(alice, bob))), codeOf(commit(draft(alice, bob)))])

    t.equal(alone, 'INTERNAL_ERROR')
    t.strictSame(unnamed, ['INTERNAL_ERROR', 'INTERNAL_ERROR'])
  },
)

t.test('a commit that failed leaves nothing locked', async (t) => {
  const [alice, bob] = await two()
  const { commit } = committer()
  await feature.failCommand(t, ['commitTransaction'], { errorCode: 9999 })
  const failed = await codeOf(commit(draft(alice, bob, { key: 'k' })))
  await feature.mendCommands()

  // The server itself would end the transaction only after its lifetime, a minute by default.
  const repeat = await codeOf(commit(draft(alice, bob, { key: 'k' }, 3_000)))

  t.strictSame([failed, repeat], ['INTERNAL_ERROR', 'OK'])
})

t.test('while another transaction holds a key, only who shares it waits', async (t) => {
  const [alice, bob] = await two()
  const { commit } = committer()
  await commit(draft(alice, bob))
  const [known] = await alice.sentTo(bob)
  const session = client.startSession()
  t.teardown(() => session.endSession())
  session.startTransaction()
  const idempotency = { key: 'held', digest: 'another' }
  const { _id, ...held } = { ...known, idempotency } as MessageDocument
  await messages.insertOne(held as MessageDocument, { session })

  const contended = codeOf(commit(draft(alice, bob, { key: 'held' })))
  const others = await Promise.all([
    codeOf(commit(draft(alice, bob))),
    codeOf(commit(draft(alice, bob, { key: 'free' }))),
    codeOf(commit(draft(bob, alice))),
  ])
  await session.commitTransaction()

  t.strictSame(others, ['OK', 'OK', 'OK'])
  t.equal(await contended, 'IDEMPOTENCY_KEY_REUSED')
})

t.test('instances that write the same keys at once store each once', async (t) => {
  const [alice, bob] = await two()
  const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`)
  const instances = [committer(), committer(), committer()]
  const orders = [keys, keys.toReversed(), keys.toSorted()]

  const all = await Promise.all(
    instances.flatMap(({ commit }, index) =>
      (orders[index] ?? []).map((key) => commit(draft(alice, bob, { key }))),
    ),
  )

  t.strictSame(await storedIds(alice, bob), [...new Set(idsOf(all))])
  t.equal(all.filter(({ replayed }) => !replayed).length, keys.length)
})

t.test(
  'those with keys are written in the order of their keys, so that of two batches one goes on',
  async (t) => {
    const [alice, bob] = await two()
    const { commit } = committer()
    const written: MessageDocument[][] = []
    const listen = ({ command }: CommandStartedEvent): void => void written.push(command.documents)
    const leading = commit(draft(bob, alice))

    client.on('commandStarted', listen)
    await Promise.all(['c', 'a', 'b'].map((key) => commit(draft(alice, bob, { key }))))
    client.off('commandStarted', listen)

    await leading
    const keys = written.flatMap((documents) => documents ?? []).map(({ idempotency }) => idempotency?.key)
    t.strictSame(keys.filter(Boolean), ['a', 'b', 'c'])
  },
)

t.test(
  'of several with one key in one batch, one leads, and the others get its message or 422',
  async (t) => {
    const [alice, bob] = await two()
    const { commit } = committer()
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
  const { commit } = committer()
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
  const { commit } = createCommitter({ ...commitDeps, readConcern: 'majority' })
  await commit(draft(alice, bob, { key: 'k' }))

  const replay = await commit(draft(alice, bob, { key: 'k' }))

  t.ok(replay.replayed)
})
