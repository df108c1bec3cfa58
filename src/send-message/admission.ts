import type { Db } from 'mongodb'
import type { Committed } from './commit.ts'
import { asDatabaseRefusal } from './database-failure.ts'
import type { Draft } from './draft.ts'
import { judge, readFor } from './judge.ts'

export interface AdmissionDeps {
  db: Db
}

// Four reads by index: what is not answered by then will not be, and the request has other things to wait for.
const admissionTimeoutMs = 2_500

/**
 * The checks before anything is promoted: throws the refusal, or gives the finished message that the draft's key names.
 * It counts for nothing else; what is read with the insert decides. Read from what a majority has, so that a message that
 * may be rolled back is not answered with.
 */
export async function admit({ db }: AdmissionDeps, draft: Draft): Promise<Committed | undefined> {
  const reads = await readFor(db, [draft], { signal: AbortSignal.timeout(admissionTimeoutMs) }).catch(
    (error: unknown) => {
      throw asDatabaseRefusal(error)
    },
  )
  const verdict = judge(reads, draft)
  if (verdict.kind === 'refused') throw verdict.refusal
  return verdict.kind === 'finished' ? { message: verdict.message, replayed: true } : undefined
}
