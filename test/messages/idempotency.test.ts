import t from 'tap'
import type { MessageDocument } from '../../src/collections.ts'
import type { Answer, Person } from '../support/people.ts'
import { startService } from '../support/service.ts'

const service = await startService(t)
const other = await startService(t, { mongodbUri: service.mongodbUri, storage: service.storage })
const messages = service.db.collection<MessageDocument>('messages')

async function two(): Promise<[Person, Person]> {
  return [await service.person(), await service.person()]
}

function isReplay({ headers }: Answer): boolean {
  return headers.get('idempotent-replayed') === 'true'
}

t.test('a repeat is answered with the message as it is stored now', async (t) => {
  const [alice, bob] = await two()
  const first = await alice.sends(bob, 'Hello', { key: 'k' })
  await messages.updateOne({ senderId: alice.id }, { $set: { seenBy: [bob.id], isDeleted: true } })

  const repeat = await alice.sends(bob, 'Hello', { key: 'k' })

  t.notOk(isReplay(first))
  t.ok(isReplay(repeat))
  t.equal(repeat.status, 200)
  t.strictSame(repeat.body.data, { ...first.body.data, seenBy: [bob.id.toHexString()], isDeleted: true })
  t.equal((await alice.sentTo(bob)).length, 1)
})

t.test('another instance knows the key, too', async (t) => {
  const [alice, bob] = await two()
  const first = await alice.sends(bob, 'Hello', { key: 'k' })

  const repeat = await alice.sends(bob, 'Hello', { key: 'k', via: other.url })

  t.ok(isReplay(repeat))
  t.strictSame(repeat.body.data, first.body.data)
})

t.test('the same key with another body is refused', async (t) => {
  const [alice, bob] = await two()
  const [a, b] = [alice.uploads('image'), alice.uploads('image')].map((publicId) => ({ publicId }))
  await alice.sends(bob, 'Hello', { key: 'text' })
  await alice.sends(bob, { content: 'Hello', type: 'image', media: [a, b] }, { key: 'media' })

  const content = await alice.sends(bob, 'Hello!', { key: 'text' })
  const type = await alice.sends(bob, { content: 'Hello', type: 'file' }, { key: 'text' })
  const withMedia = await alice.sends(bob, { content: 'Hello', type: 'text', media: [a] }, { key: 'text' })
  const order = await alice.sends(bob, { content: 'Hello', type: 'image', media: [b, a] }, { key: 'media' })
  const fewer = await alice.sends(bob, { content: 'Hello', type: 'image', media: [] }, { key: 'media' })

  const answers = [content, type, withMedia, order, fewer]
  t.strictSame(
    answers.map(({ status }) => status),
    [422, 422, 422, 422, 422],
  )
  t.strictSame([...new Set(answers.map(({ code }) => code))], ['IDEMPOTENCY_KEY_REUSED'])
  t.equal((await alice.sentTo(bob)).length, 2)
})

t.test('no media and an empty list of media are the same body', async (t) => {
  const [alice, bob] = await two()
  await alice.sends(bob, { content: 'Hello', type: 'text' }, { key: 'k' })

  const repeat = await alice.sends(bob, { media: [], type: 'text', content: 'Hello' }, { key: 'k' })

  t.ok(isReplay(repeat))
})

t.test('the same key to another receiver, or of another sender, is another message', async (t) => {
  const [alice, bob] = await two()
  const carol = await service.person()

  const answers = await Promise.all([
    alice.sends(bob, 'Hello', { key: 'k' }),
    alice.sends(carol, 'Hello', { key: 'k' }),
    bob.sends(alice, 'Hello', { key: 'k' }),
    carol.sends(alice, 'Hello', { key: 'k' }),
  ])

  t.notOk(answers.some(isReplay))
  t.equal(new Set(answers.map(({ body }) => body.data._id)).size, 4)
})

t.test('keys are compared exactly, up to 255 characters', async (t) => {
  const [alice, bob] = await two()
  const long = '~'.repeat(254)

  const answers = [
    await alice.sends(bob, 'Hello', { key: 'key' }),
    await alice.sends(bob, 'Hello', { key: 'KEY' }),
    await alice.sends(bob, 'Hello', { key: `${long}a` }),
    await alice.sends(bob, 'Hello', { key: `${long}b` }),
    await alice.sends(bob, 'Hello', { key: '$idempotency.key' }),
  ]

  t.notOk(answers.some(isReplay))
  t.equal((await alice.sentTo(bob)).length, 5)
})

t.test(
  'of 20 identical requests at once, on two instances, one is stored and all are answered with it',
  async (t) => {
    const [alice, bob] = await two()
    const via = [service.url, other.url]

    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        alice.sends(bob, 'Hello', { key: 'k', via: via[index % 2] ?? '' }),
      ),
    )

    t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
    t.equal(new Set(answers.map(({ body }) => body.data._id)).size, 1)
    t.equal(answers.filter(isReplay).length, 19)
    t.equal((await alice.sentTo(bob)).length, 1)
  },
)

t.test('of two bodies at once under one key, one is stored and the other refused', async (t) => {
  const [alice, bob] = await two()

  const answers = await Promise.all([
    alice.sends(bob, 'one', { key: 'k' }),
    alice.sends(bob, 'other', { key: 'k' }),
    alice.sends(bob, 'one', { key: 'k' }),
    alice.sends(bob, 'other', { key: 'k' }),
  ])

  const [stored, ...more] = await alice.sentTo(bob)
  t.strictSame(answers.map(({ status }) => status).sort(), [200, 200, 422, 422])
  t.equal(answers.filter(isReplay).length, 1)
  t.strictSame(more, [])
  t.ok(
    answers.filter(({ status }) => status === 200).every(({ body }) => body.data.content === stored?.content),
  )
})

t.test('a refused request may be repeated with its key', async (t) => {
  const [alice, bob] = await two()
  await bob.blocks(alice)
  const blocked = await alice.sends(bob, 'Hello', { key: 'k' })
  await service.db.collection('blocks').deleteMany({ blockerId: bob.id })

  const answer = await alice.sends(bob, 'Hello', { key: 'k' })

  t.equal(blocked.code, 'BLOCKED_RELATIONSHIP')
  t.equal(answer.status, 200)
  t.notOk(isReplay(answer))
})

t.test(
  'a finished message is answered before its receiver is looked at, but not to a suspended sender',
  async (t) => {
    const [alice, bob] = await two()
    const publicId = alice.uploads('image')
    const picture = { content: 'Look', type: 'image', media: [{ publicId }] }
    await alice.sends(bob, 'Hello', { key: 'text' })
    await alice.sends(bob, picture, { key: 'media' })
    await bob.blocks(alice)
    await bob.becomes('deleted')

    const text = await alice.sends(bob, 'Hello', { key: 'text' })
    const media = await alice.sends(bob, picture, { key: 'media' })
    const reused = await alice.sends(bob, 'Hello!', { key: 'text' })
    await alice.becomes('suspended')
    const suspended = await alice.sends(bob, 'Hello', { key: 'text' })
    const suspendedMedia = await alice.sends(bob, picture, { key: 'media' })

    t.ok(isReplay(text))
    t.ok(isReplay(media))
    t.equal(reused.code, 'IDEMPOTENCY_KEY_REUSED')
    t.equal(suspended.code, 'ACCOUNT_SUSPENDED')
    t.equal(suspendedMedia.code, 'ACCOUNT_SUSPENDED')
  },
)
