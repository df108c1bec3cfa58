import type { ClientSession, Db, Document } from 'mongodb'

/**
 * The few plain commands that the feature sends. `db.command` costs a tenth less CPU than cursors and bulk helpers, but
 * inherits no concerns from the client, and *resolves* when a write was refused: both are seen to here.
 */
export interface CommandOptions {
  /** Inside its transaction; the transaction's concerns apply. */
  session?: ClientSession
  /** Outside of a transaction: `majority` where nothing else is said. */
  readConcern?: 'local' | 'majority'
  /** Ends the wait. What was sent may still be carried out. */
  signal: AbortSignal
}

/** One write of a command that the server refused, by its position in what was sent. */
export class WriteRejected extends Error {
  override readonly name = 'WriteRejected'
  constructor(
    readonly index: number,
    readonly code: number,
  ) {
    // Never the server's own text: that of a duplicate key contains the key.
    super(`the write at ${index} of a command was refused with code ${code}`)
  }
}

export interface WriteResult {
  /** Documents inserted or matched. */
  n: number
  upserted: { index: number }[]
}

/** All documents that match, in one reply (at most 16 MB: the caller bounds it). Read from what a majority has. */
export async function findAll<T>(
  db: Db,
  query: { find: string; filter: Document; projection?: Document; sort?: Document; limit?: number },
  { session, readConcern = 'majority', signal }: CommandOptions,
): Promise<T[]> {
  const command = { ...query, singleBatch: true, batchSize: batchSizeMax }
  const reply = session
    ? await db.command(command, { session, signal })
    : await db.command({ ...command, readConcern: { level: readConcern }, maxTimeMS }, { signal })
  return reply.cursor.firstBatch
}

/**
 * Outside of a transaction, which has an end of its own. Less than anybody waits: an update that waits for a document of
 * somebody's open transaction would otherwise be carried out when nobody knows of it any more.
 */
const maxTimeMS = 2_000

/** Larger than any reply can be: with `singleBatch`, a smaller one would silently cut it. */
const batchSizeMax = 1_000_000

/**
 * Carries out a write; throws `WriteRejected` for the first part that was refused, and what the driver throws when a
 * majority did not acknowledge it.
 */
export async function write(db: Db, command: Document, options: CommandOptions): Promise<WriteResult> {
  const reply = await send(db, command, options)
  const [error] = reply.writeErrors ?? []
  if (error) throw new WriteRejected(error.index, error.code)
  return resultOf(reply)
}

/** Carries out each update that is not refused, whatever became of the others. */
export async function updateEach(
  db: Db,
  command: { update: string; updates: readonly Document[] },
  options: CommandOptions,
): Promise<WriteResult> {
  return resultOf(await send(db, { ...command, ordered: false }, options))
}

function send(db: Db, command: Document, { session, signal }: CommandOptions): Promise<Document> {
  return session
    ? db.command(command, { session, signal })
    : db.command({ ...command, writeConcern: { w: 'majority' }, maxTimeMS }, { signal })
}

function resultOf({ n, upserted = [] }: Document): WriteResult {
  return { n, upserted }
}
