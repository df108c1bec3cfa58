import t, { type Test } from 'tap'
import type { Fault } from '../../src/dev/cloudinary/faults.ts'
import { latch, undoOf } from '../support/media.ts'
import { startService, withoutSweeps } from '../support/service.ts'
import {
  allBut,
  back,
  eachItem,
  refusalCodes,
  refused,
  type Sent,
  status,
  storedOnce,
  type Trio,
  trioIn,
} from '../support/storage/trio.ts'
import { sweepLater } from '../support/sweeping.ts'

// The storage refuses one of three, so that the others go back; and it does to one of these what it did to the promotions
// in storage-faults.test.ts.

const service = await startService(t, withoutSweeps)
const { storage } = service

const unanswered: Record<string, Fault> = {
  'meets 500': status(500),
  'meets 502': status(502),
  'meets 503': status(503),
  'is answered with no JSON': { kind: 'invalid-json' },
  'is answered with another asset': { kind: 'wrong-answer', body: { public_id: 'temp/other' } },
  'loses its connection': { kind: 'reset-before' },
}

const answersLost: Record<string, Fault> = {
  'meets 500 after the deed': status(500, 'after'),
  'meets 502 after the deed': status(502, 'after'),
  'meets 503 after the deed': status(503, 'after'),
  'is answered with no JSON after the deed': { kind: 'invalid-json', when: 'after' },
  'loses its connection after the deed': { kind: 'reset-after' },
}

/** The message whose next item is refused, while the way back of this one meets the fault. */
async function failing(at: number, fault: Fault): Promise<{ trio: Trio; failed: Sent; named: number }> {
  const trio = await trioIn(service)
  const named = (at + 1) % 3
  const mend = [
    storage.faults.on(trio.promotionAt(named), status(400)),
    storage.faults.on(undoOf(trio.ids[at] ?? ''), fault),
  ]
  const failed = await trio.send()
  for (const each of mend) each()
  return { trio, failed, named }
}

/** One sweep brings back what was left, and the same message goes. */
async function sweptAndSent(t: Test, trio: Trio): Promise<void> {
  await sweepLater(service, ...trio.ids)
  const places = trio.places()
  const again = await trio.send()

  t.strictSame(places, back)
  await storedOnce(t, trio, again)
}

for (const code of refusalCodes) {
  eachItem(
    t,
    `is refused with ${code} on its way back`,
    'left to a sweep, which brings it back',
    async (t, at) => {
      const { trio, failed, named } = await failing(at, status(code))

      refused(t, failed, named)
      t.strictSame(failed.state, allBut('temp undone', at, 'messages undone'))
      await sweptAndSent(t, trio)
    },
  )
}

for (const [what, fault] of Object.entries(unanswered)) {
  eachItem(t, `${what} on its way back`, 'barred until a sweep brings it back', async (t, at) => {
    const { trio, failed, named } = await failing(at, fault)
    const early = await trio.send()

    refused(t, failed, named)
    t.strictSame(failed.state, allBut('temp undone', at, 'messages undone back'))
    t.equal(early.outcome, '409 REQUEST_IN_PROGRESS')
    await sweptAndSent(t, trio)
  })
}

for (const [what, fault] of Object.entries(answersLost)) {
  eachItem(t, `${what} on its way back`, 'is back, and barred until a sweep has looked', async (t, at) => {
    const { trio, failed, named } = await failing(at, fault)
    const early = await trio.send()

    refused(t, failed, named)
    t.strictSame(failed.state, allBut('temp undone', at, 'temp undone back'))
    t.equal(early.outcome, '409 REQUEST_IN_PROGRESS')
    await sweptAndSent(t, trio)
  })
}

eachItem(t, 'is uploaded anew before its way back', 'the new one stays, and goes', async (t, at) => {
  const trio = await trioIn(service)
  const [publicId = '', resourceType = 'image'] = [trio.ids[at], trio.types[at]]
  const { until, open } = latch()
  const mend = storage.faults.on(trio.promotionAt((at + 1) % 3), status(400))
  storage.faults.on(undoOf(publicId), { kind: 'hold', until, when: 'before' }, { times: 1 })
  const goingBack = storage.nextRequest(undoOf(publicId))
  const sending = trio.send()
  await Promise.race([goingBack, sending])
  const anew = storage.put({ publicId, resourceType })
  open()

  const failed = await sending
  mend()
  const again = await trio.send()

  refused(t, failed, (at + 1) % 3)
  t.strictSame(failed.places, back)
  await storedOnce(t, trio, again)
  t.equal((await trio.alice.sentTo(trio.bob))[0]?.media[at]?.assetId, anew.assetId)
})
