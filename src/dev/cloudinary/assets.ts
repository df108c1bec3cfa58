import { createHash, randomBytes } from 'node:crypto'
import { inspect, type ResourceType } from './inspect.ts'
import { Refusal } from './refusal.ts'

export interface Asset {
  readonly assetId: string
  readonly publicId: string
  readonly resourceType: ResourceType
  readonly version: number
  readonly versionId: string
  readonly format: string | undefined
  readonly width: number | undefined
  readonly height: number | undefined
  readonly tags: readonly string[]
  readonly createdAt: Date
  readonly etag: string
  readonly originalFilename: string
  readonly bytes: Buffer
}

export interface Assets {
  readonly byKey: Map<string, Asset>
  readonly now: () => Date
  storedBytes: number
  lastVersion: number
}

export interface Upload {
  publicId: string
  resourceType: ResourceType
  bytes: Buffer
  width?: number | undefined
  height?: number | undefined
  tags?: readonly string[]
  originalFilename?: string
}

// All is held in memory, and a benchmark uploads as long as it likes: this fits the smallest CI machine.
const storedBytesMax = 256 * 1024 * 1024
// What an asset weighs beside its bytes, so that empty files are bounded too.
const assetOverheadBytes = 1024
// Cloudinary's own limit, in characters.
const publicIdCharactersMax = 255

export function makeAssets(now: () => Date): Assets {
  return { byKey: new Map(), now, storedBytes: 0, lastVersion: 0 }
}

export function findAsset(assets: Assets, resourceType: string, publicId: string): Asset | undefined {
  return assets.byKey.get(keyOf(resourceType, publicId))
}

export function requireAsset(assets: Assets, resourceType: string, publicId: string): Asset {
  const asset = findAsset(assets, resourceType, publicId)
  if (asset === undefined) throw new Refusal(404, `Resource not found - ${publicId}`)
  return asset
}

/** Stores an upload. What has the same id is overwritten: a new version of one asset, whose id stays. */
export function storeAsset(assets: Assets, upload: Upload): Asset {
  const facts = inspect(upload.bytes)
  const before = findAsset(assets, upload.resourceType, upload.publicId)
  const asset: Asset = {
    assetId: before?.assetId ?? randomBytes(16).toString('hex'),
    publicId: upload.publicId,
    resourceType: upload.resourceType,
    // A raw file's id carries its extension, so it has no format; nor has it a size, whatever its bytes are.
    ...(upload.resourceType === 'raw'
      ? { format: undefined, width: undefined, height: undefined }
      : { format: facts.format, width: upload.width ?? facts.width, height: upload.height ?? facts.height }),
    ...nextVersion(assets),
    tags: upload.tags ?? [],
    createdAt: assets.now(),
    etag: createHash('md5').update(upload.bytes).digest('hex'),
    originalFilename: upload.originalFilename ?? 'file',
    bytes: upload.bytes,
  }
  const storedBytes = assets.storedBytes + weightOf(asset) - weightOf(before)
  if (storedBytes > storedBytesMax)
    throw new Refusal(500, `The stand-in holds ${storedBytesMax} bytes at most`)
  replace(assets, before, asset)
  return asset
}

interface Rename {
  resourceType: string
  publicId: string
  toPublicId: string
  overwrite: 'allowed' | 'refused'
}

export function renameAsset(assets: Assets, rename: Rename): Asset {
  const { resourceType, publicId, toPublicId } = rename
  const source = requireAsset(assets, resourceType, publicId)
  const target = findAsset(assets, resourceType, toPublicId)
  if (target !== undefined && rename.overwrite === 'refused') {
    throw new Refusal(400, `to_public_id(${toPublicId}) already exists`)
  }
  if (target !== undefined) remove(assets, target)
  const renamed: Asset = { ...source, publicId: toPublicId, ...nextVersion(assets) }
  replace(assets, source, renamed)
  return renamed
}

export function destroyAsset(assets: Assets, resourceType: string, publicId: string): 'ok' | 'not found' {
  const asset = findAsset(assets, resourceType, publicId)
  if (asset === undefined) return 'not found'
  remove(assets, asset)
  return 'ok'
}

/** The names that Cloudinary takes. Some it would trim; here they are refused: nobody should rely on that. */
export function checkPublicId(parameter: 'public_id' | 'to_public_id', publicId: string): void {
  if ([...publicId].length > publicIdCharactersMax) {
    throw new Refusal(
      400,
      `${parameter} (${publicId}) is too long: ${publicIdCharactersMax} characters at most`,
    )
  }
  if (publicId === '' || /[?&#\\%<>+]|^[\s/]|[\s/]$/.test(publicId)) {
    throw new Refusal(400, `${parameter} (${publicId}) is invalid`)
  }
}

// A resource type is a namespace of its own: one id can be an image, a video and a raw file at once.
function keyOf(resourceType: string, publicId: string): string {
  return `${resourceType}/${publicId}`
}

// A version is the time in seconds; the counter keeps two changes within one second apart.
function nextVersion(assets: Assets): { version: number; versionId: string } {
  assets.lastVersion = Math.max(Math.floor(assets.now().getTime() / 1000), assets.lastVersion + 1)
  return { version: assets.lastVersion, versionId: randomBytes(16).toString('hex') }
}

function replace(assets: Assets, before: Asset | undefined, after: Asset): void {
  if (before !== undefined) remove(assets, before)
  assets.byKey.set(keyOf(after.resourceType, after.publicId), after)
  assets.storedBytes += weightOf(after)
}

function remove(assets: Assets, asset: Asset): void {
  // An asset renamed to its own name is source and target: it is counted once.
  const wasThere = assets.byKey.delete(keyOf(asset.resourceType, asset.publicId))
  if (wasThere) assets.storedBytes -= weightOf(asset)
}

function weightOf(asset: Asset | undefined): number {
  return asset === undefined ? 0 : asset.bytes.length + assetOverheadBytes
}
