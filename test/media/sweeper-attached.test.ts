import t from 'tap'
import type { ResourceType } from '../../src/asset-storage.ts'
import { sendMessage } from '../../src/send-message/send-message.ts'
import { sweepOnce } from '../../src/send-message/sweep-media.ts'
import { undoPromotion } from '../../src/send-message/undo-promotion.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'
import {
  databaseNowMs,
  latch,
  letTimePass,
  promotionOf,
  recordOf,
  undoOf,
  whereIs,
} from '../support/media.ts'
import type { Person } from '../support/people.ts'
import { sweeping } from '../support/sweeping.ts'

// An upload that is attached while an earlier promotion of it, as another type, may yet land.

const feature = await startFeature(t)
const { db, deps, storage } = feature
const { of, claimed, promotedAndKilled, sweepLater } = sweeping(feature)

t.beforeEach(async () => {
  storage.faults.clear()
  await db.collection('media').deleteMany({})
})

interface Attached {
  alice: Person
  bob: Person
  id: string
  /** Lets the earlier promotion land, which takes an image along. */
  land(): Promise<void>
  /** Where the image is, and where the message's video. */
  places(): string[]
}

/** A video in a message, and an image under its temporary id, for which a promotion is still on its way. */
async function attachedTooEarly(): Promise<Attached> {
  const [alice, bob] = await feature.two()
  const id = alice.uploads('video', 'holiday')
  const { until, open } = latch()
  storage.faults.on(promotionOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
  // 0.3 s for the promotion: 6 s of a deadline are the commit's.
  const first = await codeOf(sendMessage(deps, draft(alice, bob, { ...of(id), type: 'image' }, 6_300)))
  const second = await codeOf(sendMessage(deps, draft(alice, bob, { ...of(id), type: 'video' })))
  t.strictSame([first, second], ['MEDIA_PROMOTION_FAILED', 'OK'])
  alice.uploads('image', 'holiday')
  const land = async (): Promise<void> => {
    open()
    await until
  }
  const places = () => (['image', 'video'] as ResourceType[]).map((type) => whereIs(storage, id, type))
  return { alice, bob, id, land, places }
}

t.test('a promotion that lands beside it is undone, and the message keeps its own', async (t) => {
  const { id, land, places } = await attachedTooEarly()
  const settled = await recordOf(db, id)
  const tooEarly = await sweepOnce(deps)

  await land()
  const landed = places()
  const quiet = await sweepLater(id)
  const afterQuiet = [places(), await recordOf(db, id)] as const
  const hour = await sweepLater(id)
  const never = await sweepLater(id)

  t.strictSame(landed, ['messages', 'messages'])
  t.match(settled, { state: 'attached', uncertain: 'forward', lateTypes: ['image', 'raw'] })
  t.strictSame(tooEarly, { undone: 0, closed: 0, failed: 0 })
  t.strictSame(quiet, { undone: 1, closed: 0, failed: 0 })
  t.strictSame(afterQuiet[0], ['temp', 'messages'])
  t.match(afterQuiet[1], { state: 'attached', uncertain: 'late', messageId: settled?.messageId })
  t.ok((afterQuiet[1]?.until?.getTime() ?? 0) > (await databaseNowMs(db)) + 3_500_000)
  t.strictSame(hour, { undone: 0, closed: 1, failed: 0 })
  t.strictSame(never, { undone: 0, closed: 0, failed: 0 })
  t.strictSame(places(), ['temp', 'messages'])
  const fields = Object.keys((await recordOf(db, id)) ?? {}).sort()
  t.strictSame(fields, ['_id', 'messageId', 'senderId', 'state', 'takenOver', 'token'])
})

t.test('one that lands within its signature’s hour is undone by the last look', async (t) => {
  const { id, land, places } = await attachedTooEarly()

  const quiet = await sweepLater(id)
  await land()
  const landed = places()
  const hour = await sweepLater(id)

  t.strictSame(quiet, { undone: 0, closed: 1, failed: 0 })
  t.strictSame(landed, ['messages', 'messages'])
  t.strictSame(hour, { undone: 1, closed: 0, failed: 0 })
  t.strictSame(places(), ['temp', 'messages'])
  t.notOk((await recordOf(db, id))?.until)
})

t.test('while it is due nobody else may have it: no claim, no undo, no release', async (t) => {
  const { alice, bob, id, places } = await attachedTooEarly()
  await letTimePass(db, id)
  const record = await recordOf(db, id)
  const token = record?.token ?? ''
  const moved = [{ id, uncertain: true, types: ['video' as const] }]

  const again = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  await undoPromotion(deps, { claim: { token, lease: { at: deps.clock() + 1_000 } }, moved })
  await deps.records.release([id], token)
  await deps.records.finishUndo(id, token, 'back')

  t.equal(again, 'MEDIA_ALREADY_USED')
  t.strictSame(places(), ['temp', 'messages'])
  t.strictSame(await recordOf(db, id), record)
})

t.test('a sweeper that dies over it leaves it attached, and due to the next one alone', async (t) => {
  const { id, land, places } = await attachedTooEarly()
  await land()
  await letTimePass(db, id)
  const [seen] = await deps.records.findDue(1)
  t.ok(seen && (await deps.records.takeDue(seen, 'of the dead')))
  const taken = await recordOf(db, id)

  const tooEarly = await sweepOnce(deps)
  await letTimePass(db, id)
  const late = seen && (await deps.records.takeDue(seen, 'of who looked before'))
  const counts = await Promise.all([sweepOnce(deps), sweepOnce(deps)])
  await (seen && deps.records.close(seen, 'of the dead'))

  t.match(taken, { state: 'attached', uncertain: 'forward', token: 'of the dead' })
  t.strictSame(tooEarly, { undone: 0, closed: 0, failed: 0 })
  t.equal(late, false)
  t.equal(
    counts.reduce((sum, { undone }) => sum + undone, 0),
    1,
  )
  t.strictSame(places(), ['temp', 'messages'])
  t.match(await recordOf(db, id), { state: 'attached', uncertain: 'late' })
})

t.test('what the storage refuses, or does not answer, is tried again, and stays attached', async (t) => {
  const { id, land, places } = await attachedTooEarly()
  await land()
  storage.faults.on(undoOf(id), { kind: 'status', status: 403 }, { times: 2 })
  storage.faults.on(undoOf(id), { kind: 'reset-before' }, { times: 2 })

  const refused = await sweepLater(id)
  const afterRefusal = await recordOf(db, id)
  const unanswered = await sweepLater(id)
  const afterSilence = await recordOf(db, id)
  const answered = await sweepLater(id)
  const looked = await recordOf(db, id)

  t.strictSame([refused, unanswered], Array(2).fill({ undone: 0, closed: 0, failed: 1 }))
  t.match(afterRefusal, { state: 'attached', uncertain: 'forward', failures: 1 })
  t.match(afterSilence, { state: 'attached', uncertain: 'forward', failures: 2 })
  t.strictSame(answered, { undone: 1, closed: 0, failed: 0 })
  t.match(looked, { state: 'attached', uncertain: 'late' })
  t.notOk(looked?.failures)
  t.strictSame(places(), ['temp', 'messages'])
})

t.test('it is looked at, too, where it was sent again before the last look at its undo', async (t) => {
  const [alice, bob] = await feature.two()
  const id = alice.uploads('image')
  await claimed(alice, bob, id)
  await sweepLater(id)
  await sweepLater(id)
  const undone = await recordOf(db, id)

  const code = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.match(undone, { state: 'undone', uncertain: 'late' })
  t.equal(code, 'OK')
  t.match(await recordOf(db, id), { state: 'attached', uncertain: 'forward', lateTypes: ['video', 'raw'] })
})

t.test('taken over from somebody who had answered every call, it is not', async (t) => {
  const [alice, bob] = await feature.two()
  const id = alice.uploads('image')
  await undoPromotion(deps, await promotedAndKilled(alice, bob, id))

  const code = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.equal(code, 'OK')
  const fields = Object.keys((await recordOf(db, id)) ?? {}).sort()
  t.strictSame(fields, ['_id', 'messageId', 'senderId', 'state', 'takenOver', 'token'])
})

t.test('where a record does not say which types these are, nothing is moved', async (t) => {
  const [alice, bob] = await feature.two()
  const id = alice.uploads('image')
  await sendMessage(deps, draft(alice, bob, of(id)))
  const due = { until: new Date(0), uncertain: 'forward' }
  await db.collection<{ _id: string }>('media').updateOne({ _id: id }, { $set: due })
  const before = storage.requests.length

  const counts = await sweepOnce(deps)

  t.strictSame(counts, { undone: 0, closed: 1, failed: 0 })
  t.equal(storage.requests.length, before)
  t.equal(whereIs(storage, id), 'messages')
})
