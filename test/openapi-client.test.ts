import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import openapiTS, { astToString } from 'openapi-typescript'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { type RefusalCode, refusalCodes, refusals } from '../schemas/refusal.ts'
import { twistedFetch } from './support/client-fetch.ts'
import { startDatabaseProxy } from './support/database-proxy.ts'
import { eventually } from './support/eventually.ts'
import { latch, promotionOf } from './support/media.ts'
import { type Person, tokenOf } from './support/people.ts'
import { root, rootUrl } from './support/root.ts'
import { type Service, startService } from './support/service.ts'

// What the author of a client has is openapi.yaml and nothing else. From it types are made; by them these are written.

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

interface Read {
  id?: string
  sizes?: (number | null)[]
  kinds?: string[]
  code?: RefusalCode
  faults?: string[]
  repeated: string | null
  retryAfter: string | null
  status: number
}

interface Body {
  content: string
  type: string
  media?: { publicId: string }[]
}

interface Options {
  key?: string
  headers?: Record<string, string>
  /** Instead of the body. */
  text?: string
  fetch?: ReturnType<typeof twistedFetch>
}

interface GeneratedClient {
  send(baseUrl: string, token: string, userId: string, body: Body, options?: Options): Promise<Read>
  isLive(baseUrl: string, fetch?: Options['fetch']): Promise<boolean>
}

const run = promisify(execFile)
const types = astToString(await openapiTS(new URL('openapi.yaml', rootUrl)))
const hi: Body = { content: 'Hello there', type: 'text' }

const { client, complaints } = await generateClient(t)
const service = await startService(t)
const codesRead = new Set<RefusalCode>()

t.test('the client compiles as strictly as can be, and no mistake does', async (t) => {
  t.equal(complaints, '')
})

t.test('the types that the examples have are those of the document', async (t) => {
  const committed = await readFile(new URL('examples/openapi.d.ts', rootUrl), 'utf8')

  t.equal(
    withoutComments(committed),
    withoutComments(types),
    'npx openapi-typescript openapi.yaml -o examples/openapi.d.ts',
  )
})

t.test('it sends text and media, and repeats with a key', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  const to = bob.id.toHexString()
  const media = [{ publicId: alice.uploads('image') }, { publicId: alice.uploads('file') }]
  const look = { content: 'Look', type: 'image', media }

  const text = await client.send(service.url, alice.token, to, hi)
  const first = await client.send(service.url, alice.token, to, look, { key: 'k' })
  const repeat = await client.send(service.url, alice.token, to, look, { key: 'k' })

  const ids = (await alice.sentTo(bob)).map(({ _id }) => _id.toHexString())
  t.strictSame([text.id, first.id], ids)
  t.match(first, { sizes: [60, null], kinds: ['image', 'file'], repeated: null, status: 200 })
  t.match(repeat, { ...first, repeated: 'true' })
  t.ok(await client.isLive(service.url))
})

t.test('it reads by its code what is wrong with a request', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  const ask = asking(alice, bob)

  await reads(t, {
    INVALID_USER_ID: ask({ to: 'x' }),
    INVALID_JSON: ask({ text: '{' }),
    INVALID_BODY: ask({ body: { content: '', type: 'text' } }),
    INVALID_IDEMPOTENCY_KEY: ask({ key: 'with a space' }),
    MALFORMED_REQUEST: ask({ twist: { headers: ['host', 'another'] } }),
    TOKEN_MISSING: ask({ headers: { authorization: 'Basic b2xkOm9sZA==' } }),
    TOKEN_INVALID: ask({ token: 'no token' }),
    ROUTE_NOT_FOUND: ask({ url: `${service.url}/v2` }),
    METHOD_NOT_ALLOWED: ask({ twist: { method: 'PUT' } }),
    REQUEST_TIMEOUT: ask({ twist: { endless: true } }),
    BODY_TOO_LARGE: ask({ body: { ...hi, content: 'x'.repeat(70_000) } }),
    UNSUPPORTED_MEDIA_TYPE: ask({ headers: { 'content-type': 'text/plain' } }),
    EXPECTATION_FAILED: ask({ twist: { headers: ['expect', 'wonders'] } }),
    HEADERS_TOO_LARGE: ask({ headers: { 'x-large': 'x'.repeat(20_000) } }),
  })
  t.match(await ask({ body: { content: '', type: 'text' } }), { faults: ['/content'] })
})

t.test('it reads by its code what is wrong with the people', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  const [suspended, inactive] = [
    await service.person({ status: 'suspended' }),
    await service.person({ status: 'inactive' }),
  ]
  const untrusted = await service.person({ trusted: false })
  const blocked = await service.person()
  await bob.blocks(blocked)
  const ask = asking(alice, bob)
  const claims = { sub: alice.id.toHexString(), deviceId: alice.deviceId.toHexString() }

  await reads(t, {
    TOKEN_EXPIRED: ask({ token: tokenOf({ ...claims, exp: 1 }) }),
    ACCOUNT_SUSPENDED: ask({ token: suspended.token }),
    ACCOUNT_INACTIVE: ask({ token: inactive.token }),
    DEVICE_NOT_TRUSTED: ask({ token: untrusted.token }),
    MESSAGE_TO_SELF: ask({ to: alice.id.toHexString() }),
    RECEIVER_NOT_FOUND: ask({ to: '0123456789abcdef01234567' }),
    BLOCKED_RELATIONSHIP: ask({ token: blocked.token }),
  })
})

t.test('it reads by its code what is wrong with media and keys', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  const ask = asking(alice, bob)
  const look = (publicId: string): Body => ({ content: 'Look', type: 'image', media: [{ publicId }] })
  const [used, held] = [alice.uploads('image'), alice.uploads('image')]
  const { until, open } = latch()
  service.storage.faults.on(promotionOf(held), { kind: 'hold', until, when: 'before' }, { times: 1 })
  const renaming = service.storage.nextRequest(promotionOf(held))
  await ask({ body: look(used), key: 'k' })
  const first = ask({ body: look(held) })
  await renaming

  await reads(t, {
    INVALID_MEDIA_REFERENCE: ask({ body: look('temp/nobody/x') }),
    MEDIA_ALREADY_USED: ask({ body: look(used) }),
    MEDIA_PROMOTION_FAILED: ask({ body: look(`temp/user_${alice.id.toHexString()}/never-uploaded`) }),
    REQUEST_IN_PROGRESS: ask({ body: look(held) }),
    IDEMPOTENCY_KEY_REUSED: ask({ key: 'k' }),
  })
  open()
  t.equal((await first).status, 200)
  t.match(await ask({ body: look(used) }), { faults: ['/media/0'] })
})

t.test('it reads by its code what is wrong with the service, and when to come back', async (t) => {
  const limited = await startService(t, { env: { RATE_LIMIT_MAX: '1' } })
  const keyless = await startService(t, { env: { JWT_SECRET: '', JWT_JWKS_URL: 'http://127.0.0.1:1/keys' } })
  const database = await startDatabaseProxy(t, service.mongodbUri)
  const away = await startService(t, { mongodbUri: database.uri, env: { RATE_LIMIT_MAX: '0' } })
  const stopping = await startService(t)
  const hasMet = asking(await limited.person(), await limited.person(), limited.url)
  await hasMet({})
  const ask = asking(await service.person(), await service.person())
  const unknownKey = `${base64url({ alg: 'ES256', kid: 'k' })}.${base64url({})}.${'A'.repeat(86)}`
  const withMedia = { ...hi, media: [{ publicId: `temp/user_${'0'.repeat(24)}/x` }] }
  database.freeze()

  const answers = await reads(t, {
    RATE_LIMITED: hasMet({}),
    TOKEN_KEYS_UNAVAILABLE: ask({ url: keyless.url, token: unknownKey }),
    OVERLOADED: whileFull(away, () => ask({ url: away.url, body: withMedia })),
    DATABASE_UNAVAILABLE: ask({ url: away.url }),
    SHUTTING_DOWN: whileStopping(t, stopping),
  })
  t.strictSame(
    answers.filter(({ retryAfter }) => !/^[1-9]\d*$/.test(retryAfter ?? '')),
    [],
  )
  database.mend()
})

t.test('no code that a client can provoke is left out', async (t) => {
  // A defect is none that can be provoked.
  t.strictSame(
    refusalCodes.filter((code) => !codesRead.has(code)),
    ['INTERNAL_ERROR'],
  )
})

/** Under each code a request that is answered with it, and with the status that belongs to it. */
async function reads(t: Test, asked: Partial<Record<RefusalCode, Promise<Read>>>): Promise<Read[]> {
  const codes = Object.keys(asked) as RefusalCode[]
  const answers = await Promise.all(Object.values(asked))
  t.strictSame(
    answers.map(({ status, code }) => `${status} ${code}`),
    codes.map((code) => `${refusals[code].status} ${code}`),
  )
  for (const { code } of answers) if (code) codesRead.add(code)
  return answers
}

interface Asked extends Omit<Options, 'fetch'> {
  body?: Body
  to?: string
  token?: string
  url?: string
  twist?: Parameters<typeof twistedFetch>[0]
}

/** A right request by the generated client, but for what is told. */
function asking(from: Person, receiver: Person, serviceUrl: string = service.url) {
  return ({ body = hi, to, token, url, twist, ...options }: Asked): Promise<Read> =>
    client.send(url ?? serviceUrl, token ?? from.token, to ?? receiver.id.toHexString(), body, {
      ...options,
      ...(twist ? { fetch: twistedFetch(twist) } : {}),
    })
}

/**
 * Requests with media that wait for a database that does not answer, until there is no room for another; who gives up makes
 * room, and asks again. Gives what the client is answered with meanwhile.
 */
async function whileFull({ app }: Service, ask: () => Promise<Read>): Promise<Read> {
  const [sub, deviceId] = ['0'.repeat(24), '1'.repeat(24)]
  const headers = { authorization: `Bearer ${tokenOf({ sub, deviceId })}` }
  const payload = { ...hi, media: [{ publicId: `temp/user_${sub}/x` }] }
  const url = `/message/send/${'2'.repeat(24)}`
  const { until: isFull, open: full } = latch()
  let isOver = false
  const fill = async (): Promise<void> => {
    const { code } = (await app.inject({ method: 'POST', url, headers, payload })).json()
    if (code === 'OVERLOADED') full()
    else if (!isOver) await fill()
  }
  const filling = Promise.all(Array.from({ length: 2_100 }, fill))
  await isFull

  // Whoever finds room waits; whoever does not is answered at once.
  const firstOf = (count: number): Promise<Read> => Promise.race(Array.from({ length: count }, ask))
  let answer = await firstOf(20)
  const isRefused = async (): Promise<boolean> => {
    if (answer.code !== 'OVERLOADED') answer = await firstOf(20)
    return answer.code === 'OVERLOADED'
  }
  await eventually(isRefused, 30_000)
  isOver = true
  await filling
  return answer
}

/** Asks on connections that are open before the stop until one is refused, while a message keeps the stop from its end. */
async function whileStopping(t: Test, stopping: Service): Promise<Read> {
  const [alice, bob] = [await stopping.person(), await stopping.person()]
  const publicId = alice.uploads('image')
  const { until, open } = latch()
  stopping.storage.faults.on(promotionOf(publicId), { kind: 'hold', until, when: 'before' })
  const renaming = stopping.storage.nextRequest(promotionOf(publicId))
  const agent = new Agent({ keepAlive: true, maxSockets: 40 })
  t.teardown(() => agent.destroy())
  const fetch = twistedFetch({ agent })
  await Promise.all(Array.from({ length: 40 }, () => client.isLive(stopping.url, fetch)))
  const held = alice.sends(bob, { ...hi, media: [{ publicId }] })
  await renaming
  const closed = stopping.app.close()

  const ask = (): Promise<Read> => asking(alice, bob, stopping.url)({ twist: { agent } })
  let answer = await ask()
  const isRefused = async (): Promise<boolean> => {
    answer = await ask()
    return answer.status !== 200
  }
  await eventually(isRefused, 4_000, 120)
  open()
  await Promise.all([held, closed])
  return answer
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** As its author would: types from the document, the compiler with every check. */
async function generateClient(t: Test): Promise<{ client: GeneratedClient; complaints: string }> {
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
  const compiled: { stdout: string } = await run(process.execPath, [tsc, ...options, ...files]).catch(
    (error) => error,
  )
  const client: GeneratedClient = await import(pathToFileURL(join(folder, 'client.js')).href)
  return { client, complaints: compiled.stdout }
}

function withoutComments(text: string): string {
  const source = ts.createSourceFile('api.ts', text, ts.ScriptTarget.Latest)
  return ts.createPrinter({ removeComments: true }).printFile(source)
}
