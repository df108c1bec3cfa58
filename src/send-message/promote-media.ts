import { randomUUID } from 'node:crypto'
import { ObjectId } from 'mongodb'
import type { MediaItem, MessageType } from '../../schemas/message.ts'
import type { AssetStorage, FindAnswer, ResourceType, StoredAsset } from '../asset-storage.ts'
import { MediaAlreadyUsed, MediaPromotionFailed, type Refusal, RequestInProgress } from '../errors.ts'
import { type Deadline, deadlineIn, msLeft } from '../lib/deadline.ts'
import type { Afterwards } from './afterwards.ts'
import { asRefusal } from './database-failure.ts'
import type { Draft } from './draft.ts'
import { leaseMs } from './media-claims.ts'
import type { MediaRecords } from './media-records.ts'
import { mediaTypeOf, permanentIdOf } from './media-reference.ts'
import { type Moved, undoPromotion } from './undo-promotion.ts'

export interface PromotionDeps {
  storage: AssetStorage
  records: MediaRecords
  /** Monotonic milliseconds. */
  clock(): number
  /** For what could not be written to the records: repeated in the background, until the database answers. */
  afterwards: Afterwards['add']
  onPromotion(outcome: 'promoted' | 'failed' | 'undone' | 'undo_failed'): void
}

/** The right to move some uploads, until the lease ends. */
export interface Claim {
  readonly token: string
  readonly takenOver: ReadonlySet<string>
  /** Earlier than the record's own end: counted from before the claim was sent. */
  readonly lease: Deadline
}

/** What a request has moved: for the commit, and for the undo should the commit refuse. */
export interface Promotion {
  readonly claim: Claim
  readonly media: MediaItem[]
  readonly moved: readonly Moved[]
}

// Of a request's 14.5 s the commit needs 5 for its attempts, and a little goes to the checks before.
export const reservedForCommitMs = 6_000
// A rename takes well under a second; what is not answered by then leaves time to look what became of it.
const renameTimeoutMs = 5_000
const findTimeoutMs = 3_500

/** The namespaces in the order in which an upload of this kind of message is most likely found. */
const likelyTypes: Record<MessageType, readonly ResourceType[]> = {
  text: ['image', 'video', 'raw'],
  image: ['image', 'video', 'raw'],
  video: ['video', 'image', 'raw'],
  file: ['raw', 'image', 'video'],
}

/** The record before the first rename. Gives the claim, or the refusal for what somebody else has. */
export async function claimMedia(
  { records, clock, afterwards }: PromotionDeps,
  draft: Draft,
): Promise<Claim | Refusal> {
  const token = randomUUID()
  const lease = deadlineIn(leaseMs, clock)
  const holder = { senderId: ObjectId.createFromHexString(draft.senderId), token }
  const answer = await records.claim(draft.mediaIds, holder, draft.deadline).catch((error: unknown) => {
    // The records may have been made all the same.
    afterwards(() => records.release(draft.mediaIds, token))
    throw asRefusal(error)
  })
  if (answer.kind === 'claimed') return { token, takenOver: answer.takenOver, lease }

  const faults = (ids: ReadonlySet<string>, message: string) =>
    draft.mediaIds.flatMap((id, index) => (ids.has(id) ? [{ path: `/media/${index}`, message }] : []))
  if (answer.attached.size > 0)
    return new MediaAlreadyUsed({ faults: faults(answer.attached, 'belongs to another message') })
  return new RequestInProgress()
}

/**
 * Moves every upload to permanent storage, side by side, each with its own time. Throws `MediaPromotionFailed` that names
 * every item that failed, after the others were moved back.
 */
export async function promoteMedia(deps: PromotionDeps, draft: Draft, claim: Claim): Promise<Promotion> {
  const end = { at: draft.deadline.at - reservedForCommitMs }
  const types = likelyTypes[draft.type]
  const items = await Promise.all(draft.mediaIds.map((id) => promoteOne({ ...deps, claim, end }, id, types)))
  for (const { asset } of items) deps.onPromotion(asset ? 'promoted' : 'failed')

  const media = items.flatMap(({ asset }) => (asset ? [mediaItemOf(asset)] : []))
  const promotion = { claim, media, moved: items }
  if (media.length === items.length) return promotion

  await undoPromotion(deps, promotion)
  throw new MediaPromotionFailed({
    faults: items.flatMap(({ asset }, index) =>
      asset ? [] : [{ path: `/media/${index}`, message: 'could not be moved to permanent storage' }],
    ),
  })
}

interface Attempt extends PromotionDeps {
  claim: Claim
  end: Deadline
}

type Item = Moved & { readonly asset?: StoredAsset }

async function promoteOne(deps: Attempt, id: string, types: readonly ResourceType[]): Promise<Item> {
  const takenOver = deps.claim.takenOver.has(id)
  if (takenOver) {
    const before = await findPromotedBefore(deps, id, types)
    // What the former holder has left may be anywhere: every type is undone should this request fail.
    if (before.kind === 'promoted') return { id, uncertain: false, types, asset: before.asset }
    if (before.kind === 'unclear') return { id, uncertain: false, types }
  }
  const mayBeIn = takenOver ? types : []
  for (const type of types) {
    const timeoutMs = timeFor(deps, renameTimeoutMs)
    if (timeoutMs === 0) return { id, uncertain: false, types: mayBeIn }
    const answer = await deps.storage.rename(type, id, permanentIdOf(id), timeoutMs)
    if (answer.kind === 'renamed')
      return { id, uncertain: false, types: takenOver ? types : [type], asset: answer.asset }
    if (answer.kind === 'unanswered') return await lookAfterSilence(deps, id, type, types)
    if (answer.kind !== 'source-missing') return { id, uncertain: false, types: mayBeIn }
  }
  return { id, uncertain: false, types: mayBeIn }
}

/** A rename that was not answered may have been done, may be done later, or never. */
async function lookAfterSilence(
  deps: Attempt,
  id: string,
  type: ResourceType,
  types: readonly ResourceType[],
): Promise<Item> {
  const timeoutMs = timeFor(deps, findTimeoutMs)
  const unknown: FindAnswer = { kind: 'unanswered' }
  const find = (publicId: string) =>
    timeoutMs === 0 ? unknown : deps.storage.find(type, publicId, timeoutMs)
  const [source, target] = await Promise.all([find(id), find(permanentIdOf(id))])
  const done = target.kind === 'found' && source.kind === 'missing'
  return done ? { id, uncertain: false, types, asset: target.asset } : { id, uncertain: true, types }
}

type Before = { kind: 'promoted'; asset: StoredAsset } | { kind: 'not-promoted' } | { kind: 'unclear' }

/**
 * What a former holder made of an upload, in every namespace. Source and target together are another upload under the old
 * name: which of them was meant cannot be told.
 */
async function findPromotedBefore(
  deps: Attempt,
  id: string,
  types: readonly ResourceType[],
): Promise<Before> {
  const timeoutMs = timeFor(deps, findTimeoutMs)
  if (timeoutMs === 0) return { kind: 'unclear' }
  const find = (publicId: string) =>
    Promise.all(types.map((type) => deps.storage.find(type, publicId, timeoutMs)))
  const [sources, targets] = await Promise.all([find(id), find(permanentIdOf(id))])
  const [asset, ...others] = targets.flatMap((answer) => (answer.kind === 'found' ? [answer.asset] : []))
  const known = [...sources, ...targets].every(({ kind }) => kind === 'found' || kind === 'missing')
  if (!known || others.length > 0) return { kind: 'unclear' }
  if (!asset) return { kind: 'not-promoted' }
  return sources.some(({ kind }) => kind === 'found') ? { kind: 'unclear' } : { kind: 'promoted', asset }
}

/**
 * Milliseconds for a call, 0 for none. No call may outlive the lease: a process that was paused and wakes after it does
 * nothing, because another may hold the record by then.
 */
function timeFor({ end, claim, clock }: Attempt, atMostMs: number): number {
  const timeoutMs = Math.floor(Math.min(atMostMs, msLeft(end, clock)))
  return msLeft(claim.lease, clock) > timeoutMs ? timeoutMs : 0
}

function mediaItemOf({ url, publicId, assetId, resourceType, height, width, bytes }: StoredAsset): MediaItem {
  return {
    url,
    publicId,
    assetId,
    type: mediaTypeOf(resourceType),
    height,
    width,
    bytes,
  }
}
