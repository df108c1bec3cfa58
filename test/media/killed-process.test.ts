import t from 'tap'
import {
  afterTheFirst,
  afterTheLast,
  beforeTheRecord,
  betweenPromotions,
  inTheUndo,
  promoted,
} from '../support/crash/points.ts'
import { killAt } from '../support/crash/scene.ts'
import { latch } from '../support/media.ts'
import { back, storedOnce } from '../support/storage/trio.ts'

// A process of its own is killed at a point of its way to the transaction, or back from there; another instance goes on.
// The points within the transaction are in killed-process-transaction.test.ts.

// As many at once as there are cores for their processes at least.
t.jobs = 2

t.test(`killed ${beforeTheRecord.what}: nothing is left, and it goes at once`, async (t) => {
  const { trio, repeat, lost } = await killAt(t, beforeTheRecord.reach)

  const left = await trio.state()
  const again = await repeat()

  t.strictSame(left, beforeTheRecord.leaves)
  await storedOnce(t, trio, again)
  t.strictSame(await lost(), [])
})

for (const { what, reach, leaves } of [...betweenPromotions, ...inTheUndo]) {
  t.test(`killed ${what}: a sweep brings all back, and they go`, async (t) => {
    const { trio, repeat, sweep, lost } = await killAt(t, reach)

    const left = await trio.state()
    const early = await repeat()
    await sweep()
    const places = trio.places()
    const lostThen = await lost()
    const again = await repeat()

    t.strictSame(left, leaves)
    t.equal(early.outcome, '409 REQUEST_IN_PROGRESS')
    t.strictSame(early.state, leaves)
    t.strictSame(places, back)
    t.strictSame(lostThen, [])
    await storedOnce(t, trio, again)
    t.strictSame(await lost(), [])
  })
}

for (const { what, reach, leaves } of [afterTheFirst, afterTheLast]) {
  t.test(`killed ${what}: its sender takes over, and a sweep finds nothing`, async (t) => {
    const { trio, repeat, letTimePass, sweep, lost } = await killAt(t, reach)

    const left = await trio.state()
    await letTimePass()
    const again = await repeat()
    await sweep()

    t.strictSame(left, leaves)
    await storedOnce(t, trio, again)
    t.strictSame(await trio.state(), again.state)
    t.strictSame(await lost(), [])
  })
}

t.test('killed after the first promotion, and the others land: two sweeps bring all back', async (t) => {
  const { until, open } = latch()
  const { trio, repeat, sweep, lost } = await killAt(t, promoted(1, { kind: 'hold', until, when: 'before' }))

  await sweep()
  open()
  await until
  const landed = trio.places()
  await sweep()
  const places = trio.places()
  const again = await repeat()

  t.strictSame(landed, ['temp', 'messages', 'messages'])
  t.strictSame(places, back)
  await storedOnce(t, trio, again)
  t.strictSame(await lost(), [])
})

t.test('killed after the first promotion, and the others land: its sender takes over', async (t) => {
  const { until, open } = latch()
  const { trio, repeat, letTimePass, lost } = await killAt(
    t,
    promoted(1, { kind: 'hold', until, when: 'before' }),
  )

  await letTimePass()
  open()
  await until
  const landed = trio.places()
  const again = await repeat()

  t.strictSame(landed, ['messages', 'messages', 'messages'])
  await storedOnce(t, trio, again)
  t.strictSame(await lost(), [])
})
