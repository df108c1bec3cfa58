import type { ClientSession, Db } from 'mongodb'
import type { MessageDocument } from '../collections.ts'
import { RequestInProgress } from '../errors.ts'
import { type CommandOptions, findAll, write } from './commands.ts'
import type { Draft } from './draft.ts'
import { type Entry, naming, type Outcome } from './entry.ts'
import { judgeFinished, judgeOne, nameOf, type Reads, readFor } from './judge.ts'
import type { KnownChats } from './known-chats.ts'
import { commitTransaction } from './session.ts'
import { type Claims, readClaims, settleMedia } from './settle-media.ts'

export interface TransactionDeps {
  db: Db
  knownChats: KnownChats
  /** Which primary the driver sends commands to; `undefined` where that cannot be told, on a cluster. */
  primary?: (() => string) | undefined
}

/** The primary has changed between the reads: what was read beside the transaction may be old. */
export class PrimaryChanged extends Error {
  override readonly name = 'PrimaryChanged'
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
  { db, knownChats, primary }: TransactionDeps,
  session: ClientSession,
  entries: readonly Entry[],
  { mayBeStored, signal }: { mayBeStored: boolean; signal: AbortSignal },
): Promise<Map<Entry, Outcome>> {
  const options = { session, signal }
  const own = mayBeStored ? await readOwn(db, entries, options) : new Set<string>()
  const before = primary?.()
  const reads = await readFor(
    db,
    draftsOf(entries),
    options,
    primary ? { readConcern: 'local', signal } : options,
  )
  const claims = await readClaims(db, entries, options)

  const { outcomes, leaders, followers } = judgeBatch(entries, { own, reads, claims })
  const newChats = leaders.filter(({ draft }) => !knownChats.has(draft.conversationId))
  if (newChats.length > 0) await ensureChats(db, newChats, options)
  if (leaders.length > 0) await insertMessages(db, leaders, options)
  await settleMedia(db, leaders, claims, options)

  // Sent to one primary, while it held this transaction: if a majority commits it, that was the primary all the time, and
  // what it answered beside the transaction was up to date.
  if (primary?.() !== before) throw new PrimaryChanged('the primary has changed')
  await commitTransaction(db, session)

  knownChats.add(draftsOf(newChats).map(({ conversationId }) => conversationId))
  for (const entry of leaders) outcomes.set(entry, { kind: 'stored', message: entry.message })
  for (const [entry, leader] of followers) outcomes.set(entry, judgeFinished(leader.message, entry.draft))
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
  const verdict = judgeOne(reads, entry.draft)
  if (verdict.kind !== 'admitted') return verdict
  return claims.areHeldBy(entry) ? undefined : { kind: 'refused', refusal: new RequestInProgress() }
}

async function readOwn(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<Set<string>> {
  const ids = entries.map(({ message }) => message._id)
  const query = { find: 'messages', filter: { _id: { $in: ids } }, projection: { _id: 1 } }
  const messages = await findAll<Pick<MessageDocument, '_id'>>(db, query, options)
  return new Set(messages.map(({ _id }) => _id.toHexString()))
}

/** An existing chat is a no-op that takes no write conflict: nothing that each message writes belongs to the chat. */
async function ensureChats(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<void> {
  const chats = new Map(entries.map((entry) => [entry.draft.conversationId.toHexString(), entry]))
  // Sorted, so that two batches that share chats meet at the first of them, and one of the two goes on.
  const sorted = [...chats].sort(([one], [other]) => (one < other ? -1 : 1))
  const updates = sorted.map(([, { draft, message }]) => {
    const { createdAt, updatedAt } = message
    const onInsert = { type: 'private', participants: draft.participants, createdAt, updatedAt }
    return { q: { _id: draft.conversationId }, u: { $setOnInsert: onInsert }, upsert: true }
  })
  await write(db, { update: 'conversations', updates }, options)
}

async function insertMessages(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<void> {
  const documents = entries.map(({ message }) => message)
  await naming(entries, () => write(db, { insert: 'messages', documents }, options))
}

function draftsOf(entries: readonly Entry[]): Draft[] {
  return entries.map(({ draft }) => draft)
}
