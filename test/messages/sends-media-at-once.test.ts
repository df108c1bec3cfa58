import t from 'tap'
import { latch, letTimePass, picture, promotionOf, recordOf, whereIs } from '../support/media.ts'
import type { Person } from '../support/people.ts'
import { startService } from '../support/service.ts'

const service = await startService(t)
const other = await startService(t, { mongodbUri: service.mongodbUri, storage: service.storage })
const { db, storage } = service

async function two(): Promise<[Person, Person]> {
  return [await service.person(), await service.person()]
}

/** Lets the storage work on an upload until the test says so; gives when it has begun. */
function holdPromotion(
  id: string,
  when: 'before' | 'after' = 'before',
): { begun: Promise<unknown>; open(): void } {
  const { until, open } = latch()
  storage.faults.on(promotionOf(id), { kind: 'hold', until, when }, { times: 1 })
  return { begun: storage.nextRequest(promotionOf(id)), open }
}

t.test('while a request has an upload, another one is told to wait', async (t) => {
  const [alice, bob] = await two()
  // Claimed in this order, so that a part of what is refused had been claimed.
  const [more, id] = [alice.uploads('image', 'a'), alice.uploads('image', 'b')]
  const { begun, open } = holdPromotion(id)
  const first = alice.sends(bob, picture(id), { key: 'k' })
  await begun

  const sameKey = await alice.sends(bob, picture(id), { key: 'k', via: other.url })
  const noKey = await alice.sends(bob, picture(id))
  const overlapping = await alice.sends(bob, picture(more, id))
  const given = await recordOf(db, more)
  open()

  t.strictSame(
    [sameKey, noKey, overlapping].map(({ code }) => code),
    Array(3).fill('REQUEST_IN_PROGRESS'),
  )
  t.equal(sameKey.headers.get('retry-after'), '1')
  t.equal(given, null)
  t.equal((await first).status, 200)
  t.equal((await alice.sends(bob, picture(id), { key: 'k' })).headers.get('idempotent-replayed'), 'true')
  t.equal((await alice.sends(bob, picture(more))).status, 200)
  t.equal((await alice.sentTo(bob)).length, 2)
})

t.test('a part that was taken over for a request that is refused may be taken over again', async (t) => {
  const [alice, bob] = await two()
  const [undone, id] = [alice.uploads('image', 'a'), alice.uploads('image', 'b')]
  await alice.sends(bob, picture(undone, `${id}-missing`))
  const { begun, open } = holdPromotion(id)
  const first = alice.sends(bob, picture(id))
  await begun

  const overlapping = await alice.sends(bob, picture(undone, id))
  const again = await alice.sends(bob, picture(undone))
  open()

  t.strictSame([overlapping.code, again.code, (await first).code], ['REQUEST_IN_PROGRESS', 'OK', 'OK'])
})

t.test('identical requests at once store one message, and one of them is answered with it', async (t) => {
  const rounds = await Promise.all(Array.from({ length: 5 }, two))

  const results = await Promise.all(
    rounds.map(async ([alice, bob]) => {
      const ids = [alice.uploads('image'), alice.uploads('video'), alice.uploads('file')]
      const answers = await Promise.all(
        [service, other, service, other].map(({ url }) =>
          alice.sends(bob, picture(...ids), { key: 'k', via: url }),
        ),
      )
      const codes = new Set(answers.map(({ code }) => code))
      codes.delete('REQUEST_IN_PROGRESS')
      return { codes: [...codes], stored: (await alice.sentTo(bob)).length }
    }),
  )

  t.strictSame(results, Array(5).fill({ codes: ['OK'], stored: 1 }))
})

t.test('of requests that share some uploads, in whatever order, one goes through', async (t) => {
  const rounds = await Promise.all(Array.from({ length: 5 }, two))

  const results = await Promise.all(
    rounds.map(async ([alice, bob]) => {
      const [a, b, c] = [alice.uploads('image'), alice.uploads('image'), alice.uploads('image')]
      const answers = await Promise.all(
        [picture(a, b), picture(b, a), picture(c, b), picture(b, c)].map((each, index) =>
          alice.sends(bob, each, { via: index % 2 === 0 ? service.url : other.url }),
        ),
      )
      return {
        ok: answers.filter(({ code }) => code === 'OK').length,
        stored: (await alice.sentTo(bob)).length,
      }
    }),
  )

  t.strictSame(results, Array(5).fill({ ok: 1, stored: 1 }))
})

t.test('who is blocked while the storage works is refused, and the promotion undone', async (t) => {
  const [alice, bob] = await two()
  const ids = [alice.uploads('image'), alice.uploads('video')]
  const [first = ''] = ids
  const { begun, open } = holdPromotion(first)
  const sending = alice.sends(bob, picture(...ids))
  await begun

  await bob.blocks(alice)
  open()
  const answer = await sending

  t.equal(answer.code, 'BLOCKED_RELATIONSHIP')
  t.equal(whereIs(storage, first), 'temp')
  t.equal(whereIs(storage, ids[1] ?? '', 'video'), 'temp')
  t.equal((await recordOf(db, first))?.state, 'undone')
  t.equal((await alice.sentTo(bob)).length, 0)
})

t.test(
  'who is suspended while the storage works is refused, and may send it once active again',
  async (t) => {
    const [alice, bob] = await two()
    const id = alice.uploads('image')
    const { begun, open } = holdPromotion(id)
    const sending = alice.sends(bob, picture(id), { key: 'k' })
    await begun

    await alice.becomes('suspended')
    open()
    const refused = await sending
    const place = whereIs(storage, id)
    await alice.becomes('active')
    const answer = await alice.sends(bob, picture(id), { key: 'k' })

    t.equal(refused.code, 'ACCOUNT_SUSPENDED')
    t.equal(place, 'temp')
    t.equal(answer.status, 200)
    t.equal(whereIs(storage, id), 'messages')
  },
)

t.test('the key of a message that was stored meanwhile is found at the commit', async (t) => {
  const [alice, bob] = await two()
  const [slow, quick] = [alice.uploads('image'), alice.uploads('image')]
  const { begun, open } = holdPromotion(slow)
  const sending = alice.sends(bob, picture(slow), { key: 'k' })
  await begun

  const stored = await alice.sends(bob, picture(quick), { key: 'k' })
  open()
  const answer = await sending

  t.equal(stored.status, 200)
  t.equal(answer.code, 'IDEMPOTENCY_KEY_REUSED')
  t.equal(whereIs(storage, slow), 'temp')
  t.equal(whereIs(storage, quick), 'messages')
})

t.test('a request that was overtaken by its repeat gets its message', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const { begun, open } = holdPromotion(id, 'after')
  const sending = alice.sends(bob, picture(id), { key: 'k' })
  await begun

  await letTimePass(db, id)
  const repeat = await alice.sends(bob, picture(id), { key: 'k', via: other.url })
  open()
  const answer = await sending

  t.equal(repeat.status, 200)
  t.equal(answer.headers.get('idempotent-replayed'), 'true')
  t.strictSame(answer.body.data, repeat.body.data)
  t.equal((await alice.sentTo(bob)).length, 1)
  t.equal(whereIs(storage, id), 'messages')
})

t.test('who lost his uploads stores nothing, and touches nothing', async (t) => {
  const [alice, bob] = await two()
  const [lost, held] = [alice.uploads('image'), alice.uploads('image')]
  const { begun, open } = holdPromotion(held)
  const sending = alice.sends(bob, picture(lost, held))
  await begun

  // As a sweeper on another instance would, were this process paused for a minute.
  await db.collection<{ _id: string }>('media').updateOne({ _id: lost }, { $set: { token: 'another' } })
  open()
  const answer = await sending

  t.equal(answer.code, 'REQUEST_IN_PROGRESS')
  t.equal((await alice.sentTo(bob)).length, 0)
  t.equal(whereIs(storage, lost), 'messages')
  t.equal(whereIs(storage, held), 'temp')
})
