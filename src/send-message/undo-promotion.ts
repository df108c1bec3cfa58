import { randomUUID } from 'node:crypto'
import type { ResourceType } from '../asset-storage.ts'
import { type Deadline, deadlineIn, msLeft } from '../lib/deadline.ts'
import { within } from '../lib/within.ts'
import type { UndoItem } from './media-records.ts'
import { permanentIdOf } from './media-reference.ts'
import type { Claim, PromotionDeps } from './promote-media.ts'

/** An upload that a request has, or may have, moved. */
export interface Moved extends UndoItem {
  /** The namespaces in which it may be under its permanent id; none where every answer said that it is not. */
  readonly types: readonly ResourceType[]
}

// The contract: 18 s with the undo, of which 14.5 are the request's own. The calls get two of the three seconds, so that
// their outcome can still be recorded.
const undoTimeoutMs = 3_000
const moveBackTimeoutMs = 2_000

/**
 * Moves back what a failed request has moved, before its answer; what does not fit into 3 s is the sweeper's. Never throws:
 * the request already has its refusal.
 *
 * The records come first. One that is no longer the request's own, or a database that does not say, means that the message
 * may be stored (after an unknown commit it often is) or that another holds the upload: then nothing is touched.
 */
export async function undoPromotion(
  deps: PromotionDeps,
  { claim, moved }: { claim: Pick<Claim, 'token' | 'lease'>; moved: readonly Moved[] },
): Promise<void> {
  const next = randomUUID()
  // With the same token, so that a try that was carried out unheard is known for one's own.
  const undo = async (): Promise<void> => {
    if (msLeft(claim.lease, deps.clock) === 0) return
    const end = deadlineIn(moveBackTimeoutMs, deps.clock)
    const ids = new Set(await deps.records.beginUndo(moved, { held: claim.token, next }))
    await Promise.all(moved.filter(({ id }) => ids.has(id)).map((item) => undoOne(deps, item, next, end)))
  }
  await within(
    undoTimeoutMs,
    undo().catch(() => deps.afterwards(undo)),
  )
}

/** Rejects with nothing: what was moved is moved, and what could not be recorded is recorded afterwards. */
async function undoOne(
  deps: PromotionDeps,
  { id, types }: Moved,
  token: string,
  end: Deadline,
): Promise<void> {
  const result = await moveBack(deps, id, types, end)
  deps.onPromotion(result === 'moved' || result === 'nothing' ? 'undone' : 'undo_failed')
  const record = (): Promise<void> =>
    result === 'refused'
      ? deps.records.postponeUndo({ _id: id }, token)
      : deps.records.finishUndo(id, token, result === 'unanswered' ? 'back' : undefined)
  await record().catch(() => deps.afterwards(record))
}

type StorageDeps = Pick<PromotionDeps, 'storage' | 'clock'>

/** `unanswered`: a call may land later. `refused`, or no time left to ask: something may still be under the permanent id. */
export type MoveBack = 'moved' | 'nothing' | 'unanswered' | 'refused'

/** Moves an asset back in whatever namespace it is found under its permanent id. */
export async function moveBack(
  deps: StorageDeps,
  id: string,
  types: readonly ResourceType[],
  end: Deadline,
): Promise<MoveBack> {
  const results = await Promise.all(types.map((type) => moveBackIn(deps, type, id, end)))
  return (['unanswered', 'refused', 'moved'] as const).find((result) => results.includes(result)) ?? 'nothing'
}

async function moveBackIn(
  { storage, clock }: StorageDeps,
  type: ResourceType,
  id: string,
  end: Deadline,
): Promise<MoveBack> {
  const renameMs = Math.floor(msLeft(end, clock))
  if (renameMs === 0) return 'refused'
  const renamed = await storage.rename(type, permanentIdOf(id), id, renameMs)
  if (renamed.kind === 'unanswered' || renamed.kind === 'refused') return renamed.kind
  if (renamed.kind === 'source-missing') return 'nothing'
  if (renamed.kind === 'renamed') return 'moved'

  // Somebody has uploaded anew under the temporary id: theirs stays, and the older, promoted copy goes.
  const destroyMs = Math.floor(msLeft(end, clock))
  if (destroyMs === 0) return 'refused'
  const destroyed = await storage.destroy(type, permanentIdOf(id), destroyMs)
  return destroyed.kind === 'unanswered' || destroyed.kind === 'refused' ? destroyed.kind : 'moved'
}
