import t from 'tap'
import { eventually } from '../support/eventually.ts'
import { picture, whereIs } from '../support/media.ts'
import type { Person } from '../support/people.ts'
import { startService } from '../support/service.ts'
import { sweepLater } from '../support/sweeping.ts'

// How many calls the service has under way at once; the others wait for a socket, within their own time.
const socketsMax = 64

interface Sending {
  alice: Person
  bob: Person
  ids: string[]
}

async function tenUploads(service: Awaited<ReturnType<typeof startService>>): Promise<Sending> {
  const [alice, bob] = [await service.person(), await service.person()]
  return { alice, bob, ids: Array.from({ length: 10 }, () => alice.uploads('image')) }
}

// The SDK reads no body of these: each would hold its socket until its time is up.
for (const status of [403, 409, 423]) {
  t.test(`ten answers of ${status} leave no socket`, async (t) => {
    const service = await startService(t)
    const { alice, bob, ids } = await tenUploads(service)
    service.storage.faults.on(() => true, { kind: 'status', status })

    const answer = await alice.sends(bob, picture(...ids))

    t.equal(answer.code, 'MEDIA_PROMOTION_FAILED')
    // Sooner than a call's own time is up, or an idle socket's.
    await eventually(() => service.storage.openSockets() === 0, 3_000)
  })
}

t.test('more calls hang than there are sockets: all are refused in time, and texts flow', async (t) => {
  const service = await startService(t)
  const { storage } = service
  const crowd = await Promise.all(Array.from({ length: 8 }, () => tenUploads(service)))
  const ids = crowd.flatMap((each) => each.ids)
  storage.faults.on(({ toPublicId = '' }) => toPublicId.startsWith('messages/'), {
    kind: 'drip',
    everyMs: 300,
    when: 'before',
  })

  const sending = crowd.map((each) => each.alice.sends(each.bob, picture(...each.ids)))
  await eventually(() => storage.openSockets() === socketsMax)
  let answered = 0
  for (const each of sending) void each.then(() => (answered += 1))
  const texts = await Promise.all(crowd.map(({ alice, bob }) => alice.sends(bob, 'meanwhile')))
  const answeredBeforeTexts = answered
  const refused = await Promise.all(sending)
  storage.faults.clear()
  await sweepLater(service, ...ids)
  const places = new Set(ids.map((id) => whereIs(storage, id)))
  const [{ alice, bob, ids: own } = await tenUploads(service)] = crowd
  const again = await alice.sends(bob, picture(...own))

  t.ok(texts.every(({ status }) => status === 200))
  t.equal(answeredBeforeTexts, 0)
  t.strictSame([...new Set(refused.map(({ code }) => code))], ['MEDIA_PROMOTION_FAILED'])
  t.strictSame([...places], ['temp'])
  t.equal(again.status, 200)
  // Idle ones are kept for 4 s; one that drips would stay.
  await eventually(() => storage.openSockets() === 0)
})
