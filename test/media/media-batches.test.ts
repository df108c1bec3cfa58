import t from 'tap'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { commandsOf } from '../support/commits.ts'
import { codeOf, draft, startFeature } from '../support/feature.ts'
import { recordOf } from '../support/media.ts'
import type { Person } from '../support/people.ts'

const feature = await startFeature(t, { monitorCommands: true })
const { db, client, deps } = feature

/** How often each command was sent by some work. */
async function countsOf(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const command of await commandsOf(client, work)) counts[command] = (counts[command] ?? 0) + 1
  return counts
}

/** A claim of a request's own. */
function claim(person: Person, token: string, ...ids: string[]): ReturnType<typeof deps.records.claim> {
  return deps.records.claim(ids, { senderId: person.id, token }, deadlineIn(5_000))
}

t.test('requests with media that arrive together are admitted together', async (t) => {
  const [alice, bob] = await feature.two()

  const lone = await countsOf(() => deps.admit(draft(alice, bob)))
  // Two runs leave at once with one each, and the others together behind them.
  const many = await countsOf(() =>
    Promise.all(Array.from({ length: 50 }, () => deps.admit(draft(alice, bob)))),
  )

  t.strictSame(lone, { 'find blocks': 1, 'find users': 1, 'find devices': 1 })
  t.strictSame(many, { 'find blocks': 3, 'find users': 3, 'find devices': 3 })
})

t.test('among those that are admitted together each has its own verdict', async (t) => {
  const [alice, bob] = await feature.two()
  const [blocked, suspended] = await feature.two()
  await alice.blocks(blocked)
  await suspended.becomes('suspended')
  const request = [bob, blocked, suspended, bob]

  const codes = await Promise.all(request.map((sender) => codeOf(deps.admit(draft(sender, alice)))))

  t.strictSame(codes, ['OK', 'BLOCKED_RELATIONSHIP', 'ACCOUNT_SUSPENDED', 'OK'])
})

t.test('an account whose data no check expects fails alone', async (t) => {
  const [alice, bob] = await feature.two()
  const odd = await feature.person()
  await db.collection('devices').updateOne({ _id: odd.deviceId }, { $set: { userId: 'no id' } })
  const request = [bob, bob, odd, bob]

  const codes = await Promise.all(request.map((sender) => codeOf(deps.admit(draft(sender, alice)))))

  t.strictSame(codes, ['OK', 'OK', 'INTERNAL_ERROR', 'OK'])
})

t.test('uploads that are claimed together cost one command', async (t) => {
  const [alice] = await feature.two()
  const ids = Array.from({ length: 30 }, (_, index) => `together ${index}`)

  const commands = await countsOf(() => Promise.all(ids.map((id) => claim(alice, `for ${id}`, id))))

  t.strictSame(commands, { 'update media': 3 })
  const tokens = await Promise.all(ids.map(async (id) => (await recordOf(db, id))?.token))
  t.strictSame(
    tokens,
    ids.map((id) => `for ${id}`),
  )
})

t.test(
  'of two requests in one batch that overlap one gets all it wants, and the other nothing',
  async (t) => {
    const [alice, bob] = await feature.two()

    const [, , first, second, apart] = await Promise.all([
      claim(alice, 'ahead', 'ahead'),
      claim(alice, 'ahead too', 'ahead too'),
      claim(alice, 'first', 'a', 'b', 'c'),
      claim(bob, 'second', 'b', 'c', 'd'),
      claim(bob, 'apart', 'e', 'f'),
    ])
    const tokens = await Promise.all(
      ['a', 'b', 'c', 'd', 'e', 'f'].map(async (id) => (await recordOf(db, id))?.token),
    )

    t.strictSame(
      [first, apart].map((answer) => answer?.kind),
      ['claimed', 'claimed'],
    )
    t.strictSame(second, { kind: 'taken', attached: new Set(), busy: new Set(['b', 'c']) })
    t.strictSame(tokens, ['first', 'first', 'first', undefined, 'apart', 'apart'])
  },
)

t.test('what somebody’s open transaction holds keeps no other claim of its batch', async (t) => {
  const [alice] = await feature.two()
  await claim(alice, 'before', 'held')
  await deps.records.release(['held'], 'before')
  const session = feature.client.startSession()
  t.teardown(() => session.endSession())
  session.startTransaction()
  await db.collection<{ _id: string }>('media').updateOne({ _id: 'held' }, { $set: { x: 1 } }, { session })

  const [, , held, beside] = await Promise.all([
    claim(alice, 'x', 'first to leave'),
    claim(alice, 'y', 'second to leave'),
    codeOf(claim(alice, 'again', 'held')),
    claim(alice, 'beside', 'beside what is held'),
  ])

  // MaxTimeMSExpired.
  t.equal(held, '50')
  t.strictSame(beside, { kind: 'claimed', takenOver: new Set() })
})

t.test('what a sender has back is taken over in a batch, too', async (t) => {
  const [alice] = await feature.two()
  await claim(alice, 'before', 'back')
  await deps.records.release(['back'], 'before')

  const [, , again] = await Promise.all([
    claim(alice, 'x', 'in front'),
    claim(alice, 'y', 'in front too'),
    claim(alice, 'again', 'back', 'new'),
    claim(alice, 'beside', 'beside'),
  ])

  t.strictSame(again, { kind: 'claimed', takenOver: new Set(['back']) })
})

t.test(
  'what a vain claim had got is free again at once: what it took over is due, what it made is gone',
  async (t) => {
    const [alice, bob] = await feature.two()
    await claim(alice, 'before', 'vain 1', 'vain 2')
    await deps.records.release(['vain 1', 'vain 2'], 'before')
    await claim(bob, 'under way', 'vain 4')

    const vain = await claim(alice, 'vain', 'vain 4', 'vain 3', 'vain 2', 'vain 1')

    t.strictSame(vain, { kind: 'taken', attached: new Set(), busy: new Set(['vain 4']) })
    const due = (await deps.records.findDue(10)).filter(({ token }) => token === 'vain')
    t.strictSame(due.map(({ _id }) => _id).sort(), ['vain 1', 'vain 2'])
    t.ok(due.every(({ until }) => until instanceof Date))
    t.strictSame(await recordOf(db, 'vain 3'), null)
    t.match(await recordOf(db, 'vain 4'), { token: 'under way' })
  },
)

t.test('of what a holder undoes only that is begun which is still his', async (t) => {
  const [alice] = await feature.two()
  await claim(alice, 'mine', 'kept', 'lost')
  await claim(alice, 'beside', 'beside')
  await deps.records.release(['lost'], 'mine')
  await claim(alice, 'another', 'lost')

  const items = ['kept', 'lost', 'beside'].map((id) => ({ id, uncertain: false }))
  const begun = await deps.records.beginUndo(items, { held: 'mine', next: 'undo' })

  t.strictSame(begun, ['kept'])
  t.match(await recordOf(db, 'kept'), { state: 'undoing', token: 'undo' })
  t.match(await recordOf(db, 'lost'), { state: 'promoting', token: 'another' })
})
