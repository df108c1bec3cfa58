import t from 'tap'
import type { MediaRecordDocument } from '../../src/collections.ts'
import { promoteMedia } from '../../src/send-message/promote-media.ts'
import { sendMessage } from '../../src/send-message/send-message.ts'
import { type SweepCounts, sweepOnce } from '../../src/send-message/sweep-media.ts'
import { undoPromotion } from '../../src/send-message/undo-promotion.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'
import { databaseNowMs, letTimePass, promoted, recordOf, undoOf, whereIs } from '../support/media.ts'
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

t.test('two sweepers at once move everything back once', async (t) => {
  const [alice, bob] = await two()
  const ids = Array.from({ length: 10 }, () => alice.uploads('image'))
  await promotedAndKilled(alice, bob, ...ids)
  await letTimePass(db, ...ids)

  const counts = await Promise.all([sweepOnce(deps), sweepOnce(deps), sweepOnce(deps)])

  const undos = storage.requests.filter(
    (call) => call.resourceType === 'image' && ids.some((id) => undoOf(id)(call)),
  )
  t.equal(
    counts.reduce((sum, { undone }) => sum + undone, 0),
    ids.length,
  )
  t.equal(undos.length, ids.length)
  // Who was slower counts nothing.
  for (const count of counts) t.strictSame(count, { undone: count.undone, closed: 0, failed: 0 })
  t.ok(ids.every((id) => whereIs(storage, id) === 'temp'))
})

t.test('a sweep takes every page, and no further record once the service stops', async (t) => {
  const [alice] = await two()
  const ids = Array.from({ length: 230 }, (_, index) => `temp/user_${alice.id.toHexString()}/${index}`)
  const record = {
    state: 'undone',
    senderId: alice.id,
    token: 'x',
    until: new Date(0),
    takenOver: false,
  } as const
  await media.insertMany(
    ids.map((_id) => ({ _id, ...record })),
    { writeConcern: { w: 'majority' } },
  )

  const stopping = await sweepOnce(deps, { isStopping: () => true })
  const counts = await sweepOnce(deps)

  t.strictSame(stopping, { undone: 0, closed: 0, failed: 0 })
  t.strictSame(counts, { undone: 0, closed: 230, failed: 0 })
  t.equal(await media.countDocuments(), 0)
})

t.test('what the storage refuses is tried later, and later each time, and blocks no other', async (t) => {
  const [alice, bob] = await two()
  const [stuck, ...others] = [alice.uploads('image'), alice.uploads('image'), alice.uploads('image')]
  await promotedAndKilled(alice, bob, stuck, ...others)
  const mend = storage.faults.on(undoOf(stuck), { kind: 'status', status: 403 })
  const waits: number[] = []
  const sweepAndWait = async (...ids: string[]): Promise<SweepCounts> => {
    const counts = await sweepLater(...ids)
    const untilMs = (await recordOf(db, stuck))?.until?.getTime() ?? 0
    waits.push(Math.ceil((untilMs - (await databaseNowMs(db))) / 1_000))
    return counts
  }

  const first = await sweepAndWait(stuck, ...others)
  const second = await sweepAndWait(stuck)
  await sweepAndWait(stuck)
  await sweepAndWait(stuck)
  await sweepAndWait(stuck)
  mend()
  const mended = await sweepLater(stuck)

  t.strictSame(first, { undone: 2, closed: 0, failed: 1 })
  t.strictSame(second, { undone: 0, closed: 0, failed: 1 })
  t.strictSame(waits, [15, 30, 60, 90, 90])
  t.strictSame(mended, { undone: 1, closed: 0, failed: 0 })
  t.notOk((await recordOf(db, stuck))?.failures)
  await isFree(t, alice, bob, stuck)
})

t.test('the repeat of a refused undo is no second look, though there is nothing to move', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await promotedAndKilled(alice, bob, id)
  storage.faults.on(undoOf(id), { kind: 'status', status: 403 }, { times: 3 })
  await sweepLater(id)
  await deps.storage.rename('image', promoted(id), id, 1_000)

  const counts = await sweepLater(id)

  t.strictSame(counts, { undone: 1, closed: 0, failed: 0 })
  t.match(await recordOf(db, id), { state: 'undone', uncertain: 'forward' })
})

t.test('who was paused for longer than his lease sends the storage nothing', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const claim = await claimed(alice, bob, id)
  const woken = { ...deps, clock: () => deps.clock() + 60_000 }
  const before = storage.requests.length

  const sent = draft(alice, bob, { ...of(id), deadline: { at: woken.clock() + 14_500 } })
  const code = await codeOf(promoteMedia(woken, sent, claim))

  t.equal(code, 'MEDIA_PROMOTION_FAILED')
  t.equal(storage.requests.length, before)
  t.equal((await recordOf(db, id))?.state, 'promoting')
})

t.test('who lost his record to a sweeper undoes nothing', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  await sweepLater(id)
  await sendMessage(deps, draft(alice, bob, of(id)))

  await undoPromotion(deps, promotion)

  t.equal(whereIs(storage, id), 'messages')
  t.equal((await recordOf(db, id))?.state, 'attached')
})

t.test('who has attached his uploads can undo nothing any more', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  await deps.commit(draft(alice, bob, of(id)), promotion)

  await undoPromotion(deps, promotion)
  await deps.records.release([id], promotion.claim.token)

  t.equal(whereIs(storage, id), 'messages')
  t.equal((await recordOf(db, id))?.state, 'attached')
  t.notOk((await recordOf(db, id))?.until)
})

t.test('what a former holder still writes is refused by its token', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const { claim } = await promotedAndKilled(alice, bob, id)
  await deps.records.beginUndo([{ id, uncertain: false }], { held: claim.token, next: 'former' })
  await letTimePass(db, id)
  const [due] = await deps.records.findDue(1)
  t.ok(due && (await deps.records.takeDue(due, 'present')))
  const taken = await recordOf(db, id)

  await deps.records.release([id], claim.token)
  await deps.records.beginUndo([{ id, uncertain: true }], { held: claim.token, next: 'former' })
  await deps.records.finishUndo(id, 'former', undefined)
  await deps.records.postponeUndo({ _id: id }, 'former')
  await (due && deps.records.close(due, 'former'))
  const again = due && (await deps.records.takeDue(due, 'another'))

  t.strictSame(await recordOf(db, id), taken)
  t.match(taken, { state: 'undoing', token: 'present' })
  t.equal(again, false)
})

t.test('who looked before others swept takes nothing, though it is due again', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const { claim } = await promotedAndKilled(alice, bob, id)
  await deps.records.beginUndo([{ id, uncertain: false }], { held: claim.token, next: 'former' })
  await letTimePass(db, id)
  const [seen] = await deps.records.findDue(1)
  t.ok(seen && (await deps.records.takeDue(seen, 'present')))
  await letTimePass(db, id)

  const isTaken = seen && (await deps.records.takeDue(seen, 'late'))

  t.equal(isTaken, false)
})

t.test('a claim that was taken over is no longer its former holder’s to end', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const former = await claimed(alice, bob, id)
  await letTimePass(db, id)
  await claimed(alice, bob, id)
  const held = await recordOf(db, id)

  await deps.records.release([id], former.token)
  const ids = await deps.records.beginUndo([{ id, uncertain: true }], { held: former.token, next: 'late' })

  t.strictSame(ids, [])
  t.strictSame(await recordOf(db, id), held)
})
