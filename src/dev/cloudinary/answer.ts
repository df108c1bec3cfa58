import { randomBytes } from 'node:crypto'
import { extname, parse } from 'node:path'
import {
  type Asset,
  type Assets,
  checkPublicId,
  destroyAsset,
  findAsset,
  renameAsset,
  requireAsset,
  storeAsset,
} from './assets.ts'
import type { Call } from './call.ts'
import { inspect, type ResourceType } from './inspect.ts'
import { Refusal } from './refusal.ts'
import { checkBasic, checkSignature, sign } from './signature.ts'

export interface Cloud {
  name: string
  apiKey: string
  apiSecret: string
  baseUrl: string
  assets: Assets
  now: () => Date
}

export interface Answer {
  status: number
  contentType: string
  body: Buffer | string
}

/** Does what the call asks for, whole and at once: a fault may withhold the answer, never half the deed. */
export function answerTo(cloud: Cloud, call: Call): Answer {
  try {
    return perform(cloud, call)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return refusalAnswer(error)
  }
}

export function refusalAnswer({ status, message }: Refusal): Answer {
  return jsonAnswer({ error: { message } }, status)
}

export function jsonAnswer(value: unknown, status = 200): Answer {
  return { status, contentType: 'application/json; charset=utf-8', body: JSON.stringify(value) }
}

function perform(cloud: Cloud, call: Call): Answer {
  if (call.action === 'unknown') throw new Refusal(404, `Not found - ${call.method} ${call.path}`)
  if (call.cloudName !== cloud.name) throw new Refusal(401, `Invalid cloud_name ${call.cloudName}`)
  if (call.action === 'deliver') return deliver(cloud, call)
  if (call.action === 'resource') checkBasic(cloud, call.authorization)
  else checkSignature(cloud, call.params)
  const { assets } = cloud
  switch (call.action) {
    case 'upload':
      return upload(cloud, call)
    case 'rename':
      return described(cloud, rename(assets, call))
    case 'explicit':
      required('type', call.params.get('type'))
      return described(cloud, requireAsset(assets, call.resourceType, sentPublicId(call)))
    case 'resource':
      return described(cloud, requireAsset(assets, call.resourceType, sentPublicId(call)))
    case 'destroy':
      return jsonAnswer({ result: destroyAsset(assets, call.resourceType, sentPublicId(call)) })
  }
}

function upload(cloud: Cloud, { file, params, publicId, resourceType }: Call): Answer {
  if (file === undefined) throw new Refusal(400, 'Missing required parameter - file')
  const found = inspect(file.bytes).resourceType
  if (resourceType === 'image' && found !== 'image') throw new Refusal(400, 'Invalid image file')
  if (resourceType === 'video' && found !== 'video')
    throw new Refusal(400, 'Unsupported video format or file')
  const as: ResourceType = resourceType === 'raw' ? 'raw' : found

  const { name: originalFilename, ext } = parse(file.name)
  const name = publicId ?? randomBytes(10).toString('hex') + (as === 'raw' ? ext : '')
  const id = [params.get('folder'), name].filter(Boolean).join('/')
  checkPublicId('public_id', id)
  const existing = findAsset(cloud.assets, as, id)
  // No refusal, as for a rename: an upload that may not overwrite is answered with what is there.
  if (existing && ['false', '0'].includes(params.get('overwrite') ?? '')) {
    return jsonAnswer({ ...describe(cloud, existing), existing: true })
  }
  const tags = (params.get('tags') ?? '').split(',').filter(Boolean)
  return described(
    cloud,
    storeAsset(cloud.assets, { publicId: id, resourceType: as, bytes: file.bytes, tags, originalFilename }),
  )
}

function rename(assets: Assets, { params, publicId, resourceType, toPublicId }: Call): Asset {
  const from = required('from_public_id', publicId)
  const to = required('to_public_id', toPublicId)
  checkPublicId('to_public_id', to)
  const overwrite = ['true', '1'].includes(params.get('overwrite') ?? '') ? 'allowed' : 'refused'
  return renameAsset(assets, { resourceType, publicId: from, toPublicId: to, overwrite })
}

// No transformations and no conversions: the bytes come back as they went in.
function deliver({ assets }: Cloud, { publicId = '', resourceType }: Call): Answer {
  const extension = extname(publicId)
  const byName = findAsset(assets, resourceType, publicId)
  const byStem = findAsset(assets, resourceType, publicId.slice(0, publicId.length - extension.length))
  const asset = byName ?? (byStem?.format === extension.slice(1) ? byStem : undefined)
  if (asset === undefined) throw new Refusal(404, `Resource not found - ${publicId}`)
  const contentType = contentTypes.get(asset.format ?? extension.slice(1)) ?? 'application/octet-stream'
  return { status: 200, contentType, body: asset.bytes }
}

const contentTypes = new Map([
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['gif', 'image/gif'],
  ['pdf', 'application/pdf'],
  ['mp4', 'video/mp4'],
  ['webm', 'video/webm'],
  ['mp3', 'audio/mpeg'],
  ['ogg', 'audio/ogg'],
  ['wav', 'audio/wav'],
  ['txt', 'text/plain; charset=utf-8'],
])

function described(cloud: Cloud, asset: Asset): Answer {
  return jsonAnswer(describe(cloud, asset))
}

function describe(cloud: Cloud, asset: Asset): Record<string, unknown> {
  const { publicId, resourceType, version, format } = asset
  const file = format === undefined ? publicId : `${publicId}.${format}`
  const path = file.split('/').map(encodeURIComponent).join('/')
  // The stand-in speaks http only, so that `secure_url` opens too.
  const url = `${cloud.baseUrl}/${cloud.name}/${resourceType}/upload/v${version}/${path}`
  const signed = new Map([
    ['public_id', publicId],
    ['version', String(version)],
  ])
  return {
    asset_id: asset.assetId,
    public_id: publicId,
    version,
    version_id: asset.versionId,
    signature: sign(signed, cloud.apiSecret),
    // Undefined ones are left out of the JSON, as Cloudinary leaves them out for raw files and audio.
    width: asset.width,
    height: asset.height,
    format,
    resource_type: resourceType,
    created_at: asset.createdAt.toISOString().replace(/\.\d+Z$/, 'Z'),
    tags: asset.tags,
    bytes: asset.bytes.length,
    type: 'upload',
    etag: asset.etag,
    url,
    secure_url: url,
    original_filename: asset.originalFilename,
  }
}

function sentPublicId({ publicId }: Call): string {
  return required('public_id', publicId)
}

function required(name: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new Refusal(400, `Missing required parameter - ${name}`)
  return value
}
