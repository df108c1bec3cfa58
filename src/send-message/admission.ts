import type { Db } from 'mongodb'
import { type Batcher, createBatcher } from '../lib/batcher.ts'
import type { Committed } from './commit.ts'
import { asRefusal } from './database-failure.ts'
import { bytesOf, type Draft } from './draft.ts'
import { type Judgement, judgeOne, readFor } from './judge.ts'

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
  const batches: Batcher<Draft, Judgement> = createBatcher({
    run: (drafts) => judgeAll(db, drafts),
    ...runs,
    ...queue,
  })
  return {
    async admit(draft) {
      const options = { bytes: bytesOf(draft), deadline: draft.deadline }
      const verdict = await batches.add(draft, options).catch((error: unknown) => {
        throw asRefusal(error)
      })
      if (verdict.kind === 'failed') throw asRefusal(verdict.cause)
      if (verdict.kind === 'refused') throw verdict.refusal
      return verdict.kind === 'finished' ? { message: verdict.message, replayed: true } : undefined
    },
  }
}

/** From what a majority has, so that a message that may be rolled back is not answered with. */
async function judgeAll(db: Db, drafts: readonly Draft[]): Promise<Map<Draft, Judgement>> {
  const reads = await readFor(db, drafts, { signal: AbortSignal.timeout(readsTimeoutMs) })
  return new Map(drafts.map((draft) => [draft, judgeOne(reads, draft)]))
}
