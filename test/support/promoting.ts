import { randomUUID } from 'node:crypto'
import type {
  AssetStorage,
  FindAnswer,
  RenameAnswer,
  ResourceType,
  StoredAsset,
} from '../../src/asset-storage.ts'
import { Refusal } from '../../src/errors.ts'
import { type Claim, claimMedia, promoteMedia } from '../../src/send-message/promote-media.ts'
import { draft, type Feature } from './feature.ts'
import { recordOf } from './media.ts'

export const unanswered = { kind: 'unanswered' } as const
export const missing = { kind: 'missing' } as const
export const sourceMissing = { kind: 'source-missing' } as const
export const refused = { kind: 'refused', status: 420 } as const

/** What a storage was asked, and for how long it could take. */
export interface Call {
  what: string
  timeoutMs: number
}

/** Answers by `rename image temp`, `find raw messages`: what, in which namespace, and the folder of the first id. */
export interface Script {
  rename?(what: string): RenameAnswer
  find?(what: string): FindAnswer
}

export function assetOf(resourceType: ResourceType, publicId: string): StoredAsset {
  return { resourceType, publicId, assetId: 'a1', url: 'https://x', width: 1, height: 2, bytes: 3 }
}

function storageThatSays({ rename = () => sourceMissing, find = () => missing }: Script) {
  const calls: Call[] = []
  const noted = (action: string, type: ResourceType, id: string, timeoutMs: number): string => {
    const what = `${action} ${type} ${id.split('/')[0]}`
    calls.push({ what, timeoutMs })
    return what
  }
  const storage: AssetStorage = {
    rename: async (type, from, _to, timeoutMs) => rename(noted('rename', type, from, timeoutMs)),
    find: async (type, publicId, timeoutMs) => find(noted('find', type, publicId, timeoutMs)),
    destroy: async (type, publicId, timeoutMs) => {
      noted('destroy', type, publicId, timeoutMs)
      return missing
    },
  }
  return { storage, calls, asked: () => calls.map(({ what }) => what) }
}

export interface Promoting {
  type?: 'text' | 'image' | 'video' | 'file'
  /** Of the request's time. */
  ms?: number
  isTakenOver?: boolean
  items?: number
  /** Monotonic milliseconds, instead of the real ones. */
  clock?(): number
  lease?: Claim['lease']
}

/** One upload, claimed and promoted by what a storage says; what it ended in, and what is recorded of it. */
export function promotingWith({ db, deps, two }: Pick<Feature, 'db' | 'deps' | 'two'>) {
  return async (
    script: Script,
    { type = 'image', ms, isTakenOver, items = 1, clock = deps.clock, lease }: Promoting = {},
  ) => {
    const [alice, bob] = await two()
    const ids = Array.from({ length: items }, () => `temp/user_${alice.id.toHexString()}/${randomUUID()}`)
    const media = ids.map((publicId) => ({ publicId }))
    const claim = await claimMedia(deps, draft(alice, bob, { type, media }))
    if (claim instanceof Refusal) throw claim
    const { storage, calls, asked } = storageThatSays(script)
    const outcomes: string[] = []
    const onPromotion = (outcome: string): void => void outcomes.push(outcome)
    const takenOver = new Set(isTakenOver ? ids : [])
    const held: Claim = { ...claim, takenOver, lease: lease ?? claim.lease }
    const result = await promoteMedia(
      { ...deps, clock, storage, onPromotion },
      draft(alice, bob, { type, media }, ms),
      held,
    ).catch((error: unknown) => error)
    return { ids, result, calls, asked, outcomes, record: await recordOf(db, ids[0] ?? '') }
  }
}

/** The answer to the promotion in one namespace; the others have nothing. */
export const renamedIn =
  (type: ResourceType) =>
  (what: string): RenameAnswer =>
    what === `rename ${type} temp` ? { kind: 'renamed', asset: assetOf(type, 'messages/x') } : sourceMissing
