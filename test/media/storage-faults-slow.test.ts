import t from 'tap'
import { eventually } from '../support/eventually.ts'
import { latch } from '../support/media.ts'
import { startService, withoutSweeps } from '../support/service.ts'
import { type SlowAnswer, slownessesOf } from '../support/storage/slowness.ts'
import {
  back,
  itemNames,
  refused,
  type Sent,
  storedOnce,
  type Trio,
  trioIn,
} from '../support/storage/trio.ts'
import { sweepLater } from '../support/sweeping.ts'

// Each of these takes the whole time of a call, or of several. So all of them are sent first, and wait side by side; then
// the storage is mended. What the records say meanwhile is in the other files: here a busy machine may leave to the sweeper
// what an undo has two seconds for.

const service = await startService(t, withoutSweeps)
const { storage } = service

type Scene<S extends SlowAnswer> = S & {
  at: number
  trio: Trio
  sending: Promise<Sent>
  /** A text of the same sender was answered, and the message with media was not. */
  textFlows: boolean
}

const held = latch()
const slownesses = slownessesOf(storage, held.until)
const stored = await beginEach(slownesses.stored)
const unknown = await beginEach(slownesses.unknown)
const barred = await beginEach(slownesses.barred)

const mended = Promise.all([...stored, ...unknown, ...barred].map(({ sending }) => sending)).then(() => {
  held.open()
  storage.faults.clear()
})

async function beginEach<S extends SlowAnswer>(slow: S[]): Promise<Scene<S>[]> {
  const scenes: Scene<S>[] = []
  for (const at of itemNames.keys()) {
    for (const each of slow) scenes.push({ ...each, at, ...(await begin(each, at)) })
  }
  return scenes
}

/** Sends, and goes on once the storage lets it wait: so not all of them are at the same place at the same moment. */
async function begin(
  { strikes }: SlowAnswer,
  at: number,
): Promise<Omit<Scene<SlowAnswer>, keyof SlowAnswer | 'at'>> {
  const trio = await trioIn(service)
  const struck = storage.nextRequest(strikes(trio, at))
  let isAnswered = false
  const sending = trio.send().finally(() => {
    isAnswered = true
  })
  // Or its answer, which would then be too early.
  await Promise.race([struck, sending])
  const text = await trio.alice.sends(trio.bob, 'meanwhile')
  return { trio, sending, textFlows: text.status === 200 && !isAnswered }
}

for (const { what, at, trio, sending, textFlows } of stored) {
  t.test(`the ${itemNames[at]} of three ${what}: looked at, and stored, and texts flow`, async (t) => {
    await storedOnce(t, trio, await sending)
    t.ok(textFlows)
  })
}

const fact = '500 MEDIA_PROMOTION_FAILED, and texts flow; a sweep brings all back, and they go'

for (const { what, at, trio, sending, textFlows, failing, leaves, landed = leaves } of unknown) {
  t.test(`the ${itemNames[at]} of three ${what}: ${fact}`, async (t) => {
    const failed = await sending
    await mended
    const before = trio.places()
    await sweepLater(service, ...trio.ids)
    const after = trio.places()
    const again = await trio.send()

    t.ok(textFlows)
    refused(t, failed, failing(at))
    t.equal(failed.places[at], leaves)
    t.equal(before[at], landed)
    t.strictSame(after, back)
    await storedOnce(t, trio, again)
  })
}

for (const { what, at, trio, sending, textFlows, failing, leaves, landed = leaves } of barred) {
  t.test(`the ${itemNames[at]} of three ${what}: ${fact}, and not before`, async (t) => {
    const failed = await sending
    await mended
    const before = trio.places()
    const early = await trio.send()
    await sweepLater(service, ...trio.ids)
    const after = trio.places()
    const again = await trio.send()

    t.ok(textFlows)
    refused(t, failed, failing(at))
    t.equal(failed.places[at], leaves)
    t.equal(before[at], landed)
    t.equal(early.outcome, '409 REQUEST_IN_PROGRESS')
    t.strictSame(after, back)
    await storedOnce(t, trio, again)
  })
}

t.test('none of them has left a socket behind', async () => {
  // Idle ones are kept for 4 s; one that hangs, or drips, would stay.
  await eventually(() => storage.openSockets() === 0)
})
