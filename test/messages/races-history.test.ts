import t from 'tap'
import { type Bar, type Send, unexplained } from '../support/race/history.ts'

const block: Bar = {
  beganAt: 10,
  acknowledgedAt: 12,
  liftedFrom: 50,
  goneAt: 53,
  code: 'BLOCKED_RELATIONSHIP',
}

function send(beganAt: number, endedAt: number, code: string, isStored = code === 'OK'): Send {
  return { name: `send ${beganAt}`, beganAt, endedAt, code, isStored }
}

const blocked = 'BLOCKED_RELATIONSHIP'

t.test('what a block explains', async (t) => {
  const history = [
    // Before it, and across its beginning: either outcome.
    send(1, 9, 'OK'),
    send(9, 13, 'OK'),
    send(9, 13, blocked),
    send(11, 13, 'OK'),
    send(11, 20, blocked),
    // Within it.
    send(13, 20, blocked),
    send(13, 49, blocked),
    // Across its end: until a majority has it no more it may be seen.
    send(40, 51, 'OK'),
    send(40, 60, blocked),
    send(51, 60, 'OK'),
    send(51, 60, blocked),
    send(54, 60, 'OK'),
    // Of which nothing is known but that the block holds.
    send(1, 9, 'DATABASE_UNAVAILABLE', true),
    send(1, 9, 'DATABASE_UNAVAILABLE', false),
    send(13, 20, 'DATABASE_UNAVAILABLE', false),
  ]

  t.strictSame(unexplained(history, [block]), [])
})

t.test('what began after a block was acknowledged, and is stored', async (t) => {
  const history = [send(13, 20, 'OK'), send(13.5, 49, 'DATABASE_UNAVAILABLE', true)]

  t.strictSame(unexplained(history, [block]), [
    'send 13 was stored, and is barred by BLOCKED_RELATIONSHIP',
    'send 13.5 was stored, and is barred by BLOCKED_RELATIONSHIP',
  ])
})

t.test('of two bars each one bars', async (t) => {
  const never = Number.POSITIVE_INFINITY
  const forever = { ...block, beganAt: 60, acknowledgedAt: 61, liftedFrom: never, goneAt: never }
  const suspension = { ...forever, beganAt: 30, acknowledgedAt: 31, code: 'ACCOUNT_SUSPENDED' }
  const history = [send(20, 40, 'OK'), send(55, 65, 'OK'), send(62, 70, 'OK'), send(32, 33, 'OK')]

  t.strictSame(unexplained(history, [block, forever]), [
    'send 20 was stored, and is barred by BLOCKED_RELATIONSHIP',
    'send 62 was stored, and is barred by BLOCKED_RELATIONSHIP',
    'send 32 was stored, and is barred by BLOCKED_RELATIONSHIP',
  ])
  t.equal(unexplained(history, [suspension]).length, 3)
})

t.test('what is refused without a cause', async (t) => {
  const again = { ...block, beganAt: 100, acknowledgedAt: 101, liftedFrom: 110, goneAt: 111 }
  const history = [
    send(1, 9, blocked),
    send(54, 60, blocked),
    send(13, 20, 'ACCOUNT_SUSPENDED'),
    send(13, 20, 'INTERNAL_ERROR'),
    send(1, 9, 'RATE_LIMITED'),
  ]

  t.equal(unexplained(history, [block, again]).length, 5)
})

t.test('an answer that is not so', async (t) => {
  t.strictSame(unexplained([send(1, 9, 'OK', false), send(11, 13, blocked, true)], [block]), [
    'send 1 was acknowledged, and is not stored',
    'send 11 was refused with BLOCKED_RELATIONSHIP, and is stored',
  ])
})
