import { MongoError } from 'mongodb'
import { DatabaseUnavailable, InternalError, Overloaded, Refusal } from '../errors.ts'
import { DeadlinePassed, QueueFull } from '../lib/batcher.ts'
import { WriteRejected } from './commands.ts'
import { EntryRejected } from './entry.ts'
import { PrimaryChanged } from './transaction.ts'

/**
 * What a failed attempt says about the next one.
 *
 * - `conflict`: refused because of another transaction; nothing of it was done. A fresh look may decide otherwise.
 * - `unavailable`: a member, a connection or a time limit; what was sent may have been done.
 * - `defect`: the same would fail again.
 */
export type DatabaseFailure = 'conflict' | 'unavailable' | 'defect'

const duplicateKey = 11000
// WriteConflict, LockTimeout, SnapshotTooOld, SnapshotUnavailable, NoSuchTransaction, duplicate key.
const conflictCodes = new Set([112, 24, 239, 246, 251, duplicateKey])

// MaxTimeMSExpired, WriteConcernFailed, NetworkTimeout, ShutdownInProgress, ReadConcernMajorityNotAvailableYet,
// PrimarySteppedDown, HostUnreachable and the like: the codes of a deployment in motion.
const unavailableCodes = new Set([
  6, 7, 50, 64, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
])

// The driver labels only the first operation that a lost connection fails (157 of 160 in flight had no label), so the
// class decides.
const unavailableNames = new Set([
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
])

// The first that an error has decides.
const labels: readonly [label: string, failure: DatabaseFailure][] = [
  ['UnknownTransactionCommitResult', 'unavailable'],
  ['TransientTransactionError', 'conflict'],
  ['RetryableWriteError', 'unavailable'],
  ['SystemOverloadedError', 'unavailable'],
]

/** What a socket says while a large command is written to it reaches us as it is, in no class of the driver's. */
function isOfSocket(error: unknown): boolean {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown }
  return typeof syscall === 'string' || code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED'
}

export function databaseFailure(error: unknown): DatabaseFailure {
  const code = (error as { code?: unknown }).code
  if (typeof code === 'number' && conflictCodes.has(code)) return 'conflict'
  if (error instanceof PrimaryChanged) return 'conflict'
  if (error instanceof WriteRejected || error instanceof EntryRejected) return 'defect'
  if (typeof code === 'number' && unavailableCodes.has(code)) return 'unavailable'
  if (isOfSocket(error)) return 'unavailable'
  if (error instanceof Error && unavailableNames.has(error.name)) return 'unavailable'
  const labelled = error instanceof MongoError && labels.find(([label]) => error.hasErrorLabel(label))
  return labelled ? labelled[1] : 'defect'
}

/** For what is not repeated: the refusal that the client gets. */
export function asRefusal(cause: unknown): Refusal {
  if (cause instanceof Refusal) return cause
  if (cause instanceof QueueFull) return new Overloaded({ cause })
  if (cause instanceof DeadlinePassed) return new DatabaseUnavailable({ cause })
  return databaseFailure(cause) === 'defect'
    ? new InternalError({ cause })
    : new DatabaseUnavailable({ cause })
}
