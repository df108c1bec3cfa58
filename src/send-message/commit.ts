import assert from 'node:assert/strict'
import type { ClientSession, MongoClient } from 'mongodb'
import type { MediaItem } from '../../schemas/message.ts'
import type { MessageDocument } from '../collections.ts'
import { DatabaseUnavailable, InternalError } from '../errors.ts'
import { type Batcher, createBatcher } from '../lib/batcher.ts'
import { msLeft } from '../lib/deadline.ts'
import { asRefusal, databaseFailure } from './database-failure.ts'
import { bytesOf, type Draft, messageOf } from './draft.ts'
import { type Entry, EntryRejected, type Outcome } from './entry.ts'
import { pauseBeforeRepeat, unavailablePauseMs } from './pause.ts'
import { beginTransaction, endSession, type TransactionReadConcern } from './session.ts'
import { createSuspects } from './suspects.ts'
import { type TransactionDeps, transactBatch } from './transaction.ts'

/**
 * Group commit. A transaction of its own for each message costs seven or eight operations of 0.2 ms of CPU each; here the
 * messages that arrive while the database is busy are committed together. What would go wrong without the rules below:
 * one member that conflicts or is poisoned would fail its neighbours, a commit whose outcome is unknown would be repeated
 * into a second message, and a killed instance's open transaction would hold up everybody for its lifetime.
 *
 * - A repeat uses the same session and the same documents: the next transaction number ends the attempt before and
 *   refuses its late commit, and the same `_id`s, looked for first, tell a message that was stored after all.
 * - A first conflict repeats the batch at once. After a second, what can conflict (a key, a new chat, media) leaves for a
 *   lane of its own, where each goes alone until its deadline; the plain rest goes on together. What wants the same
 *   documents later goes there at once (`suspects.ts`), or each of them would fail a batch twice again.
 * - What the server names leaves alone. What fails without a name goes alone, too, so that only the poisoned one fails.
 *
 * Nothing outside this file and `transaction.ts` knows of it: `commit` takes one draft and gives its message.
 */
export interface Committer {
  /**
   * Stores the draft's message, or finds the one that its key names. `claim` holds the records of its media.
   * Throws a `Refusal`: of the checks, `OVERLOADED`, `DATABASE_UNAVAILABLE` (it may be stored), `INTERNAL_ERROR`.
   */
  commit(draft: Draft, promoted?: { media: MediaItem[]; claim: { token: string } }): Promise<Committed>
}

export interface Committed {
  readonly message: MessageDocument
  readonly replayed: boolean
}

export interface CommitDeps extends TransactionDeps {
  client: MongoClient
  readConcern: TransactionReadConcern
  now(): Date
  onBatch?(size: number): void
}

/** `contended`: to be tried alone, and again. `unknown`: its outcome is, and another try would not tell. */
type LaneOutcome = Outcome | { kind: 'contended' } | { kind: 'unknown' }

interface QueuedEntry {
  readonly draft: Draft
  readonly media: MediaItem[]
  readonly claimToken: string | undefined
  /** Made when it first enters a run. */
  entry?: Entry
  mayBeStored: boolean
}

// The server takes 16 MB a command, and a message can have 60 KB: 256 of the longest texts are 4 MB.
const batchItemsMax = 256
const batchBytesMax = 4 * 1024 * 1024
// Two or three in flight made smaller batches, more CPU for each message, and the same throughput.
const batchRunsMax = 1
// Enough that one held document does not queue the next, few enough that a storm of conflicts does not take the pool.
const laneRunsMax = 16
// As many as are let in at once, texts (17 KB at most) and media (60 KB at most) together: so each request has its place
// here from its beginning, and nothing is promoted only to be refused for load.
const queueItemsMax = 8_192
const queueBytesMax = 256 * 1024 * 1024
// One attempt: long enough for a slow disk, short enough that a frozen primary leaves time for a second attempt.
const attemptTimeoutMs = 2_500
// Between attempts that conflict: milliseconds, or as long as a killed instance's transaction.
const conflictPauseMs = 10
const conflictPauseMaxMs = 1_000

export function createCommitter(deps: CommitDeps): Committer {
  const suspects = createSuspects(deps.knownChats)
  const bounds = { queueItemsMax, queueBytesMax }
  const batches: Batcher<QueuedEntry, LaneOutcome> = createBatcher({
    run: (items) => runBatch(deps, items, { conflictsMax: 1, leaving: (each) => !isPlain(deps, each) }),
    itemsMax: batchItemsMax,
    bytesMax: batchBytesMax,
    runsMax: batchRunsMax,
    ...bounds,
  })
  const lane: Batcher<QueuedEntry, LaneOutcome> = createBatcher({
    run: (items) => runBatch(deps, items, { conflictsMax: 0, leaving: () => true }),
    itemsMax: 1,
    bytesMax: batchBytesMax,
    runsMax: laneRunsMax,
    ...bounds,
  })

  return {
    async commit(draft, promoted) {
      const item: QueuedEntry = {
        draft,
        media: promoted?.media ?? [],
        claimToken: promoted?.claim.token,
        mayBeStored: false,
      }
      const options = { bytes: bytesOf(draft), deadline: draft.deadline }
      try {
        let outcome: LaneOutcome = suspects.has(draft)
          ? { kind: 'contended' }
          : await batches.add(item, options)
        for (let pauseMs = 0; outcome.kind === 'contended'; pauseMs = longer(pauseMs)) {
          // Here, not in the lane: who waits for a document must not keep the others from their turn.
          if (pauseMs > 0) await pauseBeforeRepeat(pauseMs, draft.deadline)
          outcome = await lane.add(item, options)
          if (outcome.kind === 'contended') suspects.add(draft)
        }
        suspects.delete(draft)
        return committed(outcome)
      } catch (error) {
        throw asRefusal(error)
      }
    },
  }
}

function committed(outcome: Exclude<LaneOutcome, { kind: 'contended' }>): Committed {
  switch (outcome.kind) {
    case 'stored':
      return { message: outcome.message, replayed: false }
    case 'replayed':
      return { message: outcome.message, replayed: true }
    case 'refused':
      throw outcome.refusal
    case 'failed':
      throw new InternalError({ cause: outcome.cause })
    case 'unknown':
      throw new DatabaseUnavailable()
  }
}

type Outcomes = Map<QueuedEntry, LaneOutcome>

/** Repeats until each item has its outcome, or nobody waits for it. Never throws: a failure is an outcome. */
async function runBatch(
  deps: CommitDeps,
  items: readonly QueuedEntry[],
  { conflictsMax, leaving }: { conflictsMax: number; leaving(item: QueuedEntry): boolean },
): Promise<Outcomes> {
  const outcomes: Outcomes = new Map()
  const session = deps.client.startSession({ causalConsistency: false })
  let conflicts = 0
  try {
    let pending = items
    while (pending.length > 0) {
      try {
        for (const [item, outcome] of await attempt(deps, session, pending)) outcomes.set(item, outcome)
        return outcomes
      } catch (error) {
        const failure = databaseFailure(error)
        if (failure === 'conflict') conflicts += 1
        if (failure === 'unavailable') for (const item of pending) item.mayBeStored = true
        if (failure === 'defect') settleDefect(outcomes, items, pending, error)
        if (failure === 'conflict' && conflicts > conflictsMax)
          for (const item of pending.filter(leaving)) outcomes.set(item, { kind: 'contended' })
        pending = pending.filter((item) => !outcomes.has(item) && isWaitedFor(item))
        if (pending.length === 0) break
        if (failure === 'unavailable') await pauseBeforeRepeat(unavailablePauseMs)
        else if (conflicts > 1) await pauseBeforeRepeat(conflictPauseMs)
      }
    }
    return outcomes
  } finally {
    // Not waited for: it may have an open transaction to abort at a member that does not answer.
    void endSession(deps.db, session)
  }
}

async function attempt(
  deps: CommitDeps,
  session: ClientSession,
  items: readonly QueuedEntry[],
): Promise<Outcomes> {
  const entries = new Map<Entry, QueuedEntry>()
  for (const item of items) {
    const { draft, media, claimToken } = item
    item.entry ??= { draft, message: messageOf(draft, media, deps.now()), claimToken }
    entries.set(item.entry, item)
  }
  deps.onBatch?.(items.length)
  beginTransaction(session, deps.readConcern)
  const outcomes = await transactBatch(deps, session, [...entries.keys()], {
    mayBeStored: items.some(({ mayBeStored }) => mayBeStored),
    signal: AbortSignal.timeout(attemptTimeoutMs),
  })
  const byItem: Outcomes = new Map()
  for (const [entry, item] of entries) {
    const outcome = outcomes.get(entry)
    assert(outcome, 'a transaction gives each entry its outcome')
    byItem.set(item, outcome)
  }
  return byItem
}

/** Named by the server: that one has failed. Not named, and not alone: each goes alone, so that the bad one is found. */
function settleDefect(
  outcomes: Outcomes,
  items: readonly QueuedEntry[],
  pending: readonly QueuedEntry[],
  cause: unknown,
): void {
  const named =
    cause instanceof EntryRejected ? pending.filter(({ entry }) => entry === cause.entry) : pending
  for (const item of named) {
    // An earlier attempt may have stored it: then nothing may be said that a client takes for "not stored".
    const alone = named.length === 1 && !item.mayBeStored
    const kind = items.length === 1 ? 'unknown' : 'contended'
    outcomes.set(item, alone ? { kind: 'failed', cause } : { kind })
  }
}

/** In a known chat, it shares no document with anybody, so it cannot be what conflicts. */
function isPlain({ knownChats }: CommitDeps, { draft }: QueuedEntry): boolean {
  const { idempotency, mediaIds, conversationId } = draft
  return idempotency === undefined && mediaIds.length === 0 && knownChats.has(conversationId)
}

function longer(pauseMs: number): number {
  return Math.min(Math.max(conflictPauseMs, 2 * pauseMs), conflictPauseMaxMs)
}

/** Whose deadline has passed got his answer from the batcher: storing it now would only make that answer wrong. */
function isWaitedFor({ draft }: QueuedEntry): boolean {
  return msLeft(draft.deadline) > 0
}
