import { runEvery } from '../lib/run-every.ts'
import { leaseMs, type MediaRecords } from './media-records.ts'

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
export function releaseLater(records: Pick<MediaRecords, 'release'>): {
  add(ids: readonly string[], claim: string): void
  stop(): Promise<void>
} {
  let waiting: Release[] = []

  async function releaseAll(): Promise<void> {
    const due = waiting.filter(({ pointlessAt }) => performance.now() < pointlessAt)
    waiting = []
    for (const release of due) {
      await records.release(release.ids, release.claim).catch(() => void waiting.push(release))
    }
  }

  const loop = runEvery(intervalMs, releaseAll)
  return {
    add(ids, claim) {
      waiting.push({ ids, claim, pointlessAt: performance.now() + leaseMs })
    },
    stop: () => loop.stop(),
  }
}
