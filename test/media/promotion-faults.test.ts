import { once } from 'node:events'
import { createServer } from 'node:http'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import type { Fault } from '../../src/dev/cloudinary/faults.ts'
import cloudinary from '../../src/plugins/cloudinary.ts'
import { eventually } from '../support/eventually.ts'
import { letTimePass, picture, promoted, promotionOf, recordOf, undoOf, whereIs } from '../support/media.ts'
import type { Answer, Person } from '../support/people.ts'
import { startService } from '../support/service.ts'

// What a storage does to each of three items by its status, its pace or its connection is in storage-faults*.test.ts.

const service = await startService(t)
const { db, storage } = service

// Those that wait for a time-out run side by side: each has people and uploads of its own.
t.jobs = 8
/** New for each test: the runner keeps a test's output in its options. */
const sideBySide = () => ({ buffered: true })

interface Sending {
  alice: Person
  bob: Person
  /** Three uploads, of which the second meets the fault. */
  ids: [string, string, string]
  send(): Promise<{ answer: Answer; places: string[]; ms: number }>
}

async function sending(): Promise<Sending> {
  const [alice, bob] = [await service.person(), await service.person()]
  const ids: Sending['ids'] = [alice.uploads('image'), alice.uploads('image'), alice.uploads('image')]
  const send: Sending['send'] = async () => {
    const start = performance.now()
    const answer = await alice.sends(bob, picture(...ids))
    return { answer, places: ids.map((id) => whereIs(storage, id)), ms: performance.now() - start }
  }
  return { alice, bob, ids, send }
}

/** The answer names the item; the others are back before it; and the same uploads go through once the fault is gone. */
function failsWith(what: string, fault: Fault): void {
  t.test(`${what}: refused, undone, and free to be sent again at once`, async (t) => {
    const { alice, bob, ids, send } = await sending()
    const mend = storage.faults.on(promotionOf(ids[1]), fault)

    const failed = await send()
    mend()
    const again = await send()

    refusedAndUndone(t, failed)
    t.equal(again.answer.status, 200)
    t.strictSame(again.places, ['messages', 'messages', 'messages'])
    t.equal((await alice.sentTo(bob)).length, 1)
  })
}

/** The storage has done it and only its answer is lost: who looks finds it. */
function goesThroughAfter(what: string, fault: Fault): void {
  t.test(`${what}: looked at, and stored`, async (t) => {
    const { alice, bob, ids, send } = await sending()
    storage.faults.on(promotionOf(ids[1]), fault)

    const { answer, places, ms } = await send()

    t.equal(answer.status, 200)
    t.ok(ms < 18_000)
    t.strictSame(places, ['messages', 'messages', 'messages'])
    t.equal((await alice.sentTo(bob))[0]?.media[1]?.publicId, ids[1].replace('temp', 'messages'))
  })
}

function refusedAndUndone(t: Test, { answer, places, ms }: Awaited<ReturnType<Sending['send']>>): void {
  t.equal(answer.status, 500)
  t.equal(answer.code, 'MEDIA_PROMOTION_FAILED')
  t.strictSame(answer.body.errors, [{ path: '/media/1', message: 'could not be moved to permanent storage' }])
  t.ok(ms < 18_000)
  t.strictSame(places, ['temp', 'temp', 'temp'])
}

failsWith('an answer about another asset', {
  kind: 'wrong-answer',
  body: { public_id: 'messages/other', asset_id: 'x', secure_url: 'https://x', bytes: 1 },
})
failsWith('an answer about nothing', { kind: 'wrong-answer', body: null })

goesThroughAfter('a wrong answer after the deed', { kind: 'wrong-answer', body: {}, when: 'after' })

t.test('an upload that is not there is named, and goes through once it is', async (t) => {
  const { alice, ids, send } = await sending()
  ids[1] = ids[1].replace(/[^/]+$/, 'later')

  const failed = await send()
  alice.uploads('image', 'later')
  const again = await send()

  t.strictSame(
    failed.answer.body.errors?.map(({ path }) => path),
    ['/media/1'],
  )
  t.strictSame(failed.places, ['temp', '', 'temp'])
  t.equal(again.answer.status, 200)
})

t.test('a page of a proxy’s is no answer about an asset, whatever its status', async (t) => {
  const proxy = createServer((_request, response) => response.writeHead(404).end('<html>Not found</html>'))
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  const { port } = proxy.address() as { port: number }
  const app = Fastify()
  t.teardown(() => app.close())
  t.teardown(() => proxy.close())
  const uploadPrefix = `http://127.0.0.1:${port}`
  await app.register(cloudinary, { cloudName: 'demo', apiKey: 'key', apiSecret: 'secret', uploadPrefix })
  await app.ready()

  const answer = await app.storage.rename('image', 'temp/x', 'messages/x', 5_000)

  t.strictSame(answer, { kind: 'unanswered' })
})

t.test('an answer that lacks what a message needs is none', async (t) => {
  const { ids, send } = await sending()
  const body = { public_id: promoted(ids[1]), asset_id: 'x', secure_url: 'https://x' }
  storage.faults.on(promotionOf(ids[1]), { kind: 'wrong-answer', body })

  refusedAndUndone(t, await send())
})

t.test('every item that failed is named', async (t) => {
  const { ids, send } = await sending()
  storage.faults.on(promotionOf(ids[0]), { kind: 'status', status: 420 })
  storage.faults.on(promotionOf(ids[2]), { kind: 'status', status: 500 })

  const { answer, places } = await send()

  t.strictSame(
    answer.body.errors?.map(({ path }) => path),
    ['/media/0', '/media/2'],
  )
  t.strictSame(places, ['temp', 'temp', 'temp'])
})

t.test('what is under the permanent id already is not overwritten', async (t) => {
  const { ids, send } = await sending()
  const target = storage.put({ publicId: ids[1].replace('temp', 'messages'), resourceType: 'image' })

  const { answer, places } = await send()

  t.strictSame(
    answer.body.errors?.map(({ path }) => path),
    ['/media/1'],
  )
  t.strictSame(places, ['temp', 'temp and messages', 'temp'])
  t.equal(storage.list().find(({ assetId }) => assetId === target.assetId)?.publicId, target.publicId)
})

t.test('a rename whose outcome stays unknown is marked, and may be sent again at once', async (t) => {
  const { ids, send } = await sending()
  const mendRename = storage.faults.on(promotionOf(ids[1]), { kind: 'reset-after' })
  const mendLook = storage.faults.on(({ action, publicId }) => action === 'explicit' && publicId === ids[1], {
    kind: 'status',
    status: 420,
  })

  const failed = await send()
  const record = await recordOf(db, ids[1])
  mendRename()
  mendLook()
  const again = await send()

  refusedAndUndone(t, failed)
  t.match(record, { state: 'undone', uncertain: 'forward' })
  t.equal(again.answer.status, 200)
  t.strictSame(await recordOf(db, ids[1]).then((attached) => Object.keys(attached ?? {}).sort()), [
    '_id',
    'lateTypes',
    'messageId',
    'senderId',
    'state',
    'takenOver',
    'token',
    'uncertain',
    'until',
  ])
  const beside = await recordOf(db, ids[0])
  t.match(beside, { state: 'attached' })
  t.notOk(beside?.until)
})

t.test('an undo that the storage refuses leaves the uploads free to be sent again at once', async (t) => {
  const { ids, send } = await sending()
  const mend = storage.faults.on(promotionOf(ids[1]), { kind: 'status', status: 400 })
  const mendUndo = storage.faults.on(undoOf(ids[0]), { kind: 'status', status: 403 })

  const failed = await send()
  const record = await recordOf(db, ids[0])
  mend()
  mendUndo()
  const again = await send()

  t.equal(failed.answer.code, 'MEDIA_PROMOTION_FAILED')
  t.strictSame(failed.places, ['messages', 'temp', 'temp'])
  t.match(record, { state: 'undone', failures: 1 })
  t.equal(again.answer.status, 200)
  t.strictSame(again.places, ['messages', 'messages', 'messages'])
})

t.test(
  'an undo that the storage does not answer bars the upload until the second look',
  sideBySide(),
  async (t) => {
    const { ids, send } = await sending()
    const mend = storage.faults.on(promotionOf(ids[1]), { kind: 'status', status: 400 })
    storage.faults.on(undoOf(ids[0]), { kind: 'hang' }, { times: 1 })

    const failed = await send()
    mend()
    const barred = await send()
    await letTimePass(db, ids[0])
    const stillBarred = await send()

    t.equal(failed.answer.code, 'MEDIA_PROMOTION_FAILED')
    t.ok(failed.ms < 18_000)
    t.strictSame(failed.places, ['messages', 'temp', 'temp'])
    t.match(await recordOf(db, ids[0]), { state: 'undone', uncertain: 'back' })
    t.equal(barred.answer.code, 'REQUEST_IN_PROGRESS')
    t.equal(stillBarred.answer.code, 'REQUEST_IN_PROGRESS')
  },
)

t.test('a storage that answers nothing at all: refused in time, and texts flow', sideBySide(), async (t) => {
  const { alice, bob, ids, send } = await sending()
  storage.faults.on(({ publicId = '' }) => ids.some((id) => publicId.endsWith(id.slice(5))), { kind: 'hang' })
  const begun = storage.nextRequest(promotionOf(ids[2]))
  const media = send()
  let ended = false
  void media.then(() => {
    ended = true
  })
  await begun

  const texts = await Promise.all(Array.from({ length: 20 }, (_, index) => alice.sends(bob, `text ${index}`)))
  const endedBeforeTexts = ended
  const { answer, ms } = await media

  t.ok(texts.every(({ status }) => status === 200))
  t.notOk(endedBeforeTexts)
  t.equal(answer.code, 'MEDIA_PROMOTION_FAILED')
  t.strictSame(
    answer.body.errors?.map(({ path }) => path),
    ['/media/0', '/media/1', '/media/2'],
  )
  t.ok(ms < 18_000)
})

t.test('no socket is left behind by any of them', async () => {
  // Idle ones are kept for 4 s; one that hung would stay.
  await eventually(() => storage.openSockets() === 0, 30_000)
})
