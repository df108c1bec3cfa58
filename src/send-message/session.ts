import type { ClientSession, Db } from 'mongodb'

/** `snapshot`, or `majority` on a sharded cluster, where a snapshot is taken at a time that one router knows of. */
export type TransactionReadConcern = 'snapshot' | 'majority'

// Short enough that a commit at a frozen primary leaves time for a second attempt. The server's own limit comes first,
// so that the wait is cut off only where nothing answers.
const commitServerTimeoutMs = 2_000
const commitTimeoutMs = 2_500

/**
 * Starts the next transaction of the session; the server ends the one before it by its lower number. The driver would ask
 * for an `abortTransaction` first, which waits for the very member that does not answer: its state is moved on instead.
 */
export function beginTransaction(session: ClientSession, readConcern: TransactionReadConcern): void {
  if (session.inTransaction()) moveOn(session, 'TRANSACTION_ABORTED')
  session.startTransaction({
    readConcern: { level: readConcern },
    writeConcern: { w: 'majority' },
    readPreference: 'primary',
  })
}

/**
 * Once, and with an end. The driver's own commit takes no signal, so at a frozen primary it would hold the batch for the
 * socket's 10 s; and it repeats itself with the number that the session has by then, which may be the next transaction's.
 * Until it has succeeded the driver takes the transaction for open, and aborts it when the session ends: nothing stays
 * locked.
 */
export async function commitTransaction(db: Db, session: ClientSession): Promise<void> {
  const command = {
    commitTransaction: 1,
    writeConcern: { w: 'majority' },
    maxTimeMS: commitServerTimeoutMs,
  }
  await db.client.db('admin').command(command, { session, signal: AbortSignal.timeout(commitTimeoutMs) })
  moveOn(session, 'TRANSACTION_COMMITTED')
}

/** Not in the driver's public types. Pinned by the version in package.json, and by the tests that cut a connection. */
function moveOn(session: ClientSession, state: 'TRANSACTION_ABORTED' | 'TRANSACTION_COMMITTED'): void {
  const { transaction } = session as unknown as { transaction: { transition(to: string): void } }
  transaction.transition(state)
}
