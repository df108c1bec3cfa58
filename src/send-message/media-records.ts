import type { Db, Document, ObjectId } from 'mongodb'
import type { MediaRecordDocument } from '../collections.ts'
import { findAll, WriteRejected, write } from './commands.ts'

/**
 * A promotion cannot be part of the transaction: it is HTTP to somebody else, takes seconds, cannot be rolled back, and
 * may land after we stopped waiting. Without a record, a process killed between a rename and its commit would leave an
 * asset that nobody looks for, and two requests could promote one upload. So a document in `media` says at any time where
 * its asset belongs and who may move it:
 *
 *      (none) ── claim ──► promoting ── settle, in the transaction ──► attached      asset under messages/, for good
 *         ▲                    │ undo                                                everything else: under temp/
 *         └── second look ── undone ◄── renamed back ── undoing
 *
 * Until its second look an `undone` upload may be promoted again by its sender, unless a call back may still be under way
 * (`uncertain: 'back'`): nothing changes direction while a call the other way could land behind it.
 *
 * Every change is one update filtered by the state and the holder's token, acknowledged by a majority. The token is new
 * with every change of hands, so a former holder's late update matches nothing. Times are the database's (`$$NOW`):
 * instances' clocks differ. The settlement is in `transaction.ts`, everything else that writes a record is here.
 */
export interface MediaRecords {
  /** Takes all of the ids for one holder, or none. No asset may be moved before it has answered. */
  claim(ids: readonly string[], holder: { senderId: ObjectId; token: string }): Promise<ClaimAnswer>
  /** Ends the holder's lease now, so that its sender may take the records over at once. */
  release(ids: readonly string[], token: string): Promise<void>
  /** `promoting → undoing` with a new token; gives the ids that were still the holder's: only those may be moved. */
  beginUndo(items: readonly UndoItem[], tokens: { held: string; next: string }): Promise<string[]>
  /** `undoing → undone`. With `back` nobody may promote it before the second look; without, its sender may at once. */
  finishUndo(id: string, token: string, uncertain: 'back' | undefined): Promise<void>
  /**
   * `undoing → undone`, where the storage has refused: its sender may promote it again, else it is undone again later, and
   * later each time, so that what fails again and again does not keep the sweeper from the others.
   */
  postponeUndo(record: Pick<MediaRecordDocument, '_id' | 'failures'>, token: string): Promise<void>
  /** Records whose lease or quiet time is over, the earliest first. */
  findDue(limit: number): Promise<MediaRecordDocument[]>
  /** The sweeper's change of hands, to `undoing`: `false` when somebody else was faster. */
  takeDue(record: MediaRecordDocument, token: string): Promise<boolean>
  /** After a second look that found nothing to do: gone, or kept for one more look where a call may still land. */
  close(record: MediaRecordDocument, token: string): Promise<void>
}

export interface UndoItem {
  readonly id: string
  /** A rename to permanent storage was not answered and may yet land. */
  readonly uncertain: boolean
}

export type ClaimAnswer =
  /** `takenOver`: those that another request held before; what it did to their assets has to be looked at. */
  | { kind: 'claimed'; takenOver: ReadonlySet<string> }
  /** By id, why it could not be had. */
  | { kind: 'taken'; attached: ReadonlySet<string>; busy: ReadonlySet<string> }

/** Longer than any request holds a record: its deadline and the undo's are 18 s together. */
export const leaseMs = 60_000
/**
 * Longer than a call to the storage can live: 8 s, and what the network may hold back. An undo's lease is as long, so that
 * whoever takes it over knows that no call of the former holder is under way, and need not wait once more.
 */
const quietMs = 90_000
/** Cloudinary takes a signature for an hour: so late a call could still land. */
const signatureLifetimeMs = 3_600_000
const postponeMs = 15_000
// With the sweeper's interval within the contract's two minutes after the storage takes calls again.
const postponeMaxMs = 90_000
/** One command on at most 10 documents by `_id`. */
const commandTimeoutMs = 2_500

const inMs = (ms: number): Document => ({ $add: ['$$NOW', ms] })
/** The server's code for a document that an update would replace by something else than a document. */
const replacedByString = 40228

const isMissing = (path: string): Document => ({ $eq: [{ $type: path }, 'missing'] })
// An earlier `back` is over when an undo ends: its quiet time had passed, or the undo could not have begun.
const stillUncertain = { $cond: [{ $eq: ['$uncertain', 'back'] }, 'forward', '$uncertain'] }

export function createMediaRecords(db: Db): MediaRecords {
  const update = (updates: Document[]) => write(db, 'media', { update: 'media', updates }, bounded())
  const find = (filter: Document, more: { sort?: Document; limit?: number } = {}) =>
    findAll<MediaRecordDocument>(db, { find: 'media', filter, ...more }, bounded())

  return {
    async claim(ids, holder) {
      // Sorted and in order: of two requests that overlap, one wins.
      const sorted = [...ids].sort()
      const answer = await update(sorted.map((id) => claimUpdate(id, holder))).catch(asRejection)
      const rejected = answer instanceof WriteRejected
      if (!rejected && answer.upserted.length === sorted.length)
        return { kind: 'claimed', takenOver: new Set() }
      const records = await find({ _id: { $in: sorted } })
      const held = records.filter(({ token }) => token === holder.token)
      if (!rejected) return { kind: 'claimed', takenOver: idsOf(held, ({ takenOver }) => takenOver) }
      await giveBack(db, sorted, holder.token)
      const attached = idsOf(records, ({ state }) => state === 'attached')
      const busy = idsOf(records, ({ state, token }) => state !== 'attached' && token !== holder.token)
      // Not by a record, not even by one that was given back meanwhile.
      if (attached.size + busy.size === 0 && answer.code !== replacedByString) throw answer
      return { kind: 'taken', attached, busy }
    },

    async release(ids, token) {
      const held = { _id: { $in: ids }, state: 'promoting', token }
      await update([{ q: held, u: [{ $set: { until: '$$NOW' } }], multi: true }])
    },

    async beginUndo(items, { held, next }) {
      const { n } = await update(
        items.map(({ id, uncertain }) => {
          const change = { state: 'undoing', token: next, until: inMs(quietMs) }
          const marked = uncertain ? { ...change, uncertain: 'forward' } : change
          return { q: { _id: id, state: 'promoting', token: held }, u: [{ $set: marked }] }
        }),
      )
      const ids = items.map(({ id }) => id)
      if (n === ids.length) return ids
      const taken = await find({ _id: { $in: ids }, token: next })
      return taken.map(({ _id }) => _id)
    },

    async finishUndo(id, token, uncertain) {
      const change = { state: 'undone', until: inMs(quietMs), uncertain: uncertain ?? stillUncertain }
      await update([
        { q: { _id: id, state: 'undoing', token }, u: [{ $set: change }, { $unset: 'failures' }] },
      ])
    },

    async postponeUndo({ _id, failures = 0 }, token) {
      const until = inMs(Math.min(postponeMs * 2 ** failures, postponeMaxMs))
      const change = { state: 'undone', until, failures: failures + 1, uncertain: stillUncertain }
      await update([{ q: { _id, state: 'undoing', token }, u: [{ $set: change }] }])
    },

    findDue(limit) {
      return find(
        { until: { $exists: true }, $expr: { $lt: ['$until', '$$NOW'] } },
        { sort: { until: 1 }, limit },
      )
    },

    async takeDue({ _id, token, state }, next) {
      const change = { state: 'undoing', token: next, until: inMs(quietMs), takenOver: true }
      // Taken from a holder who said nothing: a promotion of his may land as late as one that was not answered.
      const marked = state === 'undone' ? change : { ...change, uncertain: 'forward' }
      const due = { _id, token, state, $expr: { $lt: ['$until', '$$NOW'] } }
      const { n } = await update([{ q: due, u: [{ $set: marked }] }])
      return n === 1
    },

    async close({ _id, uncertain }, token) {
      const held = { _id, state: 'undoing', token }
      if (uncertain) {
        // The quiet time is over, so the upload may be used again, but the record stays for one more look.
        const change = { state: 'undone', until: inMs(signatureLifetimeMs) }
        await update([{ q: held, u: [{ $set: change }, { $unset: 'uncertain' }] }])
      } else {
        await write(db, 'media', { delete: 'media', deletes: [{ q: held, limit: 1 }] }, bounded())
      }
    },
  }
}

/**
 * Inserts the record, or takes it over where its own sender may: a promotion whose lease is over, or one that was undone
 * with every answer. One conditional update, because the lease can only be told by the database's clock. Where it may not,
 * the update fails (a document cannot be replaced by a string), so that the command ends there: were the later ids taken
 * all the same, of two requests for two uploads each could get one.
 */
function claimUpdate(id: string, { senderId, token }: { senderId: ObjectId; token: string }): Document {
  const leaseIsOver = { $and: [{ $eq: ['$state', 'promoting'] }, { $lt: ['$until', '$$NOW'] }] }
  const isUndone = { $and: [{ $eq: ['$state', 'undone'] }, { $ne: ['$uncertain', 'back'] }] }
  const mayTakeOver = { $and: [{ $eq: ['$senderId', senderId] }, { $or: [leaseIsOver, isUndone] }] }
  const claimed = {
    _id: '$_id',
    state: 'promoting',
    senderId,
    // A literal: a token must never be read as a field's path.
    token: { $literal: token },
    until: inMs(leaseMs),
    takenOver: { $not: [isMissing('$state')] },
    // Absent where it was absent.
    uncertain: '$uncertain',
  }
  const claim = { $cond: [{ $or: [isMissing('$state'), mayTakeOver] }, claimed, '$state'] }
  return { q: { _id: id }, u: [{ $replaceWith: claim }], upsert: true }
}

function asRejection(error: unknown): WriteRejected {
  if (error instanceof WriteRejected) return error
  throw error
}

/** What a claim got of what it did not get whole: new records go, taken ones end their lease and are swept. */
async function giveBack(db: Db, ids: readonly string[], token: string): Promise<void> {
  const held = { _id: { $in: ids }, state: 'promoting', token }
  await write(
    db,
    'media',
    { delete: 'media', deletes: [{ q: { ...held, takenOver: false }, limit: 0 }] },
    bounded(),
  )
  const updates = [{ q: held, u: [{ $set: { until: '$$NOW' } }], multi: true }]
  await write(db, 'media', { update: 'media', updates }, bounded())
}

function idsOf(
  records: readonly MediaRecordDocument[],
  which: (record: MediaRecordDocument) => boolean,
): Set<string> {
  return new Set(records.filter(which).map(({ _id }) => _id))
}

function bounded(): { signal: AbortSignal } {
  return { signal: AbortSignal.timeout(commandTimeoutMs) }
}
