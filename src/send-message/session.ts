import { setTimeout as pause } from 'node:timers/promises'
import { type ClientSession, type Db, MongoServerError } from 'mongodb'
import { deadlineIn, msLeft } from '../lib/deadline.ts'

/** `snapshot`, or `majority` on a sharded cluster, where a snapshot is taken at a time that one router knows of. */
export type TransactionReadConcern = 'snapshot' | 'majority'

// Short enough that a commit at a frozen primary leaves time for a second attempt. The server's own limit comes first,
// so that the wait is cut off only where nothing answers.
const commitServerTimeoutMs = 2_000
const commitTimeoutMs = 2_500
/** As long as the server keeps a transaction open that nobody ends, by default. */
export const openTransactionMs = 60_000
const abortAgainMs = 500

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
 * Until it has succeeded the driver takes the transaction for open, and `endSession` aborts it.
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

/**
 * Ends the session, and what its last attempt may have left open at the server: until that is ended, whoever wants the same
 * documents (the clients, for one, who repeat with their keys) is kept waiting, for a minute by default. The driver asks once;
 * here it is asked again until the server has answered, whatever it says. Never rejects.
 */
export async function endSession(db: Db, session: ClientSession): Promise<void> {
  const admin = db.client.db('admin')
  for (const end = deadlineIn(openTransactionMs); session.inTransaction() && msLeft(end) > 0; ) {
    const options = { session, signal: AbortSignal.timeout(commitTimeoutMs) }
    const answer = await admin.command({ abortTransaction: 1 }, options).catch((error: unknown) => error)
    if (!(answer instanceof Error) || answer instanceof MongoServerError)
      moveOn(session, 'TRANSACTION_ABORTED')
    else await pause(abortAgainMs, undefined, { ref: false })
  }
  await session.endSession()
}

/** Not in the driver's public types. Pinned by the version in package.json, and by the tests that cut a connection. */
function moveOn(session: ClientSession, state: 'TRANSACTION_ABORTED' | 'TRANSACTION_COMMITTED'): void {
  const { transaction } = session as unknown as { transaction: { transition(to: string): void } }
  transaction.transition(state)
}
