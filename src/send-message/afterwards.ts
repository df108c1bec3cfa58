import { monotonicMs } from '../lib/deadline.ts'
import { runEvery } from '../lib/run-every.ts'
import { leaseMs } from './media-claims.ts'

export interface Afterwards {
  /** `write` must be safe to repeat, and to come too late: every change of a record is, by its token. */
  add(write: () => Promise<unknown>): void
  stop(): Promise<void>
}

// A database that comes back is asked within this.
const intervalMs = 1_000

/**
 * What a request could not write to its records goes on after its answer: tried at once, and again until the database answers
 * or the lease has ended by itself. Without it, a client that repeats after a failure of the database would hear
 * `REQUEST_IN_PROGRESS` until then, although nobody works for it any more.
 */
export function createAfterwards(clock: () => number = monotonicMs): Afterwards {
  let waiting: { write(): Promise<unknown>; pointlessAt: number }[] = []
  let writing: Promise<void> | undefined

  /** Until the first that fails: a database that does not answer is asked once. What has failed goes behind the others. */
  async function writeAll(): Promise<void> {
    waiting = waiting.filter(({ pointlessAt }) => clock() < pointlessAt)
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      try {
        await next.write()
      } catch {
        waiting.push(next)
        return
      }
    }
  }

  function writeOnce(): Promise<void> {
    writing ??= writeAll().finally(() => {
      writing = undefined
    })
    return writing
  }

  const loop = runEvery(intervalMs, writeOnce)
  return {
    add(write) {
      waiting.push({ write, pointlessAt: clock() + leaseMs })
      void writeOnce()
    },
    async stop() {
      await loop.stop()
      await writeOnce()
    },
  }
}
