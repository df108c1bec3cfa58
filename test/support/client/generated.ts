import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import openapiTS, { astToString } from 'openapi-typescript'
import type { Test } from 'tap'
import type { RefusalCode } from '../../../schemas/refusal.ts'
import { root, rootUrl } from '../root.ts'
import type { twistedFetch } from './fetch.ts'

export interface Read {
  id?: string
  sizes?: (number | null)[]
  kinds?: string[]
  code?: RefusalCode
  faults?: string[]
  repeated: string | null
  retryAfter: string | null
  status: number
}

export interface Body {
  content: string
  type: string
  media?: { publicId: string }[]
}

export interface Options {
  key?: string
  headers?: Record<string, string>
  /** Instead of the body. */
  text?: string
  fetch?: ReturnType<typeof twistedFetch>
}

export interface GeneratedClient {
  send(baseUrl: string, token: string, userId: string, body: Body, options?: Options): Promise<Read>
  isLive(baseUrl: string, fetch?: Options['fetch']): Promise<boolean>
}

/** As its author would: types from the document, the compiler with every check. */
export async function generateClient(
  t: Test,
): Promise<{ client: GeneratedClient; types: string; complaints: string }> {
  const types = astToString(await openapiTS(new URL('openapi.yaml', rootUrl)))
  // Below the project's folder, so that the packages are found from it.
  const folder = t.testdir({
    'client.ts': clientProgram,
    'mistakes.ts': mistakes,
    'api.ts': types,
    'package.json': '{ "type": "module" }',
  })
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const files = [join(folder, 'client.ts'), join(folder, 'mistakes.ts')]
  const strict = ['--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes', '--skipLibCheck']
  const options = [...strict, '--module', 'nodenext', '--target', 'es2023', '--types', 'node']
  const compiled: { stdout: string } = await promisify(execFile)(process.execPath, [
    tsc,
    ...options,
    ...files,
  ]).catch((error) => error)
  const client: GeneratedClient = await import(pathToFileURL(join(folder, 'client.js')).href)
  return { client, types, complaints: compiled.stdout }
}

/** Each name is of the document: one that is not there does not compile. */
const clientProgram = `
import createClient, { type ClientOptions } from 'openapi-fetch'
import type { components, paths } from './api.js'

export type Body = components['schemas']['SendMessageBody']
type Code = components['schemas']['Refusal']['code']

export interface Options extends ClientOptions {
  key?: string
  headers?: Record<string, string>
  text?: string
}

export async function send(baseUrl: string, token: string, userId: string, body: Body, options: Options = {}) {
  const { key, headers, text, ...others } = options
  const client = createClient<paths>({ baseUrl, headers: { authorization: 'Bearer ' + token }, ...others })
  const { data, error, response } = await client.POST('/message/send/{userId}', {
    params: { path: { userId }, header: key === undefined ? {} : { 'Idempotency-Key': key } },
    body,
    ...(headers ? { headers } : {}),
    ...(text === undefined ? {} : { bodySerializer: () => text }),
  })
  const message: components['schemas']['Message'] | undefined = data?.data
  const sizes: (number | null)[] | undefined = message?.media.map(({ width }) => width)
  const kinds: ('image' | 'video' | 'file')[] | undefined = message?.media.map(({ type }) => type)
  const code: Code | undefined = error?.code
  const faults: string[] | undefined = error?.errors?.map(({ path }) => path)
  const repeated = response.headers.get('Idempotent-Replayed')
  const retryAfter = response.headers.get('Retry-After')
  return { id: message?._id, sizes, kinds, code, faults, repeated, retryAfter, status: response.status }
}

export async function isLive(baseUrl: string, fetch: ClientOptions['fetch'] = globalThis.fetch): Promise<boolean> {
  const client = createClient<paths>({ baseUrl, fetch })
  const status: 'ok' | undefined = (await client.GET('/health/live')).data?.status
  return status === 'ok'
}
`

/** Every other line is a mistake: the compiler has to find each, and would complain of a mark without one. */
const mistakes = `
import createClient from 'openapi-fetch'
import type { components, paths } from './api.js'

type Body = components['schemas']['SendMessageBody']
const client = createClient<paths>({ baseUrl: '' })
const params = { path: { userId: '' } }
const text = 'text' as const
// @ts-expect-error: content is required
client.POST('/message/send/{userId}', { params, body: { type: text } })
// @ts-expect-error: type is required
client.POST('/message/send/{userId}', { params, body: { content: '' } })
// @ts-expect-error: another type
client.POST('/message/send/{userId}', { params, body: { content: '', type: 'audio' } })
// @ts-expect-error: content is a string
client.POST('/message/send/{userId}', { params, body: { content: 42, type: text } })
// @ts-expect-error: an unknown field, which the compiler finds where the body's type is named
export const coloured: Body = { content: '', type: text, colour: 'red' }
// @ts-expect-error: media have a publicId
client.POST('/message/send/{userId}', { params, body: { content: '', type: text, media: [{ id: '' }] } })
// @ts-expect-error: an unknown field of a media item
export const withUrl: Body = { content: '', type: text, media: [{ publicId: '', url: '' }] }
// @ts-expect-error: there is a body
client.POST('/message/send/{userId}', { params })
// @ts-expect-error: there is a receiver
client.POST('/message/send/{userId}', { body: { content: '', type: text } })
// @ts-expect-error: there is no such path
client.POST('/message/send', { params, body: { content: '', type: text } })
// @ts-expect-error: there is no such method
client.GET('/message/send/{userId}', { params })

export async function read() {
  const { data, error } = await client.POST('/message/send/{userId}', { params, body: { content: '', type: text } })
  // @ts-expect-error: a refusal has no message
  data._id
  // @ts-expect-error: a file has no height
  const height: number | undefined = data?.data.media[0]?.height
  // @ts-expect-error: there is no such code
  return error?.code === 'NO_SUCH_CODE' ? height : undefined
}
`
