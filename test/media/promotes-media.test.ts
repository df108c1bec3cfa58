import t from 'tap'
import type { FindAnswer, RenameAnswer } from '../../src/asset-storage.ts'
import { claimMedia } from '../../src/send-message/promote-media.ts'
import { draft, startFeature } from '../support/feature.ts'
import {
  assetOf,
  missing,
  promotingWith,
  refused,
  renamedIn,
  sourceMissing,
  unanswered,
} from '../support/promoting.ts'

// What a promotion asks of the storage, in which order and for how long, and what it makes of each answer. The storage here says
// what it is told to; a real one, and its faults, is in promotion-faults.test.ts.

const feature = await startFeature(t)
const { deps, two } = feature
const promoting = promotingWith(feature)

const waysBack = ['rename image messages', 'rename video messages', 'rename raw messages']

const orders = {
  text: ['image', 'video', 'raw'],
  image: ['image', 'video', 'raw'],
  video: ['video', 'image', 'raw'],
  file: ['raw', 'image', 'video'],
} as const
for (const type of ['text', 'image', 'video', 'file'] as const) {
  t.test(
    `an upload of a message with type ${type} is looked for in every namespace, the likely one first`,
    async (t) => {
      const { result, asked, outcomes, record } = await promoting({}, { type })

      t.match(result, { code: 'MEDIA_PROMOTION_FAILED', faults: [{ path: '/media/0' }] })
      // Nothing was moved, so that nothing is moved back.
      t.strictSame(
        asked(),
        orders[type].map((each) => `rename ${each} temp`),
      )
      t.strictSame(outcomes, ['failed', 'undone'])
      t.match(record, { state: 'undone', uncertain: undefined })
    },
  )
}

t.test('what is found is taken, and no other namespace asked', async (t) => {
  const { ids, result, calls, outcomes } = await promoting({ rename: renamedIn('video') })

  t.match(result, { media: [{ publicId: 'messages/x', assetId: 'a1', type: 'video' }] })
  t.match(result, { moved: [{ id: ids[0], uncertain: false, types: ['video'] }] })
  t.strictSame(calls, [
    { what: 'rename image temp', timeoutMs: 5_000 },
    { what: 'rename video temp', timeoutMs: 5_000 },
  ])
  t.strictSame(outcomes, ['promoted'])
})

t.test('a refusal ends it, and leaves nothing to look for', async (t) => {
  for (const answer of [refused, { kind: 'target-exists' } as const]) {
    const { result, asked, record } = await promoting({ rename: () => answer })

    t.match(result, { code: 'MEDIA_PROMOTION_FAILED' })
    t.strictSame(asked(), ['rename image temp'])
    t.match(record, { state: 'undone', uncertain: undefined })
  }
})

t.test('what was not answered is looked at under both ids, and taken if it is moved', async (t) => {
  const find = (what: string): FindAnswer =>
    what === 'find image messages' ? { kind: 'found', asset: assetOf('image', 'messages/y') } : missing
  const { ids, result, asked } = await promoting({ rename: () => unanswered, find })

  t.match(result, { media: [{ publicId: 'messages/y' }] })
  // It may be under any of them should the commit fail.
  t.match(result, { moved: [{ id: ids[0], uncertain: false, types: ['image', 'video', 'raw'] }] })
  t.strictSame(asked(), ['rename image temp', 'find image temp', 'find image messages'])
})

const notMoved: Record<string, (what: string) => FindAnswer> = {
  'under neither id': () => missing,
  'under both': (what) => ({ kind: 'found', asset: assetOf('image', what) }),
  'under the old one': (what) =>
    what === 'find image temp' ? { kind: 'found', asset: assetOf('image', what) } : missing,
  'where nobody says': () => unanswered,
}
for (const [where, find] of Object.entries(notMoved)) {
  t.test(`what was not answered and is ${where} may still be moved: it is uncertain`, async (t) => {
    const rename = (what: string): RenameAnswer => (what.endsWith('temp') ? unanswered : sourceMissing)
    const { result, asked, record } = await promoting({ rename, find })

    t.match(result, { code: 'MEDIA_PROMOTION_FAILED' })
    t.strictSame(asked().slice(3), waysBack)
    t.match(record, { uncertain: 'forward' })
  })
}

t.test('what is kept for the commit is taken by no call', async (t) => {
  // Less than is kept for the commit.
  const { result, asked, record } = await promoting({}, { ms: 5_900 })
  const { calls } = await promoting({ rename: renamedIn('image') }, { ms: 7_000 })

  t.match(result, { code: 'MEDIA_PROMOTION_FAILED' })
  t.strictSame(asked(), [])
  t.match(record, { state: 'undone', uncertain: undefined })
  t.ok(Number(calls[0]?.timeoutMs) <= 1_000)
})

t.test('no call may outlive the lease, not even by nothing', async (t) => {
  const clock = (): number => 1_000
  const shorter = await promoting({}, { clock, lease: { at: 6_000 } })
  const longer = await promoting({}, { clock, lease: { at: 6_001 } })

  t.strictSame(shorter.asked(), [])
  t.equal(longer.calls[0]?.timeoutMs, 5_000)
})

t.test('without time to look, what was not answered is uncertain', async (t) => {
  let now = 1_000
  const rename = (): RenameAnswer => {
    now = 60_000
    return unanswered
  }
  const { result, asked } = await promoting({ rename }, { clock: () => now, lease: { at: 60_000 } })

  t.match(result, { code: 'MEDIA_PROMOTION_FAILED' })
  t.strictSame(asked(), ['rename image temp'])
})

const looks = ['temp', 'messages'].flatMap((folder) => orders.image.map((type) => `find ${type} ${folder}`))

t.test('what was taken over is looked for first, in every namespace, and taken where it is', async (t) => {
  const find = (what: string): FindAnswer =>
    what === 'find raw messages' ? { kind: 'found', asset: assetOf('raw', 'messages/z') } : missing
  const { ids, result, asked, outcomes } = await promoting({ find }, { isTakenOver: true })

  t.match(result, { media: [{ publicId: 'messages/z', type: 'file' }] })
  t.match(result, { moved: [{ id: ids[0], uncertain: false, types: orders.image }] })
  t.strictSame(asked(), looks)
  t.strictSame(outcomes, ['promoted'])
})

t.test('what was taken over and never promoted is promoted, and may be anywhere', async (t) => {
  const { result, asked } = await promoting({ rename: renamedIn('image') }, { isTakenOver: true })

  t.match(result, { moved: [{ uncertain: false, types: orders.image }] })
  t.strictSame(asked(), [...looks, 'rename image temp'])
})

const unclear: Record<string, (what: string) => FindAnswer> = {
  'is under both ids': (what) =>
    /image/.test(what) ? { kind: 'found', asset: assetOf('image', what) } : missing,
  'is promoted in two namespaces': (what) =>
    /(image|raw) messages/.test(what) ? { kind: 'found', asset: assetOf('image', what) } : missing,
  'is told of in part': (what) => (what === 'find video temp' ? refused : missing),
}
for (const [how, find] of Object.entries(unclear)) {
  t.test(`what was taken over and ${how} is not touched, but moved back from everywhere`, async (t) => {
    const { result, asked, record } = await promoting({ find }, { isTakenOver: true })

    t.match(result, { code: 'MEDIA_PROMOTION_FAILED' })
    t.strictSame(asked(), [...looks, ...waysBack])
    t.match(record, { state: 'undone', uncertain: undefined })
  })
}

t.test('what was taken over is not touched without time to look', async (t) => {
  const { result, asked, record } = await promoting({}, { isTakenOver: true, ms: 5_900 })

  t.match(result, { code: 'MEDIA_PROMOTION_FAILED' })
  t.strictSame(asked(), waysBack)
  t.match(record, { state: 'undone', uncertain: undefined })
})

t.test('each item is told by its place, and the others are moved back from where they were', async (t) => {
  let asked = 0
  const rename = (what: string): RenameAnswer => {
    if (!what.endsWith('temp')) return { kind: 'renamed', asset: assetOf('image', 'temp/x') }
    asked += 1
    return asked === 2 ? refused : { kind: 'renamed', asset: assetOf('image', 'messages/x') }
  }
  const { result, outcomes, calls } = await promoting({ rename }, { items: 3 })

  t.match(result, { faults: [{ path: '/media/1', message: 'could not be moved to permanent storage' }] })
  t.equal(calls.filter(({ what }) => what === 'rename image messages').length, 2)
  t.strictSame(outcomes, ['promoted', 'failed', 'promoted', 'undone', 'undone', 'undone'])
})

t.test('a claim that was not answered is let go later: its records may be there', async (t) => {
  const [alice, bob] = await two()
  const media = [{ publicId: alice.uploads('image') }]
  const later: unknown[] = []

  const late = claimMedia(
    { ...deps, afterwards: (write) => void later.push(write) },
    draft(alice, bob, { media }, 0),
  )

  await t.rejects(late, { code: 'DATABASE_UNAVAILABLE' })
  t.equal(later.length, 1)
})
