import t from 'tap'
import type { Fault } from '../../src/dev/cloudinary/faults.ts'
import { sendMessage } from '../../src/send-message/send-message.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'
import { latch, promoted, promotionOf, whereIs } from '../support/media.ts'
import { startService, withoutSweeps } from '../support/service.ts'
import {
  allBut,
  eachItem,
  type Kind,
  refusalCodes,
  refused,
  status,
  storedOnce,
  trioIn,
} from '../support/storage/trio.ts'
import { sweepLater } from '../support/sweeping.ts'

// What a storage that answers at once can do to each of three items. What it does slowly is in storage-faults-slow.test.ts,
// what it does to the way back in storage-faults-undo.test.ts.

const service = await startService(t, withoutSweeps)
const { storage } = service

/** It says no: nothing was done. */
const refusals: Record<string, Fault> = Object.fromEntries(
  refusalCodes.map((code) => [`is refused with ${code}`, status(code)]),
)

/** It does not say what it did, and has done nothing. */
const failures: Record<string, Fault> = {
  'meets 500': status(500),
  'meets 502': status(502),
  'meets 503': status(503),
  'is answered with no JSON': { kind: 'invalid-json' },
  'loses its connection before the deed': { kind: 'reset-before' },
}

/** It does not say what it did, and has done it. */
const lostAnswers: Record<string, Fault> = {
  'meets 500 after the deed': status(500, 'after'),
  'meets 502 after the deed': status(502, 'after'),
  'meets 503 after the deed': status(503, 'after'),
  'is answered with no JSON after the deed': { kind: 'invalid-json', when: 'after' },
  'loses its connection after the deed': { kind: 'reset-after' },
}

const undoneFaults = [
  ...Object.entries(refusals).map(([what, fault]) => ({ what, fault, leaves: 'temp undone' })),
  // It may yet land: the record remembers that until nothing can.
  ...Object.entries(failures).map(([what, fault]) => ({ what, fault, leaves: 'temp undone forward' })),
]

for (const { what, fault, leaves } of undoneFaults) {
  eachItem(t, what, '500 MEDIA_PROMOTION_FAILED, all are back, and go once it is mended', async (t, at) => {
    const trio = await trioIn(service)
    const mend = storage.faults.on(trio.promotionAt(at), fault)

    const failed = await trio.send()
    mend()
    const again = await trio.send()

    refused(t, failed, at)
    t.strictSame(failed.state, allBut('temp undone', at, leaves))
    await storedOnce(t, trio, again)
  })
}

for (const [what, fault] of Object.entries(lostAnswers)) {
  eachItem(t, what, 'looked at, and stored', async (t, at) => {
    const trio = await trioIn(service)
    storage.faults.on(trio.promotionAt(at), fault)

    const sent = await trio.send()

    await storedOnce(t, trio, sent)
  })
}

eachItem(t, 'is not there', 'named, the others are back, and all go once it is', async (t, at) => {
  const trio = await trioIn(service)
  const [publicId = '', resourceType = 'image'] = [trio.ids[at], trio.types[at]]
  await service.app.storage.destroy(resourceType, publicId, 5_000)

  const failed = await trio.send()
  storage.put({ publicId, resourceType })
  const again = await trio.send()

  refused(t, failed, at)
  t.strictSame(failed.state, allBut('temp undone', at, 'undone'))
  await storedOnce(t, trio, again)
})

eachItem(t, 'is in the namespace that is asked last', 'found, and stored as what it is', async (t, at) => {
  const kinds = Array<Kind>(3).fill('image').with(at, 'file')
  const trio = await trioIn(service, kinds)

  const sent = await trio.send()

  await storedOnce(t, trio, sent)
  t.strictSame(
    (await trio.alice.sentTo(trio.bob))[0]?.media.map(({ type }) => type),
    kinds,
  )
})

const askedBefore = ['image', 'video'].flatMap((asked) => [
  { asked, what: 'refused with 420', fault: status(420), leaves: 'temp undone' },
  { asked, what: 'met with 503', fault: status(503), leaves: 'temp undone forward' },
])

for (const { asked, what, fault, leaves } of askedBefore) {
  const fact = 'nobody guesses, all are back, and go once it is mended'
  eachItem(t, `is a file, and is ${what} as ${asked}`, fact, async (t, at) => {
    const trio = await trioIn(service, Array<Kind>(3).fill('image').with(at, 'file'))
    const isPromotion = promotionOf(trio.ids[at] ?? '')
    const mend = storage.faults.on((call) => isPromotion(call) && call.resourceType === asked, fault)

    const failed = await trio.send()
    mend()
    const again = await trio.send()

    refused(t, failed, at)
    t.strictSame(failed.state, allBut('temp undone', at, leaves))
    await storedOnce(t, trio, again)
  })
}

const fact = 'named, nothing is overwritten, and all go once a sweep has made way'
eachItem(t, 'has something under its permanent id already', fact, async (t, at) => {
  const trio = await trioIn(service)
  const [publicId = '', resourceType = 'image'] = [promoted(trio.ids[at] ?? ''), trio.types[at]]
  const older = storage.put({ publicId, resourceType })

  const failed = await trio.send()
  const kept = storage.list().find((asset) => asset.publicId === publicId)
  await sweepLater(service, ...trio.ids)
  const swept = await trio.state()
  const again = await trio.send()

  refused(t, failed, at)
  t.strictSame(failed.state, allBut('temp undone', at, 'temp and messages undone'))
  t.equal(kept?.assetId, older.assetId)
  t.equal(swept[at], 'temp undone')
  await storedOnce(t, trio, again)
  t.not((await trio.alice.sentTo(trio.bob))[0]?.media[at]?.assetId, older.assetId)
})

// Without HTTP before it, a promotion can be given less time than 5 s.
const feature = await startFeature(t)

eachItem(
  t,
  'lands after the answer',
  'found where it is when it is sent again, and stored',
  async (t, at) => {
    const [alice, bob] = await feature.two()
    const ids = Array.from({ length: 3 }, () => alice.uploads('image'))
    const media = ids.map((publicId) => ({ publicId }))
    const send = (ms?: number) =>
      codeOf(sendMessage(feature.deps, draft(alice, bob, { media, key: 'k' }, ms)))
    const late = ids[at] ?? ''
    const { until, open } = latch()
    feature.storage.faults.on(promotionOf(late), { kind: 'hold', until, when: 'before' }, { times: 1 })

    // Of a deadline 6 s are the commit's.
    const failed = await send(6_300)
    const before = whereIs(feature.storage, late)
    open()
    await until
    const landed = whereIs(feature.storage, late)
    const again = await send()

    t.strictSame([failed, before, landed, again], ['MEDIA_PROMOTION_FAILED', 'temp', 'messages', 'OK'])
    t.ok(ids.every((id) => whereIs(feature.storage, id) === 'messages'))
    t.strictSame(
      (await alice.sentTo(bob)).map(({ media }) => media.map(({ publicId }) => publicId)),
      [ids.map(promoted)],
    )
  },
)
