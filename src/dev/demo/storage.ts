import type { UploadApiOptions } from 'cloudinary'
import type { ResourceType } from '../../asset-storage.ts'
import type { Config } from '../../config.ts'
import { startCloudinary } from '../cloudinary/server.ts'
import { picturePng, type Rgb, textFile } from '../media-samples.ts'
import { clipMp4 } from './clip.ts'
import { DemoFailure } from './failure.ts'
import type { Stage } from './stage.ts'

/** An upload under somebody's temporary folder, as a client of the service makes one. */
export type Uploader = (userId: string, sample: Sample) => Promise<string>

export interface Sample {
  /** A raw file's includes the extension. */
  name: string
  resourceType: ResourceType
  mediaType: string
  bytes: Buffer
}

// Idle, as the SDK counts it.
const callTimeoutMs = 30_000

const dusk: readonly [Rgb, Rgb] = [
  [255, 138, 76],
  [76, 105, 255],
]
const meadow: readonly [Rgb, Rgb] = [
  [246, 226, 122],
  [64, 160, 110],
]

export const samples = {
  picture: (name: string): Sample => gradient(name, dusk),
  otherPicture: (name: string): Sample => gradient(name, meadow),
  video: (name: string): Sample => ({
    name,
    resourceType: 'video',
    mediaType: 'video/mp4',
    bytes: clipMp4(),
  }),
  file: (name: string): Sample => ({
    name,
    resourceType: 'raw',
    mediaType: 'text/plain',
    bytes: textFile('Bread, olives, lemons.\nAnd a bottle of something.\n'),
  }),
}

function gradient(name: string, [from, to]: readonly [Rgb, Rgb]): Sample {
  return { name, resourceType: 'image', mediaType: 'image/png', bytes: picturePng(640, 400, { from, to }) }
}

export interface Storage {
  cloudinaryUrl: string
  /** For people. */
  described: string
}

/** Real Cloudinary where a URL is given, else a stand-in, which ends with the demo. */
export async function openStorage(given: string | undefined, stage: Stage): Promise<Storage> {
  if (given !== undefined) {
    return { cloudinaryUrl: given, described: `the cloud ${new URL(given).hostname}` }
  }
  const standIn = await startCloudinary()
  stage.atEnd('the stand-in for Cloudinary', standIn.close)
  stage.say(`stand-in: at ${standIn.baseUrl}`)
  return { cloudinaryUrl: standIn.cloudinaryUrl, described: `${standIn.baseUrl} (a stand-in)` }
}

/** Uploads through the SDK, and removes at the end what was uploaded, wherever the service has moved it by then. */
export async function createUploader(
  cloudinaryUrl: string,
  config: Config['cloudinary'],
  stage: Stage,
): Promise<Uploader> {
  // It takes its protocol from the environment, at the moment when it is first loaded: here, or by the service.
  process.env.CLOUDINARY_URL = cloudinaryUrl
  const { v2: cloudinary } = await import('cloudinary')
  // The SDK's types know neither the prefix nor the time-out.
  const account = {
    cloud_name: config.cloudName,
    api_key: config.apiKey,
    api_secret: config.apiSecret,
    upload_prefix: config.uploadPrefix,
    timeout: callTimeoutMs,
  } as UploadApiOptions

  const uploads: { publicIds: string[]; options: UploadApiOptions; made: boolean }[] = []
  const folders = new Set<string>()
  stage.atEnd('the uploads at Cloudinary', async () => {
    // Those without an answer, too: they may have arrived.
    const removals = uploads.map(async ({ publicIds, options, made }) => {
      const calls = publicIds.map((publicId) => cloudinary.uploader.destroy(publicId, options))
      const isRemoved = (await Promise.allSettled(calls)).every(({ status }) => status === 'fulfilled')
      return isRemoved || !made
    })
    const isAllRemoved = (await Promise.all(removals)).every(Boolean)
    // Takes empty ones only. Accounts whose folders are no part of the ids have none of that name.
    await Promise.allSettled([...folders].map((folder) => cloudinary.api.delete_folder(folder, account)))
    if (!isAllRemoved) throw new Error('some uploads are left')
  })

  return async (userId, { name, resourceType, mediaType, bytes }) => {
    const [temporary, permanent] = foldersOf(userId)
    const publicId = `${temporary}/${name}`
    const options = { ...account, resource_type: resourceType, type: 'upload' }
    const upload = { publicIds: [publicId, `${permanent}/${name}`], options, made: false }
    uploads.push(upload)
    folders.add(temporary).add(permanent)
    const data = `data:${mediaType};base64,${bytes.toString('base64')}`
    await cloudinary.uploader.upload(data, { ...options, public_id: publicId }).catch(refuseUpload)
    upload.made = true
    return publicId
  }
}

/** Where an upload is made, and where the service moves it. */
function foldersOf(userId: string): [temporary: string, permanent: string] {
  return [`temp/user_${userId}`, `messages/user_${userId}`]
}

function refuseUpload(rejection: unknown): never {
  throw new DemoFailure(
    `Cloudinary did not take an upload (${statusOf(rejection)}): are key, secret and cloud of CLOUDINARY_URL right?`,
  )
}

/** No more of a rejection: it can hold the key and the signature. */
function statusOf(rejection: unknown): string {
  const { http_code: status } = (rejection ?? {}) as { http_code?: unknown }
  return typeof status === 'number' ? `status ${status}` : 'no answer'
}
