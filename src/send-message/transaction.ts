import assert from 'node:assert/strict'
import type { ClientSession, Db } from 'mongodb'
import type { MediaRecordDocument, MessageDocument } from '../collections.ts'
import { type Refusal, RequestInProgress } from '../errors.ts'
import { type CommandOptions, findAll, WriteRejected, type WriteResult, write } from './commands.ts'
import type { Draft } from './draft.ts'
import { judge, judgeFinished, nameOf, type Reads, readFor, type Verdict } from './judge.ts'
import type { KnownChats } from './known-chats.ts'

/** A draft on its way into the database, with the message that it becomes: kept through every repeat. */
export interface Entry {
  readonly draft: Draft
  readonly message: MessageDocument
  /** The holder's token of the draft's media records; `undefined` where there is no media. */
  readonly claim: string | undefined
}

export type Outcome =
  | { kind: 'stored'; message: MessageDocument }
  | { kind: 'replayed'; message: MessageDocument }
  | { kind: 'refused'; refusal: Refusal }
  /** Only this one could not be judged or written: a defect of ours or of its data. */
  | { kind: 'failed'; cause: unknown }

/** The server refused one entry's write and named it: nothing of the batch was stored, and the others may go on. */
export class EntryRejected extends Error {
  override readonly name = 'EntryRejected'
  readonly code: number
  constructor(
    readonly entry: Entry,
    cause: WriteRejected,
  ) {
    super(cause.message, { cause })
    this.code = cause.code
  }
}

export interface TransactionDeps {
  db: Db
  knownChats: KnownChats
}

/**
 * One transaction over a whole batch: blocks and all other checks, chat upsert, transactional insert, settlement of the
 * promoted media. Gives each entry its outcome once a majority has committed, or throws with nothing of it decided.
 *
 * Also a batch that has nothing to write is committed: what was read may be rolled back until a majority has it, and a
 * replay answered from it would acknowledge a message that is gone.
 *
 * `mayBeStored`: an earlier attempt's outcome is unknown, so the batch's own messages are looked for first.
 */
export async function transactBatch(
  { db, knownChats }: TransactionDeps,
  session: ClientSession,
  entries: readonly Entry[],
  { mayBeStored, signal }: { mayBeStored: boolean; signal: AbortSignal },
): Promise<Map<Entry, Outcome>> {
  const options = { session, signal }
  const own = mayBeStored ? await readOwn(db, entries, options) : new Set<string>()
  const reads = await readFor(db, draftsOf(entries), options)
  const claims = await readClaims(db, entries, options)

  const { outcomes, leaders, followers } = judgeBatch(entries, { own, reads, claims })
  const newChats = leaders.filter(({ draft }) => !knownChats.has(draft.conversationId))
  if (newChats.length > 0) await ensureChats(db, newChats, options)
  if (leaders.length > 0) await insertMessages(db, leaders, options)
  await settleMedia(db, leaders, options)

  await session.commitTransaction()

  knownChats.add(draftsOf(newChats).map(({ conversationId }) => conversationId))
  for (const entry of leaders) outcomes.set(entry, { kind: 'stored', message: entry.message })
  for (const [entry, leader] of followers)
    outcomes.set(entry, outcomeOf(judgeFinished(leader.message, entry.draft)))
  return outcomes
}

interface JudgedBatch {
  outcomes: Map<Entry, Outcome>
  /** What is to be written: those with a key last and sorted, so that of two batches that share keys one goes on. */
  leaders: Entry[]
  /** Of those with one key in one batch the first leads; the others get its message, or `422`. */
  followers: Map<Entry, Entry>
}

function judgeBatch(
  entries: readonly Entry[],
  { own, reads, claims }: { own: Set<string>; reads: Reads; claims: Claims },
): JudgedBatch {
  const judged: JudgedBatch = { outcomes: new Map(), leaders: [], followers: new Map() }
  const leaderOf = new Map<string, Entry>()
  for (const entry of entries) {
    const outcome = own.has(entry.message._id.toHexString())
      ? ({ kind: 'stored', message: entry.message } as const)
      : judgeEntry(entry, reads, claims)
    const name = nameOf(entry.draft)
    const leader = leaderOf.get(name)
    if (outcome) judged.outcomes.set(entry, outcome)
    else if (leader) judged.followers.set(entry, leader)
    else if (name === '') judged.leaders.push(entry)
    else leaderOf.set(name, entry)
  }
  const byName = [...leaderOf].sort(([one], [other]) => (one < other ? -1 : 1))
  judged.leaders.push(...byName.map(([, entry]) => entry))
  return judged
}

/** An outcome that needs no write, or `undefined` for what is to be written. */
function judgeEntry(entry: Entry, reads: Reads, claims: Claims): Outcome | undefined {
  try {
    const verdict = judge(reads, entry.draft)
    if (verdict.kind !== 'admitted') return outcomeOf(verdict)
    return claims.areHeldBy(entry) ? undefined : { kind: 'refused', refusal: new RequestInProgress() }
  } catch (cause) {
    // Data that no check expects, in one account or device: its message fails, not the batch.
    return { kind: 'failed', cause }
  }
}

function outcomeOf(verdict: Exclude<Verdict, { kind: 'admitted' }>): Outcome {
  return verdict.kind === 'refused' ? verdict : { kind: 'replayed', message: verdict.message }
}

async function readOwn(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<Set<string>> {
  const ids = entries.map(({ message }) => message._id)
  const query = { find: 'messages', filter: { _id: { $in: ids } }, projection: { _id: 1 } }
  const messages = await findAll<Pick<MessageDocument, '_id'>>(db, query, options)
  return new Set(messages.map(({ _id }) => _id.toHexString()))
}

interface Claims {
  /** Whether every media record of the entry is still the one that its request made. */
  areHeldBy(entry: Entry): boolean
}

/** The records read in the snapshot: a sweeper that takes one over meanwhile makes the settlement conflict. */
async function readClaims(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<Claims> {
  const ids = draftsOf(entries).flatMap(({ mediaIds }) => mediaIds)
  const query = { find: 'media', filter: { _id: { $in: ids } }, projection: { state: 1, token: 1 } }
  const records = ids.length === 0 ? [] : await findAll<MediaRecordDocument>(db, query, options)
  const holders = new Map(
    records.map(({ _id, state, token }) => [_id, state === 'promoting' ? token : undefined]),
  )
  return {
    areHeldBy: ({ draft, claim }) =>
      draft.mediaIds.every((id) => claim !== undefined && holders.get(id) === claim),
  }
}

/** An existing chat is a no-op that takes no write conflict: nothing that each message writes belongs to the chat. */
async function ensureChats(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<void> {
  const chats = new Map(entries.map((entry) => [entry.draft.conversationId.toHexString(), entry]))
  // Sorted, so that two batches that share chats meet at the first of them, and one of the two goes on.
  const updates = [...chats.keys()].sort().map((id) => {
    const { draft, message } = chats.get(id) as Entry
    const { createdAt, updatedAt } = message
    const onInsert = { type: 'private', participants: draft.participants, createdAt, updatedAt }
    return { q: { _id: draft.conversationId }, u: { $setOnInsert: onInsert }, upsert: true }
  })
  await write(db, 'conversations', { update: 'conversations', updates }, options)
}

async function insertMessages(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<void> {
  const documents = entries.map(({ message }) => message)
  await naming(entries, () => write(db, 'messages', { insert: 'messages', documents }, options))
}

/** Says whose write it was, where the writes stand in the entries' order. */
async function naming(entries: readonly Entry[], send: () => Promise<WriteResult>): Promise<WriteResult> {
  try {
    return await send()
  } catch (error) {
    if (!(error instanceof WriteRejected)) throw error
    const entry = entries[error.index]
    assert(entry, 'the server names a write by its position in what was sent')
    throw new EntryRejected(entry, error)
  }
}

/** `until` goes, so that the sweeper's index holds only what is open. */
async function settleMedia(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<void> {
  const withMedia = entries.filter(({ draft }) => draft.mediaIds.length > 0)
  if (withMedia.length === 0) return
  const updates = withMedia.map(({ draft, message, claim }) => ({
    q: { _id: { $in: draft.mediaIds }, state: 'promoting', token: claim },
    u: {
      $set: { state: 'attached', messageId: message._id },
      $unset: { until: '', uncertain: '', failures: '' },
    },
    multi: true,
  }))
  const { n } = await naming(withMedia, () => write(db, 'media', { update: 'media', updates }, options))
  const expected = withMedia.reduce((sum, { draft }) => sum + draft.mediaIds.length, 0)
  // Read as ours in this snapshot: another count can only be a defect, and must not commit.
  if (n !== expected) throw new Error(`${n} of ${expected} media records could be settled`)
}

function draftsOf(entries: readonly Entry[]): Draft[] {
  return entries.map(({ draft }) => draft)
}
