import type { Test } from 'tap'
import { Refusal } from '../../src/errors.ts'
import { type Claim, claimMedia, type Promotion, promoteMedia } from '../../src/send-message/promote-media.ts'
import { sendMessage } from '../../src/send-message/send-message.ts'
import { type SweepCounts, sweepOnce } from '../../src/send-message/sweep-media.ts'
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

  /** A sweep when the time of these has come. */
  async function sweepLater(...ids: string[]): Promise<SweepCounts> {
    await letTimePass(db, ...ids)
    return await sweepOnce(deps)
  }

  /** The upload is where it was, and ends in a message when it is sent again. */
  async function isFree(t: Test, alice: Person, bob: Person, id: string): Promise<void> {
    t.equal(whereIs(storage, id), 'temp')
    t.equal(await codeOf(sendMessage(deps, draft(alice, bob, of(id)))), 'OK')
    t.equal(whereIs(storage, id), 'messages')
    t.equal((await recordOf(db, id))?.state, 'attached')
  }

  return { of, claimed, promotedAndKilled, sweepLater, isFree }
}
