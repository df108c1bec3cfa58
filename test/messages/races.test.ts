import t from 'tap'
import type { ConversationDocument } from '../../src/collections.ts'
import { conversationIdOf, pairOf } from '../../src/send-message/conversation.ts'
import { picture, promoted, recordOf, whereIs } from '../support/media.ts'
import type { Answer, Person, SendOptions } from '../support/people.ts'
import { startService } from '../support/service.ts'

// The senders here are quicker than people.
const env = { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'warn' }
const service = await startService(t, { env })
const shared = { mongodbUri: service.mongodbUri, storage: service.storage }
const other = await startService(t, { env, ...shared })
const { db, storage } = service
const instances = [{ via: service.url }, { via: other.url }]

async function two(): Promise<[Person, Person]> {
  return [await service.person(), await service.person()]
}

/** Sends until it is told neither to wait nor to come back, as a client does; with a key that is safe. */
async function pursue(send: () => Promise<Answer>): Promise<Answer> {
  const answer = await send()
  return ['REQUEST_IN_PROGRESS', 'DATABASE_UNAVAILABLE'].includes(answer.code) ? await pursue(send) : answer
}

function onBoth<T>(count: number, of: (instance: SendOptions, index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => of(instances[index % 2] ?? {}, index)))
}

t.test(
  'the first messages of many pairs at once, both ways and on both instances: one chat each',
  async (t) => {
    const pairs = await Promise.all(Array.from({ length: 12 }, two))

    const answers = await Promise.all(
      pairs.map(([alice, bob]) =>
        onBoth(8, (via, index) => {
          const [sender, receiver] = index < 4 ? [alice, bob] : [bob, alice]
          const media = index % 4 < 2 ? [] : [{ publicId: sender.uploads('image') }]
          const message = { content: `first ${index}`, type: 'text', media }
          return pursue(() => sender.sends(receiver, message, { key: `${index}`, ...via }))
        }),
      ),
    )

    t.strictSame([...new Set(answers.flat().map(({ code }) => code))], ['OK'])
    for (const [index, [alice, bob]] of pairs.entries()) {
      const pair = pairOf(alice.id, bob.id)
      const chats = await db
        .collection<ConversationDocument>('conversations')
        .find({ participants: { $all: [...pair] } })
        .toArray()
      const stored = [...(await alice.sentTo(bob)), ...(await bob.sentTo(alice))]
      t.match(chats, [{ _id: conversationIdOf(pair), participants: pair }])
      t.equal(chats.length, 1)
      t.strictSame(
        stored.map(({ _id }) => _id.toHexString()).sort(),
        answers[index]?.map(({ body }) => body.data._id).sort(),
      )
    }
  },
)

t.test('one key at once on both instances: who keeps asking gets the one message', async (t) => {
  const rounds = await Promise.all(Array.from({ length: 8 }, two))
  // All have a chat: two batches that make one meet there, and only one of them goes on, whatever became of the keys.
  await Promise.all(rounds.map(([alice, bob]) => pursue(() => bob.sends(alice, 'Are you there?'))))

  const results = await Promise.all(
    rounds.map(async ([alice, bob], index) => {
      const message = index % 2 === 0 ? 'Hello' : picture(alice.uploads('image'), alice.uploads('video'))
      const answers = await onBoth(6, (via) => pursue(() => alice.sends(bob, message, { key: 'k', ...via })))
      return {
        codes: [...new Set(answers.map(({ code }) => code))],
        answered: new Set(answers.map(({ body }) => body.data?._id)),
        replayed: answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true').length,
        stored: (await alice.sentTo(bob)).map(({ _id }) => _id.toHexString()),
      }
    }),
  )

  for (const { codes, answered, replayed, stored } of results) {
    t.strictSame([codes, stored.length, replayed], [['OK'], 1, 5])
    t.strictSame([...answered], stored)
  }
})

t.test('one upload in messages to several people at once: exactly one has it', async (t) => {
  const rounds = await Promise.all(
    Array.from({ length: 6 }, async () => ({
      alice: await service.person(),
      receivers: await Promise.all(Array.from({ length: 6 }, () => service.person())),
    })),
  )

  const results = await Promise.all(
    rounds.map(async ({ alice, receivers }) => {
      const [id, own] = [alice.uploads('image', 'shared'), receivers.map(() => alice.uploads('image'))]
      const answers = await Promise.all(
        receivers.map((receiver, index) => {
          const media = picture(...(index % 2 === 0 ? [id] : [own[index] ?? '', id]))
          const options = { ...instances[index % 2], key: 'k' }
          return pursue(() => alice.sends(receiver, media, options))
        }),
      )
      const stored = (await Promise.all(receivers.map((receiver) => alice.sentTo(receiver)))).flat()
      return { id, codes: answers.map(({ code }) => code).sort(), stored }
    }),
  )

  for (const { id, codes, stored } of results) {
    t.strictSame(codes, [...Array(5).fill('MEDIA_ALREADY_USED'), 'OK'])
    t.strictSame(
      stored.flatMap(({ media }) => media.filter(({ publicId }) => publicId === promoted(id))).length,
      1,
    )
    t.equal(stored.length, 1)
    t.equal(whereIs(storage, id), 'messages')
    t.match(await recordOf(db, id), { state: 'attached', messageId: stored[0]?._id })
  }
})
