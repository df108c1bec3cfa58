import type { IncomingMessage } from 'node:http'
import { Refusal } from './refusal.ts'
import type { Params } from './signature.ts'

export type Action = 'upload' | 'rename' | 'explicit' | 'destroy' | 'resource' | 'deliver' | 'unknown'

/** What a request asks for: what faults are matched by, and what is logged. */
export interface CallSubject {
  readonly action: Action
  /** `auto` too, for uploads. */
  readonly resourceType: string
  readonly publicId: string | undefined
  readonly toPublicId: string | undefined
}

export interface SentFile {
  readonly bytes: Buffer
  readonly name: string
}

export interface Call extends CallSubject {
  readonly method: string
  readonly path: string
  readonly cloudName: string
  readonly authorization: string | undefined
  readonly params: Params
  readonly file: SentFile | undefined
}

// Enough for a phone's photograph or a short clip; a stand-in needs no more.
const bodyBytesMax = 32 * 1024 * 1024

/** Reads a request to its end and says what it asks for. */
export async function readCall(request: IncomingMessage): Promise<Call> {
  const method = request.method ?? 'GET'
  const path = (request.url ?? '/').replace(/\?.*$/s, '')
  const body = await readBody(request)
  const route = routeOf(method, path)
  const hasForm = method === 'POST' && route.action !== 'unknown'
  const { params, file } = hasForm ? await readForm(request, body) : noForm
  return {
    method,
    path,
    authorization: request.headers.authorization,
    params,
    file,
    ...route,
    publicId: route.publicId ?? params.get(route.action === 'rename' ? 'from_public_id' : 'public_id'),
    toPublicId: params.get('to_public_id'),
  }
}

interface Route {
  action: Action
  cloudName: string
  resourceType: string
  publicId?: string
}

const uploadActions = ['upload', 'rename', 'explicit', 'destroy'] as const

function routeOf(method: string, path: string): Route {
  const upload = /^\/v1_1\/([^/]+)\/(image|video|raw|auto)\/(\w+)$/.exec(path)
  const action = uploadActions.find((name) => name === upload?.[3])
  if (method === 'POST' && upload !== null && action !== undefined) {
    const [, cloudName = '', resourceType = ''] = upload
    return { action, cloudName, resourceType }
  }
  const resource = /^\/v1_1\/([^/]+)\/resources\/(image|video|raw)\/upload\/(.+)$/.exec(path)
  if (method === 'GET' && resource !== null) {
    const [, cloudName = '', resourceType = '', id = ''] = resource
    return { action: 'resource', cloudName, resourceType, publicId: decoded(id) }
  }
  // Cloudinary forbids folders named like a version, so this cannot be the beginning of an id.
  const delivery = /^\/([^/]+)\/(image|video|raw)\/upload\/(?:v\d+\/)?(.+)$/.exec(path)
  if ((method === 'GET' || method === 'HEAD') && delivery !== null) {
    const [, cloudName = '', resourceType = '', id = ''] = delivery
    return { action: 'deliver', cloudName, resourceType, publicId: decoded(id) }
  }
  return { action: 'unknown', cloudName: '', resourceType: '' }
}

function decoded(id: string): string {
  try {
    return decodeURIComponent(id)
  } catch {
    throw new Refusal(400, 'Invalid percent-encoding')
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    // What is too much is read to its end all the same: only then would the client look at the answer.
    if (bytes <= bodyBytesMax) chunks.push(chunk)
  }
  if (bytes > bodyBytesMax) {
    throw new Refusal(400, `File size too large. Got ${bytes}. Maximum is ${bodyBytesMax}.`)
  }
  return Buffer.concat(chunks)
}

interface Form {
  params: Params
  file: SentFile | undefined
}

const noForm: Form = { params: new Map(), file: undefined }

async function readForm(request: IncomingMessage, body: Buffer): Promise<Form> {
  const isPart = request.headers['content-range'] !== undefined
  if (isPart) throw new Refusal(400, 'The stand-in takes no uploads in parts')
  const form = await parsed(request.headers['content-type'] ?? '', body)
  const params = new Map<string, string>()
  let file: SentFile | undefined
  for (const [name, value] of form) {
    if (typeof value !== 'string') file = { bytes: Buffer.from(await value.arrayBuffer()), name: value.name }
    else if (name === 'file') file = { bytes: await fromDataUri(value), name: 'file' }
    else params.set(name, value)
  }
  return { params, file }
}

// The platform's own parser, for multipart and urlencoded bodies alike.
async function parsed(contentType: string, body: Buffer): Promise<FormData> {
  const [, boundary] = /boundary=([^;]*)/.exec(contentType) ?? []
  const longer = boundary === undefined ? body : withBoundary(body, boundary, unmistakable)
  const headers = { 'content-type': contentType.replace(/boundary=[^;]*/, `boundary=${unmistakable}`) }
  try {
    return await new Response(longer, { headers }).formData()
  } catch {
    throw new Refusal(400, 'Invalid form data')
  }
}

// The SDK's boundaries are random and can be two letters long, or none (one in half a million); the parser takes them also in
// the middle of a value.
const unmistakable = 'x-between-the-parts-of-a-form-x-4f1c9a7e'

// RFC 2046, section 5.1.1: a delimiter begins a line.
function withBoundary(body: Buffer, boundary: string, other: string): Buffer {
  const text = `\r\n${body.toString('latin1')}`
  return Buffer.from(text.replaceAll(`\r\n--${boundary}`, `\r\n--${other}`).slice(2), 'latin1')
}

// Cloudinary would fetch an http address as well. The stand-in opens no connection to anybody.
async function fromDataUri(uri: string): Promise<Buffer> {
  if (!uri.startsWith('data:')) throw new Refusal(400, 'The stand-in takes bytes or a data: URI only')
  try {
    return Buffer.from(await (await fetch(uri)).arrayBuffer())
  } catch {
    throw new Refusal(400, 'Invalid data: URI')
  }
}
