import type { Db } from 'mongodb'
import { type Batcher, createBatcher } from '../lib/batcher.ts'
import type { Deadline } from '../lib/deadline.ts'
import type { Committed } from './commit.ts'
import { asRefusal, databaseFailure } from './database-failure.ts'
import { bytesOf, type Draft } from './draft.ts'
import { judgeOne, readFor, type Verdict } from './judge.ts'
import { pauseBeforeRepeat, unavailablePauseMs } from './pause.ts'
import { reservedForCommitMs } from './promote-media.ts'

export interface Admission {
  /**
   * The checks before anything is promoted: throws the refusal, or gives the finished message that the draft's key names.
   * It counts for nothing else; what is read with the insert decides.
   */
  admit(draft: Draft): Promise<Committed | undefined>
}

// Four reads by index: what is not answered by then will not be, and the request has other things to wait for.
const readsTimeoutMs = 2_500
// Reads wait for nothing but the network: with a second run on its way, nobody waits for a slow first one alone.
const runs = { itemsMax: 256, bytesMax: 4 * 1024 * 1024, runsMax: 2 }
// More than the gate lets in: each request has its place here from its beginning.
const queue = { queueItemsMax: 4_096, queueBytesMax: 512 * 1024 * 1024 }

/** Those that arrive while others are read are read together: a read costs the same for one as for many. */
export function createAdmission({ db }: { db: Db }): Admission {
  const batches: Batcher<Draft, Verdict> = createBatcher({
    run: (drafts) => judgeAll(db, drafts),
    ...runs,
    ...queue,
  })
  /** Reads change nothing: repeated through an election, for as long as a promotion could follow. */
  async function verdictOn(draft: Draft, deadline: Deadline): Promise<Verdict> {
    for (;;) {
      try {
        return await batches.add(draft, { bytes: bytesOf(draft), deadline })
      } catch (error) {
        if (databaseFailure(error) !== 'unavailable') throw asRefusal(error)
        await pauseBeforeRepeat(unavailablePauseMs, deadline)
      }
    }
  }

  return {
    async admit(draft) {
      const verdict = await verdictOn(draft, { at: draft.deadline.at - reservedForCommitMs })
      if (verdict.kind === 'failed') throw asRefusal(verdict.cause)
      if (verdict.kind === 'refused') throw verdict.refusal
      return verdict.kind === 'replayed' ? { message: verdict.message, replayed: true } : undefined
    },
  }
}

/** From what a majority has, so that a message that may be rolled back is not answered with. */
async function judgeAll(db: Db, drafts: readonly Draft[]): Promise<Map<Draft, Verdict>> {
  const reads = await readFor(db, drafts, { signal: AbortSignal.timeout(readsTimeoutMs) })
  return new Map(drafts.map((draft) => [draft, judgeOne(reads, draft)]))
}
