import t from 'tap'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { type Draft, draftOf } from '../../src/send-message/draft.ts'
import { createKnownChats } from '../../src/send-message/known-chats.ts'
import { createSuspects } from '../../src/send-message/suspects.ts'

const [alice, bob, carol] = ['a', 'b', 'c'].map((digit) => digit.repeat(24)) as [string, string, string]

function draft(receiverId: string, { key, media = [] }: { key?: string; media?: string[] } = {}): Draft {
  return draftOf({
    sender: { userId: alice, deviceId: alice },
    receiverId,
    content: 'Hello',
    type: 'text',
    media: media.map((publicId) => ({ publicId })),
    key,
    deadline: deadlineIn(1_000),
  })
}

function suspects(clock = () => 0) {
  const knownChats = createKnownChats()
  knownChats.add([draft(bob).conversationId])
  return createSuspects(knownChats, clock)
}

t.test('a key, an upload and a new chat are suspected, and nothing else', async (t) => {
  const { has, add } = suspects()
  const before = has(draft(carol))
  // It has nothing that another could hold.
  add(draft(bob))
  for (const each of [draft(bob, { key: 'held' }), draft(bob, { media: ['held'] }), draft(carol)]) add(each)

  const suspected = [
    draft(bob, { key: 'held' }),
    draft(bob, { media: ['free', 'held'] }),
    draft(carol, { key: 'free' }),
  ]
  const free = [draft(bob), draft(bob, { key: 'free' }), draft(bob, { media: ['free'] })]

  t.notOk(before)
  t.strictSame(suspected.map(has), [true, true, true])
  t.strictSame(free.map(has), [false, false, false])
})

t.test('what has gone through is suspected no more, nor what is a minute ago', async (t) => {
  let now = 0
  const { has, add, delete: remove } = suspects(() => now)
  const [one, other] = [draft(bob, { key: 'one' }), draft(bob, { key: 'other' })]
  remove(one)
  add(one)
  add(other)
  remove(one)

  const soon = [has(one), has(other)]
  now = 60_000
  const later = has(other)

  t.strictSame(soon, [false, true])
  t.notOk(later)
})

t.test('of more than 10,000 the oldest are forgotten', async (t) => {
  const { has, add } = suspects()
  const drafts = Array.from({ length: 10_001 }, (_, index) => draft(bob, { key: `${index}` }))
  for (const each of drafts) add(each)

  t.strictSame(
    [0, 1, 10_000].map((index) => has(drafts[index] as Draft)),
    [false, true, true],
  )
})
