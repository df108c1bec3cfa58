import { randomUUID } from 'node:crypto'
import { v2 as cloudinary } from 'cloudinary'

// A media item goes to Cloudinary first, by a signature that a back end of yours makes, and is then named in a message.

export interface Cloud {
  cloudName: string
  apiKey: string
  apiSecret: string
  /** Another address than Cloudinary's own, as in the service's CLOUDINARY_URL. */
  uploadPrefix?: string
}

/** What the client needs for one upload: an address, and fields to send with the file. No secret is in it. */
export interface SignedUpload {
  url: string
  fields: Record<string, string>
}

// What the service calls a file is `raw` at Cloudinary.
const resourceTypes = { image: 'image', video: 'video', file: 'raw' } as const

/**
 * The back end's half, behind your own login. The name is made here and is part of what is signed: no client can upload
 * into another's folder, or over what is there. Of the user's own name for a file only the extension is kept, because a
 * raw file's address ends like its id. The signature holds for an hour.
 */
export function signUpload(
  { cloudName, apiKey, apiSecret, uploadPrefix = 'https://api.cloudinary.com' }: Cloud,
  userId: string,
  kind: keyof typeof resourceTypes,
  extension = '',
): SignedUpload {
  const suffix = kind === 'file' && /^\.[a-z0-9]{1,10}$/i.test(extension) ? extension : ''
  const signed = {
    // Compared exactly by the service: the id in lower case. No `folder` beside it, which Cloudinary would put in front.
    public_id: `temp/user_${userId.toLowerCase()}/${randomUUID()}${suffix}`,
    overwrite: 'false',
    timestamp: Math.floor(Date.now() / 1000),
  }
  const signature = cloudinary.utils.api_sign_request(signed, apiSecret)
  return {
    url: `${uploadPrefix}/v1_1/${cloudName}/${resourceTypes[kind]}/upload`,
    fields: { ...signed, timestamp: String(signed.timestamp), api_key: apiKey, signature },
  }
}

/** The client's half: gives the `publicId` to send. Repeated after a lost connection, it finds the upload that is there. */
export async function upload({ url, fields }: SignedUpload, file: Blob, name: string): Promise<string> {
  const form = new FormData()
  for (const [field, value] of Object.entries(fields)) form.set(field, value)
  form.set('file', file, name)
  const response = await fetch(url, { method: 'POST', body: form })
  if (!response.ok) throw new Error(`the upload was answered with ${response.status}`)
  const { public_id: publicId } = (await response.json()) as { public_id: string }
  return publicId
}
