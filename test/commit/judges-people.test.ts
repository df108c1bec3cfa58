import { ObjectId } from 'mongodb'
import t from 'tap'
import type { DeviceDocument, MessageDocument, UserDocument } from '../../src/collections.ts'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { type Draft, type DraftRequest, draftOf, messageOf } from '../../src/send-message/draft.ts'
import {
  judge,
  judgeFinished,
  judgeOne,
  nameOf,
  type Reads,
  type Verdict,
} from '../../src/send-message/judge.ts'

// The checks on what was read, without a database: what is missing, odd or another's must never be taken for a yes.

const [alice, bob, carol] = ['a', 'b', 'c'].map((letter) => letter.repeat(24)) as [string, string, string]
const [phone, laptop] = ['1', '2'].map((digit) => digit.repeat(24)) as [string, string]

function draft(request: Partial<DraftRequest> = {}): Draft {
  return draftOf({
    sender: { userId: alice, deviceId: phone },
    receiverId: bob,
    content: 'Hello',
    type: 'text',
    deadline: deadlineIn(1_000),
    ...request,
  })
}

interface World {
  users: Record<string, unknown>
  devices: Record<string, object>
  blocks: string[]
  finished: MessageDocument[]
}

/** Alice at her phone may write to Bob, unless the world is said to be otherwise. */
function reads(world: Partial<World> = {}): Reads {
  const { users, devices, blocks = [], finished = [] } = world
  const everybody = { [alice]: 'active', [bob]: 'active', ...users } as Record<string, UserDocument['status']>
  const every = { [phone]: { userId: ObjectId.createFromHexString(alice), trusted: true }, ...devices }
  return {
    users: new Map(Object.entries(everybody)),
    devices: new Map(Object.entries(every as Record<string, DeviceDocument>)),
    blocks: new Set(blocks),
    finished: new Map(
      finished.map((message) => {
        const { conversationId, senderId, idempotency } = message
        return [`${conversationId.toHexString()}:${senderId.toHexString()}:${idempotency?.key}`, message]
      }),
    ),
  }
}

function said(verdict: Verdict): string {
  return verdict.kind === 'refused' ? verdict.refusal.code : verdict.kind
}

t.test('an active sender at a trusted device of his own may write to whoever is there', async (t) => {
  const verdicts = ['active', 'inactive', 'suspended', null, undefined].map((status) =>
    said(judge(reads({ users: { [bob]: status } }), draft())),
  )

  t.strictSame(
    verdicts,
    verdicts.map(() => 'admitted'),
  )
})

t.test('a sender is active, or refused, whatever else his account says', async (t) => {
  const statuses = ['suspended', 'inactive', 'deleted', undefined, null, true, 'Active', 'ACTIVE', '']

  const verdicts = statuses.map((status) => said(judge(reads({ users: { [alice]: status } }), draft())))

  t.strictSame(verdicts, ['ACCOUNT_SUSPENDED', ...statuses.slice(1).map(() => 'ACCOUNT_INACTIVE')])
})

t.test('a device is there, trusted and the sender’s own, or refused', async (t) => {
  const own = { userId: ObjectId.createFromHexString(alice) }
  const devices = [
    { userId: ObjectId.createFromHexString(bob), trusted: true },
    { ...own, trusted: false },
    { ...own, trusted: 1 },
    { ...own, trusted: 'true' },
    own,
    { trusted: true },
    {},
  ]

  const verdicts = devices.map((device) => said(judge(reads({ devices: { [phone]: device } }), draft())))
  const another = said(judge(reads(), draft({ sender: { userId: alice, deviceId: laptop } })))

  t.strictSame(
    [...verdicts, another],
    [...devices, {}].map(() => 'DEVICE_NOT_TRUSTED'),
  )
})

t.test('a receiver who is deleted, or was not found, is refused', async (t) => {
  const { users, ...others } = reads()
  const withoutBob = new Map([...users].filter(([id]) => id !== bob))

  const deleted = said(judge(reads({ users: { [bob]: 'deleted' } }), draft()))
  const missing = said(judge({ users: withoutBob, ...others }, draft()))

  t.strictSame([deleted, missing], ['RECEIVER_NOT_FOUND', 'RECEIVER_NOT_FOUND'])
})

t.test('a block either way is refused, and one with anybody else is not', async (t) => {
  const verdicts = [[`${alice}:${bob}`], [`${bob}:${alice}`], [`${alice}:${carol}`, `${carol}:${bob}`]].map(
    (blocks) => said(judge(reads({ blocks }), draft())),
  )

  t.strictSame(verdicts, ['BLOCKED_RELATIONSHIP', 'BLOCKED_RELATIONSHIP', 'admitted'])
})

t.test('a key finds the message that has its name, with the same body only', async (t) => {
  const first = draft({ key: 'k' })
  const message = messageOf(first, [], new Date(0))
  const finished = [message]

  const repeated = judge(reads({ finished }), draft({ key: 'k' }))
  const others = [
    draft({ key: 'k', content: 'other' }),
    draft({ key: 'k', type: 'file' }),
    draft({ key: 'k', media: [{ publicId: 'x' }] }),
  ].map((each) => said(judge(reads({ finished }), each)))
  const unnamed = [draft(), draft({ key: 'K' }), draft({ key: 'k', receiverId: carol })]
  const admitted = unnamed.map((each) => said(judge(reads({ finished, users: { [carol]: 'active' } }), each)))

  t.strictSame(repeated, { kind: 'replayed', message })
  t.strictSame(others, ['IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_REUSED'])
  t.strictSame(admitted, ['admitted', 'admitted', 'admitted'])
  t.equal(said(judgeFinished(message, draft({ key: 'k', content: 'other' }))), 'IDEMPOTENCY_KEY_REUSED')
})

t.test('a name is the chat, the sender and the key, and nothing without a key', async (t) => {
  const named = draft({ key: 'k' })

  t.equal(nameOf(named), `${named.conversationId.toHexString()}:${alice}:k`)
  t.equal(nameOf(draft()), '')
})

t.test('of several faults the first in the contract’s order is said', async (t) => {
  const message = messageOf(draft({ key: 'k', content: 'other' }), [], new Date(0))
  const keyed = draft({ key: 'k' })
  const faults = {
    users: { [alice]: 'inactive', [bob]: 'deleted' },
    devices: { [phone]: {} },
    finished: [message],
    blocks: [`${bob}:${alice}`],
  }
  const steps: Partial<World>[] = [
    faults,
    { ...faults, users: { [bob]: 'deleted' } },
    { ...faults, users: { [bob]: 'deleted' }, devices: {} },
    { ...faults, users: { [bob]: 'deleted' }, devices: {}, finished: [] },
    { blocks: faults.blocks },
  ]

  t.strictSame(
    steps.map((world) => said(judge(reads(world), keyed))),
    [
      'ACCOUNT_INACTIVE',
      'DEVICE_NOT_TRUSTED',
      'IDEMPOTENCY_KEY_REUSED',
      'RECEIVER_NOT_FOUND',
      'BLOCKED_RELATIONSHIP',
    ],
  )
})

t.test('data that no check expects fails the draft that meets it, not the check', async (t) => {
  const odd = reads({ devices: { [laptop]: { userId: alice, trusted: true } } })

  const meets = judgeOne(odd, draft({ sender: { userId: alice, deviceId: laptop } }))
  const other = judgeOne(odd, draft())

  t.equal(said(meets), 'failed')
  t.ok(meets.kind === 'failed' && meets.cause instanceof TypeError)
  t.equal(said(other), 'admitted')
})
