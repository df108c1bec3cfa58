import { readFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { type RefusalCode, refusalCodes, refusals } from '../../schemas/refusal.ts'
import { twistedFetch } from '../support/client/fetch.ts'
import { type Body, generateClient, type Options, type Read } from '../support/client/generated.ts'
import { startDatabaseProxy } from '../support/database-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { latch, promotionOf } from '../support/media.ts'
import { type Person, tokenOf } from '../support/people.ts'
import { rootUrl } from '../support/root.ts'
import { type Service, startService } from '../support/service.ts'

// What the author of a client has is openapi.yaml and nothing else. From it types are made; by them these are written.

const hi: Body = { content: 'Hello there', type: 'text' }

const { client, types, complaints } = await generateClient(t)
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

function withoutComments(text: string): string {
  const source = ts.createSourceFile('api.ts', text, ts.ScriptTarget.Latest)
  return ts.createPrinter({ removeComments: true }).printFile(source)
}
