import type { Db } from 'mongodb'
import type { MediaRecordDocument } from '../collections.ts'
import { type CommandOptions, findAll, write } from './commands.ts'
import { type Entry, naming } from './entry.ts'

export interface Claims {
  /** Whether every media record of the entry is still the one that its request made. */
  areHeldBy(entry: Entry): boolean
}

/** The records read in the snapshot: a sweeper that takes one over meanwhile makes the settlement conflict. */
export async function readClaims(
  db: Db,
  entries: readonly Entry[],
  options: CommandOptions,
): Promise<Claims> {
  const ids = entries.flatMap(({ draft }) => draft.mediaIds)
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

/** `until` goes, so that the sweeper's index holds only what is open. */
export async function settleMedia(db: Db, entries: readonly Entry[], options: CommandOptions): Promise<void> {
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
