import type { Db, Document, ObjectId } from 'mongodb'
import type { MediaRecordDocument } from '../collections.ts'
import { createBatcher } from '../lib/batcher.ts'
import { type Deadline, msLeft } from '../lib/deadline.ts'
import { type CommandOptions, findAll, updateEach, WriteRejected, write } from './commands.ts'

export interface Holder {
  senderId: ObjectId
  token: string
}

export type ClaimAnswer =
  /** `takenOver`: those that another request held before; what it did to their assets has to be looked at. */
  | { kind: 'claimed'; takenOver: ReadonlySet<string> }
  /** By id, why it could not be had. */
  | { kind: 'taken'; attached: ReadonlySet<string>; busy: ReadonlySet<string> }

export interface MediaClaims {
  /** Takes all of the ids for one holder, or none. No asset may be moved before it has answered, by the deadline at the latest. */
  claim(ids: readonly string[], holder: Holder, deadline: Deadline): Promise<ClaimAnswer>
}

/** Longer than any request holds a record: its deadline and the undo's are 17.5 s together. */
export const leaseMs = 60_000
/** One command on documents by `_id`, some hundred at most. */
const commandTimeoutMs = 2_500
/** The server's code for a document that an update would replace by something else than a document. */
const replacedByString = 40228
/** The server's code for a command that took longer than `maxTimeMS`: it waited for a document in an open transaction. */
const tookTooLong = 50

// An id has 1 KB at most, and a claim ten.
const claimBytes = 10 * 1024
const runs = { itemsMax: 64, bytesMax: 64 * claimBytes, runsMax: 2 }
// More than the gate lets in: each request has its place here from its beginning.
const queue = { queueItemsMax: 4_096, queueBytesMax: 4_096 * claimBytes }

interface Wanted {
  /** Sorted: of two requests that overlap, one wins. */
  readonly ids: readonly string[]
  readonly holder: Holder
  readonly deadline: Deadline
}

/**
 * Claims that arrive while others are written are written together: one that waits for a majority costs the same for many.
 * What is not had whole there is given back and tried again alone, in order, which decides between those that overlap.
 */
export function createMediaClaims(db: Db): MediaClaims {
  const batches = createBatcher<Wanted, ClaimAnswer | { kind: 'contended' }>({
    run: (wanted) => claimTogether(db, wanted),
    ...runs,
    ...queue,
  })
  return {
    async claim(ids, holder, deadline) {
      const wanted = { ids: [...ids].sort(), holder, deadline }
      const answer = await batches.add(wanted, { bytes: claimBytes, deadline })
      if (answer.kind !== 'contended') return answer
      await giveBack(db, wanted)
      return await claimAlone(db, wanted)
    },
  }
}

async function claimTogether(
  db: Db,
  wanted: readonly Wanted[],
): Promise<Map<Wanted, ClaimAnswer | { kind: 'contended' }>> {
  const [first, ...others] = wanted
  if (first && others.length === 0) return new Map([[first, await claimAlone(db, first)]])

  const owners = wanted.flatMap((each) => each.ids.map(() => each))
  const command = { update: 'media', updates: wanted.flatMap(claimUpdates) }
  const answer = await updateEach(db, command, bounded()).catch(asTooLong)
  // Whoever wants what somebody holds waits for it alone.
  if (answer === undefined) return new Map(wanted.map((each) => [each, { kind: 'contended' }]))
  const { upserted } = answer
  // By position: of two in here that want one upload, one has made its record.
  const made = upserted.map(({ index }) => owners[index])
  const rest = wanted.filter((each) => made.filter((owner) => owner === each).length < each.ids.length)
  const records = rest.length === 0 ? [] : await recordsOf(db, rest, bounded())
  const answers = new Map<Wanted, ClaimAnswer | { kind: 'contended' }>()
  for (const each of wanted) answers.set(each, claimed([]))
  for (const each of rest) {
    const held = records.filter(({ token }) => token === each.holder.token)
    answers.set(each, held.length === each.ids.length ? claimed(held) : { kind: 'contended' })
  }
  return answers
}

/** In order, and no further than the first that it cannot have. */
async function claimAlone(db: Db, wanted: Wanted): Promise<ClaimAnswer> {
  const updates = claimUpdates(wanted)
  const options = bounded(wanted.deadline)
  const answer = await write(db, { update: 'media', updates }, options).catch(asRejection)
  const isRejected = answer instanceof WriteRejected
  if (!isRejected && answer.upserted.length === updates.length) return claimed([])
  const records = await recordsOf(db, [wanted], bounded(wanted.deadline))
  const { token } = wanted.holder
  if (!isRejected) return claimed(records.filter((record) => record.token === token))
  await giveBack(db, wanted)
  const attached = idsOf(records, ({ state }) => state === 'attached')
  const busy = idsOf(records, (record) => record.state !== 'attached' && record.token !== token)
  // Not by a record, not even by one that was given back meanwhile.
  if (attached.size + busy.size === 0 && answer.code !== replacedByString) throw answer
  return { kind: 'taken', attached, busy }
}

function claimUpdates({ ids, holder }: Wanted): Document[] {
  return ids.map((id) => ({ q: { _id: id }, u: [{ $replaceWith: claimOf(holder) }], upsert: true }))
}

const isMissing = (path: string): Document => ({ $eq: [{ $type: path }, 'missing'] })

/**
 * Inserts the record, or takes it over where its own sender may: a promotion whose lease is over, or one that was undone
 * with every answer. One conditional update, because the lease can only be told by the database's clock. Where it may not,
 * the update fails (a document cannot be replaced by a string), so that the command ends there: were the later ids taken
 * all the same, of two requests for two uploads each could get one.
 */
function claimOf({ senderId, token }: Holder): Document {
  const leaseIsOver = { $and: [{ $eq: ['$state', 'promoting'] }, { $lte: ['$until', '$$NOW'] }] }
  const isUndone = { $and: [{ $eq: ['$state', 'undone'] }, { $ne: ['$uncertain', 'back'] }] }
  const mayTakeOver = { $and: [{ $eq: ['$senderId', senderId] }, { $or: [leaseIsOver, isUndone] }] }
  const claim = {
    _id: '$_id',
    state: 'promoting',
    senderId,
    // A literal: a token must never be read as a field's path.
    token: { $literal: token },
    until: { $add: ['$$NOW', leaseMs] },
    takenOver: { $not: [isMissing('$state')] },
    // Who let a lease end said nothing: a promotion of his may land as late as one that was not answered.
    uncertain: { $cond: [{ $or: [leaseIsOver, '$uncertain'] }, 'forward', '$$REMOVE'] },
  }
  return { $cond: [{ $or: [isMissing('$state'), mayTakeOver] }, claim, '$state'] }
}

/** What a claim got of what it did not get whole: new records go, taken ones end their lease and are swept. */
async function giveBack(db: Db, { ids, holder, deadline }: Wanted): Promise<void> {
  const held = { _id: { $in: ids }, state: 'promoting', token: holder.token }
  const deletes = [{ q: { ...held, takenOver: false }, limit: 0 }]
  await write(db, { delete: 'media', deletes }, bounded(deadline))
  const updates = [{ q: held, u: [{ $set: { until: '$$NOW' } }], multi: true }]
  await write(db, { update: 'media', updates }, bounded(deadline))
}

function recordsOf(
  db: Db,
  wanted: readonly Wanted[],
  options: CommandOptions,
): Promise<MediaRecordDocument[]> {
  const filter = { _id: { $in: wanted.flatMap(({ ids }) => ids) } }
  return findAll(db, { find: 'media', filter }, options)
}

function claimed(held: readonly MediaRecordDocument[]): ClaimAnswer {
  return { kind: 'claimed', takenOver: idsOf(held, ({ takenOver }) => takenOver) }
}

function asRejection(error: unknown): WriteRejected {
  if (error instanceof WriteRejected) return error
  throw error
}

function idsOf(
  records: readonly MediaRecordDocument[],
  which: (record: MediaRecordDocument) => boolean,
): Set<string> {
  return new Set(records.filter(which).map(({ _id }) => _id))
}

function asTooLong(error: unknown): undefined {
  if ((error as { code?: unknown }).code !== tookTooLong) throw error
}

/** For one command on records, also within somebody's deadline. */
export function bounded(deadline?: Deadline): { signal: AbortSignal } {
  const ms = deadline ? Math.min(commandTimeoutMs, msLeft(deadline)) : commandTimeoutMs
  return { signal: AbortSignal.timeout(Math.ceil(ms)) }
}
