import { DatabaseUnavailable, MessageToSelf, Refusal } from '../errors.ts'
import type { Admission } from './admission.ts'
import type { Committed, Committer } from './commit.ts'
import type { Draft } from './draft.ts'
import { refuseInvalidMediaReferences } from './media-reference.ts'
import { claimMedia, type Promotion, type PromotionDeps, promoteMedia } from './promote-media.ts'
import { undoPromotion } from './undo-promotion.ts'

export type SendMessageDeps = Admission & PromotionDeps & Committer

/**
 * Sends a private message, or finds the one that this request has sent before. Throws a `Refusal`.
 *
 *     to self? ─┬─ text ─────────────────────────────► commit      blocks and all other checks, chat upsert,
 *               └─ media ─► admit ─► record ─► promote ──┘           transactional insert: `transaction.ts`
 *
 * What stands before the record changes nothing. Admission and commit judge by the same code: admission so that nothing
 * is promoted for a message that will be refused, commit because only what is read together with the insert counts.
 */
export async function sendMessage(deps: SendMessageDeps, draft: Draft): Promise<Committed> {
  if (draft.senderId === draft.receiverId) throw new MessageToSelf()
  if (draft.mediaIds.length === 0) return await deps.commit(draft)

  const finished = await deps.admit(draft)
  if (finished) return finished
  refuseInvalidMediaReferences(draft)

  const claim = await claimMedia(deps, draft)
  if (claim instanceof Refusal) return await finishedOr(deps, draft, claim)
  const promotion = await promoteMedia(deps, draft, claim)
  return await commitPromoted(deps, draft, promotion)
}

/** Somebody has the uploads: perhaps this request's own first try, which has finished since it was admitted. */
async function finishedOr(deps: SendMessageDeps, draft: Draft, refusal: Refusal): Promise<Committed> {
  const finished = await deps.admit(draft)
  if (finished) return finished
  throw refusal
}

async function commitPromoted(deps: SendMessageDeps, draft: Draft, promotion: Promotion): Promise<Committed> {
  try {
    // A replay has the same uploads, thus has taken their records over and attached them: there is nothing to undo.
    return await deps.commit(draft, promotion)
  } catch (error) {
    // Unknown: the message may be stored with this media. The next holder reads which.
    if (error instanceof DatabaseUnavailable)
      deps.afterwards(() => deps.records.release(draft.mediaIds, promotion.claim.token))
    else await undoPromotion(deps, promotion)
    throw error
  }
}
