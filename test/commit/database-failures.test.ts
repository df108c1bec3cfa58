import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { Refusal } from '../../src/errors.ts'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { createAfterwards } from '../../src/send-message/afterwards.ts'
import { createMeters } from '../../src/send-message/meters.ts'
import { claimMedia, type Promotion, promoteMedia } from '../../src/send-message/promote-media.ts'
import { sendMessage } from '../../src/send-message/send-message.ts'
import { keepSweeping, sweepOnce } from '../../src/send-message/sweep-media.ts'
import { undoPromotion } from '../../src/send-message/undo-promotion.ts'
import { eventually } from '../support/eventually.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'
import { latch, letTimePass, promotionOf, recordOf, undoOf, whereIs } from '../support/media.ts'
import type { Person } from '../support/people.ts'

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

/** Records that are not so are refused by the server, until the test's end. */
async function letWrite(test: Test, validator: object): Promise<void> {
  test.teardown(() => db.command({ collMod: 'media', validator: {} }))
  await db.command({ collMod: 'media', validator })
}

/** The first commit's outcome is unknown, and the others show a defect. */
async function failCommits(test: Test): Promise<void> {
  await feature.failCommand(test, ['commitTransaction'], { errorCode: 50 })
  client.once('commandFailed', () => {
    void feature.failCommand(test, ['commitTransaction'], { errorCode: 9999 })
  })
}

t.test('an admission that is cut off is repeated', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  await feature.failCommand(t, ['find'], { closeConnection: true }, 1)

  t.equal(await codeOf(sendMessage(deps, draft(alice, bob, of(id)))), 'OK')
})

t.test('no admission: nothing is recorded, and nothing moved', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const asked = storage.requests.length

  await feature.failCommand(t, ['find'], { closeConnection: true })
  // Half a second of it is the admission's.
  const cut = await codeOf(sendMessage(deps, draft(alice, bob, of(id), 6_500)))
  // Not once: what was cut off may still be repeating its other reads.
  await feature.failCommand(t, ['find'], { errorCode: 9999 })
  const defect = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))
  await feature.mendCommands()

  t.strictSame([cut, defect], ['DATABASE_UNAVAILABLE', 'INTERNAL_ERROR'])
  t.equal(await recordOf(db, id), null)
  t.equal(storage.requests.length, asked)
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

t.test('claims that fail together fail each for the same reason', async (t) => {
  const alice = await feature.person()
  const ids = ['a', 'b', 'c', 'd'].map((name) => alice.uploads('image', name))
  await feature.failCommand(t, ['update'], { errorCode: 9999 })

  const codes = await Promise.all(
    ids.map((id) => codeOf(deps.records.claim([id], { senderId: alice.id, token: id }, deadlineIn(5_000)))),
  )

  t.strictSame(codes, ['9999', '9999', '9999', '9999'])
})

t.test('a claim that the database refuses is a defect, and leaves nothing', async (t) => {
  const [alice, bob] = await two()
  const ids = [alice.uploads('image'), alice.uploads('image')].sort()
  await letWrite(t, { _id: { $ne: ids[1] } })

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

/** With the service's own way to go on after an answer. */
function withAfterwards(test: Test): typeof deps {
  const afterwards = createAfterwards()
  test.teardown(() => afterwards.stop())
  return { ...deps, afterwards: afterwards.add }
}

t.test('an undo that could not begin touches nothing, and is made once the database answers', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  await feature.failCommand(t, ['update'], { errorCode: 9999 })

  await undoPromotion(withAfterwards(t), promotion)
  const place = whereIs(storage, id)
  const state = (await recordOf(db, id))?.state
  await feature.mendCommands()
  await eventually(async () => (await recordOf(db, id))?.state === 'undone')
  const again = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.strictSame([place, state], ['messages', 'promoting'])
  t.equal(again, 'OK')
})

t.test('an undo that began unheard is known for the request’s own', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  await feature.failCommand(t, ['update'], { writeConcernError: { code: 64, errmsg: 'late' } }, 1)

  await undoPromotion(withAfterwards(t), promotion)
  await eventually(async () => (await recordOf(db, id))?.state === 'undone')

  t.equal(whereIs(storage, id), 'temp')
})

t.test('an undo that could not be recorded is recorded once the database answers', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  const { until, open } = latch()
  storage.faults.on(undoOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
  const begun = storage.nextRequest(undoOf(id))
  const undo = undoPromotion(withAfterwards(t), promotion)
  await begun
  await feature.failCommand(t, ['update'], { errorCode: 9999 })
  open()
  await undo
  const state = (await recordOf(db, id))?.state
  await feature.mendCommands()
  await eventually(async () => (await recordOf(db, id))?.state === 'undone')
  const again = await codeOf(sendMessage(deps, draft(alice, bob, of(id))))

  t.equal(state, 'undoing')
  t.equal(again, 'OK')
})

t.test('a call back that was not answered is recorded as that, however late', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  storage.faults.on(undoOf(id), { kind: 'reset-before' }, { times: 1 })
  let failures = 1
  const once = withAfterwards(t)
  const records = {
    ...deps.records,
    async finishUndo(...args: Parameters<typeof deps.records.finishUndo>) {
      if (failures-- > 0) throw new Error('the database does not answer')
      await deps.records.finishUndo(...args)
    },
  }

  await undoPromotion({ ...once, records }, promotion)
  await eventually(async () => (await recordOf(db, id))?.state === 'undone')

  // It may land yet: a second call, which was answered, says nothing of the first.
  t.equal((await recordOf(db, id))?.uncertain, 'back')
  t.equal(whereIs(storage, id), 'messages')
})

t.test('an undo that nobody recorded is swept', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const promotion = await promotedAndKilled(alice, bob, id)
  const { until, open } = latch()
  storage.faults.on(undoOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
  const begun = storage.nextRequest(undoOf(id))
  const undo = undoPromotion({ ...deps, afterwards() {} }, promotion)
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

t.test(
  'what is written afterwards is tried at once, again until it is done, and at the latest by the stop',
  async (t) => {
    const tries: string[] = []
    const afterwards = createAfterwards()
    const write = (name: string, failures: number) => async (): Promise<void> => {
      tries.push(name)
      if (failures-- > 0) throw new Error('not yet')
    }

    afterwards.add(write('one', 2))
    const atOnce = [...tries]
    afterwards.add(write('two', 0))
    await eventually(() => tries.length > 2)
    await afterwards.stop()

    t.strictSame(atOnce, ['one'])
    t.strictSame(tries.slice(1, 3).sort(), ['one', 'two'], 'what has failed goes behind the others')
    t.equal(tries.filter((name) => name === 'two').length, 1)
    t.equal(tries.length, 4)
  },
)

t.test('what would come after the lease is not written', async (t) => {
  let now = 0
  let tries = 0
  const afterwards = createAfterwards(() => now)
  afterwards.add(async () => {
    tries += 1
    throw new Error('not yet')
  })
  await eventually(() => tries === 1)

  now = 60_000
  await afterwards.stop()

  t.equal(tries, 1)
})

t.test('a record that cannot be written keeps a sweep from no other', async (t) => {
  const [alice, bob] = await two()
  const ids = Array.from({ length: 20 }, () => alice.uploads('image'))
  for (const id of ids) await promotedAndKilled(alice, bob, id)
  await letTimePass(db, ...ids)
  // Not by a fail point: of commands at the same moment, it lets more fail than it was told.
  await letWrite(t, { _id: { $nin: ids.slice(0, 16) } })

  const counts = await sweepOnce(deps)
  await letWrite(t, {})
  const next = await sweepOnce(deps)

  t.strictSame(counts, { undone: 4, closed: 0, failed: 16 })
  t.strictSame(next, { undone: 16, closed: 0, failed: 0 })
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

  t.match(warnings, [{ err: { name: 'MongoServerError' } }])
  t.equal(warnings.length, 1)
  t.equal(whereIs(storage, id), 'temp')
})
