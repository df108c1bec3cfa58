import t from 'tap'
import type { MediaRecordDocument } from '../../src/collections.ts'
import { sendMessage } from '../../src/send-message/send-message.ts'
import { sweepOnce } from '../../src/send-message/sweep-media.ts'
import { undoPromotion } from '../../src/send-message/undo-promotion.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'
import {
  databaseNowMs,
  latch,
  letTimePass,
  promoted,
  promotionOf,
  recordOf,
  undoOf,
  whereIs,
} from '../support/media.ts'

import { sweeping } from '../support/sweeping.ts'

const feature = await startFeature(t)
const { db, deps, storage } = feature
const media = db.collection<MediaRecordDocument>('media')

t.beforeEach(async () => {
  storage.faults.clear()
  await media.deleteMany({})
})

const { two } = feature

const { of, claimed, promotedAndKilled, sweepLater, isFree } = sweeping(feature)

t.test('killed after the claim: the record is closed, after a look in an hour', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await claimed(alice, bob, id)

  const tooEarly = await sweepOnce(deps)
  const lease = await sweepLater(id)
  const undone = await recordOf(db, id)
  const quiet = await sweepLater(id)
  const kept = await recordOf(db, id)
  const hour = await sweepLater(id)

  t.strictSame(tooEarly, { undone: 0, closed: 0, failed: 0 })
  t.strictSame(lease, { undone: 1, closed: 0, failed: 0 })
  t.match(undone, { state: 'undone', uncertain: 'forward' })
  t.strictSame(quiet, { undone: 0, closed: 1, failed: 0 })
  t.match(kept, { state: 'undone', uncertain: 'late' })
  t.ok((kept?.until?.getTime() ?? 0) > (await databaseNowMs(db)) + 3_500_000)
  t.strictSame(hour, { undone: 0, closed: 1, failed: 0 })
  t.equal(await recordOf(db, id), null)
  await isFree(t, alice, bob, id)
})

t.test('killed after the promotion: moved back, in every type', async (t) => {
  const [alice, bob] = await two()
  const [image, video, file] = [alice.uploads('image'), alice.uploads('video'), alice.uploads('file')]
  await promotedAndKilled(alice, bob, image, video, file)

  const counts = await sweepLater(image, video, file)

  t.strictSame(counts, { undone: 3, closed: 0, failed: 0 })
  t.equal(whereIs(storage, video, 'video'), 'temp')
  t.equal(whereIs(storage, file, 'raw'), 'temp')
  await isFree(t, alice, bob, image)
})

t.test('killed after the promotion: its sender takes the record over, once the lease is over', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await promotedAndKilled(alice, bob, id)

  const early = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  await letTimePass(db, id)
  const late = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.equal(early, 'REQUEST_IN_PROGRESS')
  t.equal(late, 'OK')
  t.equal((await alice.sentTo(bob))[0]?.media[0]?.publicId, promoted(id))
  t.equal(whereIs(storage, id), 'messages')
})

t.test(
  'killed in the middle of an undo, before or after its call: moved back, and free at once',
  async (t) => {
    const [alice, bob] = await two()
    const [before, after] = [alice.uploads('image'), alice.uploads('image')]
    const { claim } = await promotedAndKilled(alice, bob, before, after)
    const items = [before, after].map((id) => ({ id, uncertain: false }))
    await deps.records.beginUndo(items, { held: claim.token, next: 'undoer' })
    await deps.storage.rename('image', promoted(after), after, 1_000)

    const barred = await codeOf(sendMessage(deps, draft(alice, bob, of(before))))
    const tooEarly = await sweepOnce(deps)
    const counts = await sweepLater(before, after)

    t.equal(barred, 'REQUEST_IN_PROGRESS')
    t.strictSame(tooEarly, { undone: 0, closed: 0, failed: 0 })
    t.strictSame(counts, { undone: 2, closed: 0, failed: 0 })
    await isFree(t, alice, bob, before)
    await isFree(t, alice, bob, after)
  },
)

t.test('an undo’s lease is as long as the quiet time', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const { claim } = await promotedAndKilled(alice, bob, id)

  const beforeMs = await databaseNowMs(db)
  await deps.records.beginUndo([{ id, uncertain: false }], { held: claim.token, next: 'undoer' })
  const afterMs = await databaseNowMs(db)

  const untilMs = (await recordOf(db, id))?.until?.getTime() ?? 0
  t.ok(untilMs >= beforeMs + 90_000 && untilMs <= afterMs + 90_000)
})

t.test('what is attached is never touched', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await sendMessage(deps, draft(alice, bob, of(id)))
  const record = await recordOf(db, id)

  const counts = await sweepLater(id)

  t.strictSame(counts, { undone: 0, closed: 0, failed: 0 })
  t.strictSame(await recordOf(db, id), record)
  t.equal(whereIs(storage, id), 'messages')
})

t.test('a promotion that lands after its undo is undone by the second look', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const { until, open } = latch()
  storage.faults.on(promotionOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
  // 0.3 s for the promotion: 6 s of a deadline are the commit's.
  const refused = await codeOf(sendMessage(deps, draft(alice, bob, of(id), 6_300)))
  const undone = await recordOf(db, id)

  open()
  await until
  const landed = whereIs(storage, id)
  const second = await sweepLater(id)
  const third = await sweepLater(id)

  t.equal(refused, 'MEDIA_PROMOTION_FAILED')
  t.match(undone, { state: 'undone', uncertain: 'forward' })
  t.equal(landed, 'messages')
  t.strictSame(second, { undone: 1, closed: 0, failed: 0 })
  t.strictSame(third, { undone: 0, closed: 1, failed: 0 })
  await isFree(t, alice, bob, id)
})

t.test('an undo without an answer: nobody promotes before the second look', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const { until, open } = latch()
  const promotion = await promotedAndKilled(alice, bob, id)
  storage.faults.on(undoOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
  await undoPromotion(deps, promotion)
  const undone = await recordOf(db, id)

  const barred = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  await letTimePass(db, id)
  const stillBarred = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  open()
  await until
  const counts = await sweepOnce(deps)

  t.match(undone, { state: 'undone', uncertain: 'back' })
  t.equal(barred, 'REQUEST_IN_PROGRESS')
  t.equal(stillBarred, 'REQUEST_IN_PROGRESS')
  t.strictSame(counts, { undone: 0, closed: 1, failed: 0 })
  await isFree(t, alice, bob, id)
})

t.test('an undo of the sweeper’s own without an answer bars the upload, too', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await promotedAndKilled(alice, bob, id)
  storage.faults.on(undoOf(id), { kind: 'reset-before' }, { times: 3 })

  const first = await sweepLater(id)
  const barred = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  const second = await sweepLater(id)

  t.strictSame(first, { undone: 0, closed: 0, failed: 1 })
  t.equal(barred, 'REQUEST_IN_PROGRESS')
  t.strictSame(second, { undone: 1, closed: 0, failed: 0 })
  t.equal((await recordOf(db, id))?.uncertain, 'forward')
  await isFree(t, alice, bob, id)
})

t.test('an upload under the old name stays, and the older, promoted copy goes', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image', 'holiday')
  await promotedAndKilled(alice, bob, id)
  alice.uploads('image', 'holiday')
  const anew = storage.list().find(({ publicId }) => publicId === id)

  const counts = await sweepLater(id)

  t.strictSame(counts, { undone: 1, closed: 0, failed: 0 })
  await isFree(t, alice, bob, id)
  t.equal((await alice.sentTo(bob))[0]?.media[0]?.assetId, anew?.assetId)
})

t.test('an older copy that the storage does not destroy is tried again', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image', 'holiday')
  await promotedAndKilled(alice, bob, id)
  alice.uploads('image', 'holiday')
  const destroys = ({ action }: { action: string }) => action === 'destroy'
  storage.faults.on(destroys, { kind: 'status', status: 401 }, { times: 1 })
  storage.faults.on(destroys, { kind: 'wrong-answer', body: { result: 'maybe' } }, { times: 1 })
  storage.faults.on(destroys, { kind: 'reset-before' }, { times: 1 })
  storage.faults.on(destroys, { kind: 'wrong-answer', body: { result: 'not found' } }, { times: 1 })

  const refused = await sweepLater(id)
  const unclear = await sweepLater(id)
  const unanswered = await sweepLater(id)
  const missing = await sweepLater(id)
  const destroyed = await sweepLater(id)

  t.strictSame(refused, { undone: 0, closed: 0, failed: 1 })
  t.strictSame(unclear, { undone: 0, closed: 0, failed: 1 })
  t.strictSame(unanswered, { undone: 0, closed: 0, failed: 1 })
  t.strictSame(missing, { undone: 1, closed: 0, failed: 0 })
  t.strictSame(destroyed, { undone: 1, closed: 0, failed: 0 })
  t.equal(whereIs(storage, id), 'temp')
})
