import { createHash } from 'node:crypto'
import { Refusal } from './refusal.ts'

export type Params = ReadonlyMap<string, string>

// Sent with every call, and no part of the signed text.
const unsignedNames = new Set(['file', 'cloud_name', 'resource_type', 'api_key', 'signature'])

// Cloudinary's own bound: a signature that leaked is worthless after an hour.
const signatureLifeMs = 3_600_000

export function stringToSign(params: Params): string {
  return [...params]
    .filter(([name, value]) => !unsignedNames.has(name) && value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`.replaceAll('&', '%26'))
    .join('&')
}

export function sign(params: Params, apiSecret: string, algorithm: 'sha1' | 'sha256' = 'sha1'): string {
  return createHash(algorithm)
    .update(stringToSign(params) + apiSecret)
    .digest('hex')
}

interface Credentials {
  apiKey: string
  apiSecret: string
  now: () => Date
}

/** Throws what Cloudinary answers to a call of its Upload API that is not signed as it should be. */
export function checkSignature({ apiKey, apiSecret, now }: Credentials, params: Params): void {
  const sentKey = params.get('api_key')
  if (sentKey === undefined) throw new Refusal(401, 'Must supply api_key')
  if (sentKey !== apiKey) throw new Refusal(401, `Unknown API key ${sentKey}`)

  const timestamp = params.get('timestamp')
  if (timestamp === undefined) throw new Refusal(400, 'Missing required parameter - timestamp')
  if (!/^\d{1,12}$/.test(timestamp)) throw new Refusal(400, `Invalid timestamp ${timestamp}`)

  const signature = params.get('signature')
  if (signature === undefined) throw new Refusal(400, 'Missing required parameter - signature')
  // An account accepts both digests; which one was used shows in the length only.
  if (signature !== sign(params, apiSecret, signature.length === 64 ? 'sha256' : 'sha1')) {
    throw new Refusal(401, `Invalid Signature ${signature}. String to sign - '${stringToSign(params)}'.`)
  }

  const signedAtMs = Number(timestamp) * 1000
  if (now().getTime() - signedAtMs > signatureLifeMs) {
    const reported = new Date(signedAtMs).toISOString().replace('T', ' ').replace('.000Z', ' +0000')
    throw new Refusal(400, `Stale request - reported time is ${reported} which is more than 1 hour ago`)
  }
}

/** The Admin API takes key and secret themselves, as HTTP basic authentication. */
export function checkBasic({ apiKey, apiSecret }: Credentials, authorization: string | undefined): void {
  const [scheme, encoded = ''] = (authorization ?? '').split(' ')
  const [sentKey = '', sentSecret] = Buffer.from(encoded, 'base64').toString().split(':')
  if (scheme !== 'Basic') throw new Refusal(401, 'Must supply api_key')
  if (sentKey !== apiKey) throw new Refusal(401, `unknown api_key ${sentKey}`)
  if (sentSecret !== apiSecret) throw new Refusal(401, 'api_secret mismatch')
}
