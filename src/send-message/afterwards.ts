import { monotonicMs } from '../lib/deadline.ts'
import { runEvery } from '../lib/run-every.ts'
import { leaseMs } from './media-claims.ts'
import type { MediaRecords } from './media-records.ts'

// A database that comes back is asked within this.
const intervalMs = 1_000

interface Release {
  ids: readonly string[]
  claim: string
  /** When the lease has ended by itself. */
  pointlessAt: number
}

/**
 * Ends the leases of requests that could not say what became of them, as soon as the database answers. Without it, a
 * client that repeats after `DATABASE_UNAVAILABLE` would hear `REQUEST_IN_PROGRESS` until the lease ends by itself.
 */
export function releaseLater(
  records: Pick<MediaRecords, 'release'>,
  clock: () => number = monotonicMs,
): {
  add(ids: readonly string[], claim: string): void
  stop(): Promise<void>
} {
  let waiting: Release[] = []

  /** Until the first that fails: what a database that does not answer is asked, it is asked once. */
  async function releaseAll(): Promise<void> {
    waiting = waiting.filter(({ pointlessAt }) => clock() < pointlessAt)
    try {
      for (let next = waiting[0]; next; next = waiting[0]) {
        await records.release(next.ids, next.claim)
        waiting.shift()
      }
    } catch {
      // The next round asks again.
    }
  }

  const loop = runEvery(intervalMs, releaseAll)
  return {
    add(ids, claim) {
      waiting.push({ ids, claim, pointlessAt: clock() + leaseMs })
    },
    async stop() {
      await loop.stop()
      await releaseAll()
    },
  }
}
