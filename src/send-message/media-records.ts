import type { Db, Document } from 'mongodb'
import type { MediaRecordDocument } from '../collections.ts'
import { findAll, write } from './commands.ts'
import { bounded, createMediaClaims, type MediaClaims } from './media-claims.ts'

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
 * `attached` is for good. But where an earlier promotion was not answered (`uncertain: 'forward'`), another file of the
 * sender's may be under the same temporary id as another resource type, and the late call takes it along. So the record
 * stays due, and the sweeper moves back the other types, never the message's: after the quiet time, and once more
 * (`late`) when no signature is valid any longer. Then `until` goes.
 *
 * Every change is one update filtered by the state and the holder's token, acknowledged by a majority. The token is new
 * with every change of hands, so a former holder's late update matches nothing. Times are the database's (`$$NOW`):
 * instances' clocks differ. The claim is in `media-claims.ts`, the settlement in the transaction, everything else that
 * writes a record is here.
 */
export interface MediaRecords extends MediaClaims {
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
  postponeUndo(record: Looked, token: string): Promise<void>
  /** Records whose lease or quiet time is over, the earliest first. */
  findDue(limit: number): Promise<MediaRecordDocument[]>
  /** The sweeper's change of hands, to `undoing` unless attached: `false` when somebody else was faster. */
  takeDue(record: MediaRecordDocument, token: string): Promise<boolean>
  /** After a second look: no longer due, or gone unless attached; but due once more where a call may still land. */
  close(record: MediaRecordDocument, token: string): Promise<void>
}

/** Of a request's own undo only the id is known; it is not attached, and has not failed before. */
type Looked = Pick<MediaRecordDocument, '_id'> & Partial<Pick<MediaRecordDocument, 'state' | 'failures'>>

export interface UndoItem {
  readonly id: string
  /** A rename to permanent storage was not answered and may yet land. */
  readonly uncertain: boolean
}

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

const inMs = (ms: number): Document => ({ $add: ['$$NOW', ms] })
export const afterQuietTime = inMs(quietMs)
// An earlier `back` is over when an undo ends: its quiet time had passed, or the undo could not have begun.
const stillUncertain = { $cond: [{ $eq: ['$uncertain', 'back'] }, 'forward', '$uncertain'] }

/** For a look, and after it: what is attached stays so. */
const during = (state?: string): string => (state === 'attached' ? state : 'undoing')
const after = (state?: string): string => (state === 'attached' ? state : 'undone')

export function createMediaRecords(db: Db): MediaRecords {
  const update = (updates: Document[]) => write(db, { update: 'media', updates }, bounded())
  const find = (filter: Document, more: { sort?: Document; limit?: number } = {}) =>
    findAll<MediaRecordDocument>(db, { find: 'media', filter, ...more }, bounded())

  return {
    ...createMediaClaims(db),

    async release(ids, token) {
      const held = { _id: { $in: ids }, state: 'promoting', token }
      await update([{ q: held, u: [{ $set: { until: '$$NOW' } }], multi: true }])
    },

    async beginUndo(items, { held, next }) {
      const { n } = await update(
        items.map(({ id, uncertain }) => {
          const change = { state: 'undoing', token: next, until: afterQuietTime }
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
      const change = { state: 'undone', until: afterQuietTime, uncertain: uncertain ?? stillUncertain }
      await update([
        { q: { _id: id, state: 'undoing', token }, u: [{ $set: change }, { $unset: 'failures' }] },
      ])
    },

    async postponeUndo({ _id, state, failures = 0 }, token) {
      const until = inMs(Math.min(postponeMs * 2 ** failures, postponeMaxMs))
      const change = { state: after(state), until, failures: failures + 1, uncertain: stillUncertain }
      await update([{ q: { _id, state: during(state), token }, u: [{ $set: change }] }])
    },

    findDue(limit) {
      return find(
        { until: { $exists: true }, $expr: { $lt: ['$until', '$$NOW'] } },
        { sort: { until: 1 }, limit },
      )
    },

    async takeDue({ _id, token, state }, next) {
      const change = { state: during(state), token: next, until: afterQuietTime, takenOver: true }
      // Taken from a holder who said nothing: a promotion of his may land as late as one that was not answered.
      const isSilent = state === 'promoting' || state === 'undoing'
      const marked = isSilent ? { ...change, uncertain: 'forward' } : change
      const due = { _id, token, state, $expr: { $lt: ['$until', '$$NOW'] } }
      const { n } = await update([{ q: due, u: [{ $set: marked }] }])
      return n === 1
    },

    async close({ _id, state, uncertain = 'late' }, token) {
      const held = { _id, state: during(state), token }
      if (uncertain !== 'late') {
        // The quiet time is over, so the upload may be used again, but the record stays for one more look.
        const change = { state: after(state), until: inMs(signatureLifetimeMs), uncertain: 'late' }
        await update([{ q: held, u: [{ $set: change }, { $unset: 'failures' }] }])
      } else if (state === 'attached') {
        await update([{ q: held, u: [{ $unset: ['until', 'uncertain', 'lateTypes', 'failures'] }] }])
      } else {
        await write(db, { delete: 'media', deletes: [{ q: held, limit: 1 }] }, bounded())
      }
    },
  }
}
