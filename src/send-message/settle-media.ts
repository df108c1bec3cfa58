import type { Db, Document } from 'mongodb'
import type { MediaItem } from '../../schemas/message.ts'
import { type ResourceType, resourceTypes } from '../asset-storage.ts'
import type { MediaRecordDocument } from '../collections.ts'
import { type CommandOptions, findAll, write } from './commands.ts'
import { type Entry, naming } from './entry.ts'
import { afterQuietTime } from './media-records.ts'
import { mediaTypeOf } from './media-reference.ts'

export interface Claims {
  /** Whether every media record of the entry is still the one that its request made. */
  areHeldBy(entry: Entry): boolean
  /** Whether an earlier promotion of one of them was not answered. */
  areUncertain(entry: Entry): boolean
}

/** The records read in the snapshot: a sweeper that takes one over meanwhile makes the settlement conflict. */
export async function readClaims(
  db: Db,
  entries: readonly Entry[],
  options: CommandOptions,
): Promise<Claims> {
  const ids = entries.flatMap(({ draft }) => draft.mediaIds)
  const projection = { state: 1, token: 1, uncertain: 1 }
  const query = { find: 'media', filter: { _id: { $in: ids } }, projection }
  const records = ids.length === 0 ? [] : await findAll<MediaRecordDocument>(db, query, options)
  const holders = new Map(
    records.map(({ _id, state, token }) => [_id, state === 'promoting' ? token : undefined]),
  )
  const uncertain = new Set(records.flatMap((record) => (record.uncertain ? [record._id] : [])))
  return {
    areHeldBy: ({ draft, claimToken }) =>
      draft.mediaIds.every((id) => claimToken !== undefined && holders.get(id) === claimToken),
    areUncertain: ({ draft }) => draft.mediaIds.some((id) => uncertain.has(id)),
  }
}

/** `until` goes, so that the sweeper's index holds only what is open, unless a promotion may yet land. */
export async function settleMedia(
  db: Db,
  entries: readonly Entry[],
  { areUncertain }: Pick<Claims, 'areUncertain'>,
  options: CommandOptions,
): Promise<void> {
  const withMedia = entries.filter(({ draft }) => draft.mediaIds.length > 0)
  if (withMedia.length === 0) return
  const updates = withMedia.map((entry) => ({
    q: { _id: { $in: entry.draft.mediaIds }, state: 'promoting', token: entry.claimToken },
    u: areUncertain(entry)
      ? attachedAndDue(entry)
      : {
          $set: { state: 'attached', messageId: entry.message._id },
          $unset: { until: '', uncertain: '', failures: '' },
        },
    multi: true,
  }))
  const { n } = await naming(withMedia, () => write(db, { update: 'media', updates }, options))
  const expected = withMedia.reduce((sum, { draft }) => sum + draft.mediaIds.length, 0)
  // Read as ours in this snapshot: another count can only be a defect, and must not commit.
  if (n !== expected) throw new Error(`${n} of ${expected} media records could be settled`)
}

/** Those that are uncertain stay due, with the types in which the sweeper may move what it finds. */
function attachedAndDue({ draft, message }: Entry): Document[] {
  const position = { $indexOfArray: [draft.mediaIds, '$_id'] }
  const lateTypes = { $arrayElemAt: [message.media.map(otherTypes), position] }
  const ifUncertain = (value: Document): Document => ({ $cond: ['$uncertain', value, '$$REMOVE'] })
  const due = { until: ifUncertain(afterQuietTime), lateTypes: ifUncertain(lateTypes) }
  return [{ $set: { state: 'attached', messageId: message._id, ...due } }, { $unset: 'failures' }]
}

function otherTypes({ type }: MediaItem): ResourceType[] {
  return resourceTypes.filter((each) => mediaTypeOf(each) !== type)
}
