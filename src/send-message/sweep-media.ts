import { randomUUID } from 'node:crypto'
import { resourceTypes } from '../asset-storage.ts'
import type { MediaRecordDocument } from '../collections.ts'
import { deadlineIn } from '../lib/deadline.ts'
import { type Repeated, runEvery } from '../lib/run-every.ts'
import type { PromotionDeps } from './promote-media.ts'
import { moveBack } from './undo-promotion.ts'

export type SweepDeps = Pick<PromotionDeps, 'storage' | 'records' | 'clock' | 'onPromotion'>

export interface SweepCounts {
  /** Assets moved back, or found where they belong. */
  undone: number
  /** Looks that found nothing to move, after which nothing is due, or once more when no signature is valid any longer. */
  closed: number
  /** Looked at again later. */
  failed: number
}

// So many records a page, and so many calls at once: a sweep must not take the storage from the requests.
const recordsMax = 100
const concurrencyMax = 16
// Shorter than the lease that each record is taken with, so that no call outlives it.
const recordTimeoutMs = 8_000

// The contract's two minutes hold a lease (60 s) or a quiet time (90 s), this, and the calls for a record (8 s).
export const sweepIntervalMs = 15_000

export interface SweepEvents {
  onSweep(counts: SweepCounts): void
  log: { warn(fields: object, message: string): void }
}

/** Sweeps until it is stopped. A failure ends one sweep only: the next one finds all that is left again. */
export function keepSweeping(
  deps: SweepDeps,
  { onSweep, log }: SweepEvents,
  { intervalMs, ...options }: { intervalMs: number; isStopping?(): boolean },
): Repeated {
  const onError = (err: unknown): void => log.warn({ err }, 'the media sweep failed')
  return runEvery(intervalMs, () => sweepOnce(deps, options).then(onSweep, onError))
}

/**
 * One look at what was left: promotions whose request or process died, and undone and attached ones for which a late call
 * could have landed since. Safe at any time and on every instance at once: a record is taken by a conditional update.
 */
export async function sweepOnce(
  deps: SweepDeps,
  { isStopping = () => false }: { isStopping?(): boolean } = {},
): Promise<SweepCounts> {
  const counts: SweepCounts = { undone: 0, closed: 0, failed: 0 }
  let due: MediaRecordDocument[]
  let stuck: number
  do {
    due = await deps.records.findDue(recordsMax)
    stuck = 0
    const next = due.values()
    const work = async (): Promise<void> => {
      for (const record of next) {
        if (isStopping()) return
        const result = await sweepRecord(deps, record).catch(() => 'stuck' as const)
        if (result === 'stuck') stuck += 1
        else if (result !== 'taken-by-another') counts[result] += 1
      }
    }
    await Promise.all(Array.from({ length: concurrencyMax }, work))
    // A record that cannot be written keeps nobody from the others.
    counts.failed += stuck
    // Each but those is due later now, so that this ends; what many have left must not wait for one interval a page.
  } while (due.length === recordsMax && stuck < recordsMax && !isStopping())
  return counts
}

type SweepResult = keyof SweepCounts | 'taken-by-another'

/**
 * Moves back whatever is under the permanent id; of what is attached, only in the types that are not its message's. The
 * second look does the same: with nothing to move it costs as much as a look, and what a late call has promoted since is
 * moved back at once.
 */
async function sweepRecord(deps: SweepDeps, record: MediaRecordDocument): Promise<SweepResult> {
  const token = randomUUID()
  const end = deadlineIn(recordTimeoutMs, deps.clock)
  if (!(await deps.records.takeDue(record, token))) return 'taken-by-another'
  const isAttached = record.state === 'attached'
  const types = isAttached ? (record.lateTypes ?? []) : resourceTypes
  const result = await moveBack(deps, record._id, types, end)
  if (result === 'refused' || result === 'unanswered') {
    // Beside what is attached nobody promotes any more: there a call back may land whenever it likes.
    if (result === 'refused' || isAttached) await deps.records.postponeUndo(record, token)
    else await deps.records.finishUndo(record._id, token, 'back')
    deps.onPromotion('undo_failed')
    return 'failed'
  }
  // With failures, the storage had refused the undo: this was its repeat, and the second look is still to come.
  const isSecondLook = result === 'nothing' && record.state === 'undone' && record.failures === undefined
  const closes = isAttached || isSecondLook
  if (closes) await deps.records.close(record, token)
  else await deps.records.finishUndo(record._id, token, undefined)
  if (closes && result === 'nothing') return 'closed'
  deps.onPromotion('undone')
  return 'undone'
}
