import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { Refusal } from '../src/errors.ts'
import { createMeters } from '../src/send-message/meters.ts'
import { claimMedia, type Promotion, promoteMedia } from '../src/send-message/promote-media.ts'
import { releaseLater } from '../src/send-message/release-later.ts'
import { sendMessage } from '../src/send-message/send-message.ts'
import { keepSweeping, sweepOnce } from '../src/send-message/sweep-media.ts'
import { undoPromotion } from '../src/send-message/undo-promotion.ts'
import { eventually } from './support/eventually.ts'
import { codeOf, draft, startFeature } from './support/feature.ts'
import { latch, letTimePass, promotionOf, recordOf, undoOf, whereIs } from './support/media.ts'
import type { Person } from './support/people.ts'

const feature = await startFeature(t, { ownServer: true, monitorCommands: true })
const { client, db, deps, storage } = feature

const { two } = feature

const of = (...ids: string[]) => ({ media: ids.map((publicId) => ({ publicId })) })

/** As a process leaves it that is killed between the promotion and the commit. */
async function promotedAndKilled(alice: Person, bob: Person, id: string): Promise<Promotion> {
  const claim = await claimMedia(deps, draft(alice, bob, of(id)))
  if (claim instanceof Refusal) throw claim
  return await promoteMedia(deps, draft(alice, bob, of(id)), claim)
}

/** The first commit's outcome is unknown, and the others show a defect. */
async function failCommits(test: Test): Promise<void> {
  await feature.failCommand(test, ['commitTransaction'], { errorCode: 50 })
  client.once('commandFailed', () => {
    void feature.failCommand(test, ['commitTransaction'], { errorCode: 9999 })
  })
}

t.test('no admission: nothing is recorded, and nothing moved', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')

  await feature.failCommand(t, ['find'], { closeConnection: true }, 1)
  const cut = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  await feature.failCommand(t, ['find'], { errorCode: 9999 }, 1)
  const defect = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.strictSame([cut, defect], ['DATABASE_UNAVAILABLE', 'INTERNAL_ERROR'])
  t.equal(await recordOf(db, id), null)
  t.strictSame(storage.requests, [])
})

t.test('a claim of which nothing is known is released, and may be made again', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await feature.failCommand(t, ['update'], { writeConcernError: { code: 64, errmsg: 'late' } }, 1)

  const unknown = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  await eventually(async () => (await recordOf(db, id))?.until?.getTime() !== undefined)
  await eventually(async () => ((await recordOf(db, id))?.until ?? new Date()) < new Date())
  const again = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.equal(unknown, 'DATABASE_UNAVAILABLE')
  t.equal(again, 'OK')
})

t.test('a claim that the database refuses is a defect, and leaves nothing', async (t) => {
  const [alice, bob] = await two()
  const ids = [alice.uploads('image'), alice.uploads('image')].sort()
  await db.command({ collMod: 'media', validator: { _id: { $ne: ids[1] } } })
  t.teardown(() => db.command({ collMod: 'media', validator: {} }))

  const code = await codeOf(sendMessage(deps, draft(alice, bob, of(...ids))))

  t.equal(code, 'INTERNAL_ERROR')
  t.strictSame(await Promise.all(ids.map((id) => recordOf(db, id))), [null, null])
  t.ok(ids.every((id) => whereIs(storage, id) === 'temp'))
})

t.test('an unknown commit that was not done: nothing is touched, and it may be sent again', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await failCommits(t)

  const unknown = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  const place = whereIs(storage, id)
  const state = (await recordOf(db, id))?.state
  await feature.mendCommands()
  // Nothing of the failed transaction keeps the release waiting; the server would for 10 s here, for a minute by default.
  await eventually(async () => ((await recordOf(db, id))?.until ?? new Date()) < new Date(), 2_000)
  const again = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.equal(unknown, 'DATABASE_UNAVAILABLE')
  t.strictSame([place, state], ['messages', 'promoting'])
  t.equal(again, 'OK')
  t.equal((await alice.sentTo(bob)).length, 1)
})

t.test('an unknown commit that was done: the message is there, and its key finds it', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await feature.failCommand(t, ['commitTransaction'], { writeConcernError: { code: 64, errmsg: 'late' } })

  // 6 s of it are the commit's.
  const unknown = await codeOf(sendMessage(deps, draft(alice, bob, { ...of(id), key: 'k' }, 6_500)))
  await feature.mendCommands()
  const counts = await sweepOnce(deps)
  const repeat = await sendMessage(deps, draft(alice, bob, { ...of(id), key: 'k' }))
  const withoutKey = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.equal(unknown, 'DATABASE_UNAVAILABLE')
  t.strictSame(counts, { undone: 0, closed: 0, failed: 0 })
  t.ok(repeat.replayed)
  t.equal(withoutKey, 'MEDIA_ALREADY_USED')
  t.equal(whereIs(storage, id), 'messages')
  t.equal((await alice.sentTo(bob)).length, 1)
})

t.test('a first try that has finished since the admission is found by its key', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const first = sendMessage(deps, draft(alice, bob, { ...of(id), key: 'k' }))
  const { until, open } = latch()
  storage.faults.on(promotionOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
  await storage.nextRequest(promotionOf(id))
  let claims = 0
  const slow = {
    ...deps,
    records: {
      ...deps.records,
      // Between the admission and the claim: the first one ends.
      async claim(...args: Parameters<typeof deps.records.claim>) {
        claims += 1
        open()
        await first
        return await deps.records.claim(...args)
      },
    },
  }

  const repeat = await sendMessage(slow, draft(alice, bob, { ...of(id), key: 'k' }))

  t.equal(claims, 1)
  t.ok(repeat.replayed)
  t.strictSame(repeat.message._id, (await first).message._id)
})

t.test('an undo whose records cannot be changed touches nothing: the sweeper goes on', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  await feature.failCommand(t, ['update'], { errorCode: 9999 }, 1)

  await undoPromotion(deps, promotion)
  const place = whereIs(storage, id)
  const state = (await recordOf(db, id))?.state
  await letTimePass(db, id)
  await sweepOnce(deps)

  t.strictSame([place, state], ['messages', 'promoting'])
  t.equal(whereIs(storage, id), 'temp')
})

t.test('an undo that could not be recorded is swept', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  const { until, open } = latch()
  storage.faults.on(undoOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
  const begun = storage.nextRequest(undoOf(id))
  const undo = undoPromotion(deps, promotion)
  await begun
  await feature.failCommand(t, ['update'], { errorCode: 9999 }, 1)
  open()
  await undo
  const record = await recordOf(db, id)

  await letTimePass(db, id)
  const counts = await sweepOnce(deps)

  t.match(record, { state: 'undoing' })
  t.strictSame(counts, { undone: 1, closed: 0, failed: 0 })
  t.match(await recordOf(db, id), { state: 'undone', uncertain: 'forward' })
})

t.test('a lease is ended as soon as the database answers, and at the latest by the stop', async (t) => {
  const [alice, bob] = await two()
  const [early, late] = [alice.uploads('image'), alice.uploads('image')]
  const [first, second] = [
    await promotedAndKilled(alice, bob, early),
    await promotedAndKilled(alice, bob, late),
  ]
  const isFree = async (id: string): Promise<boolean> =>
    ((await recordOf(db, id))?.until ?? new Date()) < new Date()
  const release = releaseLater(deps.records)
  await feature.failCommand(t, ['update'], { errorCode: 9999 }, 1)

  release.add([early], first.claim)
  await eventually(() => isFree(early))
  release.add([late], second.claim)
  const before = await isFree(late)
  await release.stop()

  t.notOk(before)
  t.ok(await isFree(late))
})

t.test('a lease that has ended by itself is not ended again', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const { claim } = await promotedAndKilled(alice, bob, id)
  let now = 0
  const release = releaseLater(deps.records, () => now)
  release.add([id], claim)

  now = 60_000
  await release.stop()

  t.ok(((await recordOf(db, id))?.until ?? new Date(0)) > new Date())
})

t.test('a sweep that fails is logged by name, and the next one goes on', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await promotedAndKilled(alice, bob, id)
  await letTimePass(db, id)
  await feature.failCommand(t, ['find'], { errorCode: 9999 }, 1)
  const warnings: object[] = []
  const registry = new Registry()
  const { onSweep } = createMeters(registry, { waiting: 0 })

  const log = { warn: (fields: object) => void warnings.push(fields) }
  const sweeper = keepSweeping(deps, { onSweep, log }, { intervalMs: 1 })
  await eventually(async () => /media_swept_total\{result="undone"\} [1-9]/.test(await registry.metrics()))
  await sweeper.stop()

  t.strictSame(warnings, [{ err: 'MongoServerError' }])
  t.equal(whereIs(storage, id), 'temp')
})
