import t from 'tap'
import { resourceTypes } from '../../src/asset-storage.ts'
import { Refusal } from '../../src/errors.ts'
import { claimMedia, promoteMedia } from '../../src/send-message/promote-media.ts'
import { sendMessage } from '../../src/send-message/send-message.ts'
import { moveBack } from '../../src/send-message/undo-promotion.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'
import { letTimePass, promoted, recordOf, whereIs } from '../support/media.ts'
import type { Person } from '../support/people.ts'

const feature = await startFeature(t)
const { db, deps, storage } = feature

const of = (id: string) => ({ media: [{ publicId: id }] })

/** An upload whose first request was killed after its promotion, and whose lease is over. */
async function abandoned(): Promise<{ alice: Person; bob: Person; id: string; send(): Promise<string> }> {
  const [alice, bob] = [await feature.person(), await feature.person()]
  const id = alice.uploads('image', 'holiday')
  const claim = await claimMedia(deps, draft(alice, bob, of(id)))
  if (claim instanceof Refusal) throw claim
  await promoteMedia(deps, draft(alice, bob, of(id)), claim)
  await letTimePass(db, id)
  return { alice, bob, id, send: () => codeOf(sendMessage(deps, draft(alice, bob, of(id)))) }
}

t.test('what was promoted before is found, and goes on', async (t) => {
  const { alice, bob, id, send } = await abandoned()
  const before = storage.requests.length

  const code = await send()

  t.equal(code, 'OK')
  t.equal((await alice.sentTo(bob))[0]?.media[0]?.publicId, promoted(id))
  t.notOk(storage.requests.slice(before).some(({ action }) => action === 'rename'))
})

t.test(
  'another upload under the old name is refused, and the one that was promoted makes way for it',
  async (t) => {
    const { alice, bob, id, send } = await abandoned()
    alice.uploads('image', 'holiday')
    const anew = storage.list().find(({ publicId }) => publicId === id)

    const first = await send()
    const place = whereIs(storage, id)
    const second = await send()

    t.strictSame([first, place, second], ['MEDIA_PROMOTION_FAILED', 'temp', 'OK'])
    t.equal((await alice.sentTo(bob))[0]?.media[0]?.assetId, anew?.assetId)
  },
)

t.test('targets in two types are refused, and both are moved back', async (t) => {
  const { id, send } = await abandoned()
  storage.put({ publicId: promoted(id), resourceType: 'video' })

  const first = await send()
  const places = [whereIs(storage, id, 'image'), whereIs(storage, id, 'video')]
  const second = await send()

  t.strictSame([first, places, second], ['MEDIA_PROMOTION_FAILED', ['temp', 'temp'], 'OK'])
})

t.test('a storage that does not say where an upload is: refused, moved back, and free again', async (t) => {
  const { id, send } = await abandoned()
  const looks = ({ action }: { action: string }): boolean => action === 'explicit'
  storage.faults.on(looks, { kind: 'status', status: 420 }, { times: 1 })

  const first = await send()
  const place = whereIs(storage, id)
  const second = await send()

  t.strictSame([first, place, second], ['MEDIA_PROMOTION_FAILED', 'temp', 'OK'])
})

t.test('who was paused for longer than his lease does not even look', async (t) => {
  const { alice, bob, id } = await abandoned()
  const claim = await claimMedia(deps, draft(alice, bob, of(id)))
  if (claim instanceof Refusal) throw claim
  const woken = { ...deps, clock: () => deps.clock() + 60_000 }
  const before = storage.requests.length

  const sent = draft(alice, bob, { ...of(id), deadline: { at: woken.clock() + 14_500 } })
  const code = await codeOf(promoteMedia(woken, sent, claim))

  t.equal(code, 'MEDIA_PROMOTION_FAILED')
  t.equal(storage.requests.length, before)
  t.equal(whereIs(storage, id), 'messages')
  t.equal((await recordOf(db, id))?.state, 'promoting')
})

t.test('an undo whose time is up sends nothing more', async (t) => {
  const { alice, id } = await abandoned()
  alice.uploads('image', 'holiday')
  const before = storage.requests.length
  const hours = [0, 10_000].values()
  const late = { storage: deps.storage, clock: () => hours.next().value ?? 0 }

  const atOnce = await moveBack({ ...late, clock: () => 10_000 }, id, resourceTypes, { at: 5_000 })
  const sent = storage.requests.length
  const afterTheRename = await moveBack(late, id, ['image'], { at: 5_000 })

  t.strictSame([atOnce, sent], ['refused', before])
  t.equal(afterTheRename, 'refused')
  t.equal(whereIs(storage, id), 'temp and messages')
})
