import type { ClientSession, Db } from 'mongodb'
import { findAll } from './commands.ts'

/** `snapshot`, or `majority` on a sharded cluster, where a snapshot is taken at a time that one router knows of. */
export type TransactionReadConcern = 'snapshot' | 'majority'

// Short enough that a commit at a frozen primary leaves time for a second attempt.
const commitTimeoutMs = 2_000
// One read that finds nothing. Nobody waits for it.
const endTimeoutMs = 2_500

/**
 * Starts the next transaction of the session; the server ends the one before it by its lower number. The driver would ask
 * for an `abortTransaction` first, which waits for the very member that does not answer: its state is moved on instead.
 */
export function beginTransaction(session: ClientSession, readConcern: TransactionReadConcern): void {
  if (session.inTransaction()) {
    // Not in the driver's public types. Pinned by the version in package.json, and by the tests that cut a connection.
    const { transaction } = session as unknown as { transaction: { transition(state: string): void } }
    transaction.transition('TRANSACTION_ABORTED')
  }
  session.startTransaction({
    readConcern: { level: readConcern },
    writeConcern: { w: 'majority' },
    readPreference: 'primary',
    maxCommitTimeMS: commitTimeoutMs,
  })
}

/**
 * A commit that failed may have left its transaction open, and with it the documents locked for the transaction's lifetime
 * (a minute by default). The driver takes it for committed and does not abort it; a next one ends it.
 */
export async function endSession(
  { db, readConcern }: { db: Db; readConcern: TransactionReadConcern },
  session: ClientSession,
  { hasFailed }: { hasFailed: boolean },
): Promise<void> {
  try {
    if (hasFailed && !session.inTransaction()) {
      beginTransaction(session, readConcern)
      const nothing = { find: 'conversations', filter: { _id: null }, limit: 1 }
      await findAll(db, nothing, { session, signal: AbortSignal.timeout(endTimeoutMs) })
    }
  } finally {
    await session.endSession()
  }
}
