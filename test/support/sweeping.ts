import type { Db } from 'mongodb'
import type { Test } from 'tap'
import type { AssetStorage } from '../../src/asset-storage.ts'
import type { MediaRecordDocument } from '../../src/collections.ts'
import { Refusal } from '../../src/errors.ts'
import { monotonicMs } from '../../src/lib/deadline.ts'
import { createMediaRecords } from '../../src/send-message/media-records.ts'
import { type Claim, claimMedia, type Promotion, promoteMedia } from '../../src/send-message/promote-media.ts'
import { sendMessage } from '../../src/send-message/send-message.ts'
import { type SweepCounts, sweepOnce } from '../../src/send-message/sweep-media.ts'
import { eventually } from './eventually.ts'
import { codeOf, draft, type Feature } from './feature.ts'
import { letTimePass, recordOf, whereIs } from './media.ts'
import type { Person } from './people.ts'

/** What a sweeper finds, and how a test tells that it has ended well. */
export function sweeping({ db, deps, storage }: Pick<Feature, 'db' | 'deps' | 'storage'>) {
  const of = (...ids: string[]) => ({ media: ids.map((publicId) => ({ publicId })) })

  async function claimed(alice: Person, bob: Person, ...ids: string[]): Promise<Claim> {
    const claim = await claimMedia(deps, draft(alice, bob, of(...ids)))
    if (claim instanceof Refusal) throw claim
    return claim
  }

  /** As a process leaves it that is killed between the promotion and the commit. */
  async function promotedAndKilled(alice: Person, bob: Person, ...ids: string[]): Promise<Promotion> {
    return await promoteMedia(deps, draft(alice, bob, of(...ids)), await claimed(alice, bob, ...ids))
  }

  /** The upload is where it was, and ends in a message when it is sent again. */
  async function isFree(t: Test, alice: Person, bob: Person, id: string): Promise<void> {
    t.equal(whereIs(storage, id), 'temp')
    t.equal(await codeOf(sendMessage(deps, draft(alice, bob, of(id)))), 'OK')
    t.equal(whereIs(storage, id), 'messages')
    t.equal((await recordOf(db, id))?.state, 'attached')
  }

  return {
    of,
    claimed,
    promotedAndKilled,
    sweepLater: (...ids: string[]) => sweepLater({ db, app: deps }, ...ids),
    isFree,
  }
}

/** A sweep when the time of these uploads has come. Another one may be under way: it waits until that has ended, too. */
export async function sweepLater(
  { db, app: { storage } }: { db: Db; app: { storage: AssetStorage } },
  ...ids: string[]
): Promise<SweepCounts> {
  await letTimePass(db, ...ids)
  const records = createMediaRecords(db)
  const counts = await sweepOnce({ storage, records, clock: monotonicMs, onPromotion() {} })
  const undoing = { _id: { $in: ids }, state: 'undoing' as const }
  await eventually(
    async () => (await db.collection<MediaRecordDocument>('media').countDocuments(undoing)) === 0,
  )
  return counts
}
