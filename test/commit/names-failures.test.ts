import { MongoError, MongoServerError } from 'mongodb'
import t from 'tap'
import { BlockedRelationship } from '../../src/errors.ts'
import { DeadlinePassed, QueueFull } from '../../src/lib/batcher.ts'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { WriteRejected } from '../../src/send-message/commands.ts'
import { asRefusal, databaseFailure } from '../../src/send-message/database-failure.ts'
import { draftOf, messageOf } from '../../src/send-message/draft.ts'
import { type Entry, EntryRejected, naming } from '../../src/send-message/entry.ts'
import { PrimaryChanged } from '../../src/send-message/transaction.ts'

// What a failure says about the next attempt: a wrong name would store twice, give up early, or repeat for ever.

function named(name: string): Error {
  return Object.assign(new Error(''), { name })
}

function coded(code: unknown): Error {
  return Object.assign(new Error(''), { code })
}

function labelled(...labels: string[]): Error {
  const error = new MongoError('')
  for (const label of labels) error.addErrorLabel(label)
  return error
}

function entry(): Entry {
  const sender = { userId: 'a'.repeat(24), deviceId: '1'.repeat(24) }
  const draft = draftOf({
    sender,
    receiverId: 'b'.repeat(24),
    content: '',
    type: 'text',
    deadline: deadlineIn(1),
  })
  return { draft, message: messageOf(draft, [], new Date(0)), claimToken: undefined }
}

t.test('what another transaction has caused is a conflict', async (t) => {
  const conflicts = [
    ...[112, 24, 239, 246, 251, 11000].map((code) => new MongoServerError({ code })),
    new PrimaryChanged(),
    new WriteRejected(0, 11000),
    new EntryRejected(entry(), new WriteRejected(0, 11000)),
    labelled('TransientTransactionError'),
    labelled('TransientTransactionError', 'RetryableWriteError'),
  ]

  t.strictSame(
    conflicts.map(databaseFailure),
    conflicts.map(() => 'conflict'),
  )
})

t.test('what a member, a connection or a limit has caused may have been done', async (t) => {
  const codes = [6, 7, 50, 64, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436]
  const sockets = ['EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETDOWN', 'EPROTO']
  const classes = [
    'MongoNetworkError',
    'MongoNetworkTimeoutError',
    'MongoServerSelectionError',
    'MongoPoolClearedError',
    'PoolClearedOnNetworkError',
    'MongoPoolClosedError',
    'MongoServerClosedError',
    'MongoWaitQueueTimeoutError',
    'MongoWriteConcernError',
    'MongoOperationTimeoutError',
    'MongoTopologyClosedError',
    'MongoNotConnectedError',
    'AbortError',
    'TimeoutError',
  ]
  const unavailable = [
    ...codes.map((code) => new MongoServerError({ code })),
    ...sockets.map((code) => Object.assign(coded(code), { syscall: 'write' })),
    coded('EPIPE'),
    coded('ERR_STREAM_DESTROYED'),
    ...classes.map(named),
    labelled('UnknownTransactionCommitResult'),
    labelled('UnknownTransactionCommitResult', 'TransientTransactionError'),
    labelled('RetryableWriteError'),
    labelled('SystemOverloadedError'),
    AbortSignal.abort().reason,
  ]

  t.strictSame(
    unavailable.map(databaseFailure),
    unavailable.map(() => 'unavailable'),
  )
})

t.test('anything else is a defect', async (t) => {
  const defects = [
    new Error(''),
    named('MongoError'),
    coded('112'),
    coded('E_OTHER'),
    coded(undefined),
    new MongoServerError({ code: 9999 }),
    labelled(),
    labelled('AnotherLabel'),
    Object.assign(new Error(''), { errorLabels: ['TransientTransactionError'] }),
    new WriteRejected(0, 50),
    new EntryRejected(entry(), new WriteRejected(0, 50)),
    { name: 'MongoNetworkError' },
    'a string',
  ]

  t.strictSame(
    defects.map(databaseFailure),
    defects.map(() => 'defect'),
  )
})

t.test(
  'a refusal stays what it is, and of what is not repeated the client hears as much as it may',
  async (t) => {
    const refusal = new BlockedRelationship()
    const causes = [
      new QueueFull(''),
      new DeadlinePassed(''),
      named('MongoNetworkError'),
      coded(112),
      new Error(''),
    ]

    const refusals = causes.map(asRefusal)

    t.equal(asRefusal(refusal), refusal)
    t.strictSame(
      refusals.map(({ code }) => code),
      [
        'OVERLOADED',
        'DATABASE_UNAVAILABLE',
        'DATABASE_UNAVAILABLE',
        'DATABASE_UNAVAILABLE',
        'INTERNAL_ERROR',
      ],
    )
    t.strictSame(
      refusals.map(({ cause }) => cause),
      causes,
    )
  },
)

t.test('a rejected write is named by its position, and any other failure stays what it is', async (t) => {
  const entries = [entry(), entry()] as const
  const rejection = new WriteRejected(1, 121)
  const other = new Error('')

  const failure = (cause: unknown): Promise<unknown> =>
    naming(entries, () => Promise.reject(cause)).catch((error: unknown) => error)
  const named = await failure(rejection)

  t.ok(named instanceof EntryRejected)
  t.match(named, { entry: entries[1], code: 121, cause: rejection, name: 'EntryRejected' })
  t.equal((named as Error).message, 'the write at 1 of a command was refused with code 121')
  t.strictSame(await naming(entries, async () => ({ n: 2, upserted: [] })), { n: 2, upserted: [] })
  t.equal(await failure(other), other)
  t.match(await failure(new WriteRejected(2, 121)), { name: 'AssertionError' })
})
