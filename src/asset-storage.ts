/** What the service needs of a storage for assets, in its own words; `cloudinary.ts` speaks to a real one. */
export interface AssetStorage {
  /** Never overwrites. Resolves within `timeoutMs`, whatever the storage does; never rejects. */
  rename(type: ResourceType, from: string, to: string, timeoutMs: number): Promise<RenameAnswer>
  find(type: ResourceType, publicId: string, timeoutMs: number): Promise<FindAnswer>
  destroy(type: ResourceType, publicId: string, timeoutMs: number): Promise<DestroyAnswer>
}

/** Each is a namespace of its own: an image and a video may have one public id. */
export const resourceTypes = ['image', 'video', 'raw'] as const
export type ResourceType = (typeof resourceTypes)[number]

export interface StoredAsset {
  readonly resourceType: ResourceType
  readonly publicId: string
  readonly assetId: string
  readonly url: string
  /** Pixels; `null` where the asset has none. */
  readonly width: number | null
  readonly height: number | null
  readonly bytes: number
}

/** It said no: nothing was done. `status` is HTTP's, for the log. */
type Refused = { kind: 'refused'; status: number }
/** No answer that says: it may have been done, or be done later. */
type Unanswered = { kind: 'unanswered' }

export type RenameAnswer =
  | { kind: 'renamed'; asset: StoredAsset }
  | { kind: 'source-missing' }
  | { kind: 'target-exists' }
  | Refused
  | Unanswered
export type FindAnswer = { kind: 'found'; asset: StoredAsset } | { kind: 'missing' } | Refused | Unanswered
export type DestroyAnswer = { kind: 'destroyed' } | { kind: 'missing' } | Refused | Unanswered
