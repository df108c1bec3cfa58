import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type ClientRequest, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { picture } from '../support/media.ts'
import { type Answer, tokenOf } from '../support/people.ts'
import { jwtSecret, startService } from '../support/service.ts'
import { claimsOf, hmac, jws, keyPair } from '../support/tokens.ts'
import { createWire, each, json, outcomes } from '../support/wire.ts'

// Promises of SECURITY.md that belong to no chapter of their own.

const service = await startService(t)
const wire = createWire(t, service)
const { storage, mongodbUri } = service
const [alice, bob] = [await service.person(), await service.person()]
const own = `temp/user_${alice.id.toHexString()}/`

t.test('no refusal and no metric repeats what was sent, or says where anything is kept', async (t) => {
  const carol = await service.person()
  await carol.blocks(alice)
  const content = 'private content'
  const key = 'private-key'
  const used = alice.uploads('image', 'private-used')
  const expired = tokenOf({ ...claimsOf(alice), exp: 1 })
  const stored = [
    await alice.sends(bob, content, { key }),
    await alice.sends(bob, { ...picture(used), content }),
  ]

  const refusals = [
    await alice.sends(bob, `${content}!`, { key }),
    await alice.sends(bob, { ...picture(used), content }),
    await alice.sends(bob, { ...picture(`${own}private-missing`), content }),
    await alice.sends(bob, { ...picture('temp/private-other'), content }),
    await alice.sends(bob, { content, type: content }),
    await alice.sends(bob, { content, type: 'text', media: content }),
    await alice.sends(bob, content, { key: `${key} with a space` }),
    await alice.sends(bob, content, { userId: 'private-receiver' }),
    await alice.sends(carol, content),
    await alice.sends(alice, content),
    await alice.sends({ id: alice.deviceId }, content),
    await alice.sends(bob, content, { token: expired }),
    await alice.sends(bob, content, { token: `${alice.token}x` }),
    await wire.post(alice, bob.id.toHexString(), `{"content":"${content}`),
    await wire.post(alice, bob.id.toHexString(), content, { 'content-type': 'text/private-type' }),
    await service.request('/private-path?private-query'),
  ]
  const metrics = await (await fetch(`${service.url}/metrics`)).text()

  const said = refusals.map(({ body, headers }) => JSON.stringify([body, [...headers]])).join('') + metrics
  const { host } = new URL(mongodbUri)
  const secrets = [
    jwtSecret,
    host,
    'mongodb:',
    'cloudinary:',
    storage.baseUrl,
    alice.token,
    expired,
    'private-',
  ]
  const people = [alice, bob, carol].flatMap(({ id, deviceId }) => [id.toHexString(), deviceId.toHexString()])
  t.strictSame(
    stored.map(({ code }) => code),
    ['OK', 'OK'],
  )
  t.equal(refusals.filter(({ status }) => status >= 400).length, refusals.length)
  t.match(metrics, 'messages_send_total')
  t.equal((await alice.sentTo(bob)).length, stored.length)
  t.strictSame(
    [...secrets, content, ...people].filter((each) => said.includes(each)),
    [],
  )
})

t.test('a token cannot bring its key, or say where to fetch it', async (t) => {
  const [configured, foreign] = [await address(t), await address(t)]
  const env = { JWT_SECRET: '', JWT_JWKS_URL: configured.url }
  const byAddress = createWire(t, await startService(t, { env, mongodbUri }))
  const key = keyPair('RS256')
  const jwk = { ...key.publicKey.export({ format: 'jwk' }), alg: 'RS256', kid: 'x' }
  const claims = claimsOf(alice)
  const rsa = { alg: 'RS256', kid: 'x' }
  const sends = (to: typeof wire, token: string): Promise<Answer> =>
    to.post(alice, alice.id.toHexString(), json, { authorization: `Bearer ${token}` })
  foreign.body = JSON.stringify({ keys: [jwk] })

  const answers = await outcomes({
    jwk: sends(byAddress, jws({ ...rsa, jwk }, claims, key.signer)),
    jku: sends(byAddress, jws({ ...rsa, jku: foreign.url }, claims, key.signer)),
    x5u: sends(byAddress, jws({ ...rsa, x5u: foreign.url }, claims, key.signer)),
    'a kid that is an address': sends(byAddress, jws({ ...rsa, kid: foreign.url }, claims, key.signer)),
    'a kid that is a path': sends(byAddress, jws({ ...rsa, kid: '../../dev/null' }, claims, key.signer)),
    'jwk, where a secret is configured': sends(wire, jws({ ...rsa, jwk }, claims, key.signer)),
    'jku, where a secret is configured': sends(
      wire,
      jws({ alg: 'HS256', jku: foreign.url }, claims, hmac('')),
    ),
  })

  t.same(answers, each(answers, '401 TOKEN_INVALID'))
  t.equal(foreign.looks, 0)
  t.ok(configured.looks > 0)
})

/** An address that counts who looks. */
async function address(t: Test): Promise<{ url: string; looks: number; body: string }> {
  const server = createServer((_request, response) => {
    counted.looks += 1
    response.end(counted.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const counted = { url: `http://127.0.0.1:${port}/keys`, looks: 0, body: '{"keys":[]}' }
  return counted
}

t.test('an operator of the database is a text like any other', async (t) => {
  const dave = await service.person()
  const keys = ['k', '{"$ne":null}', '{"$gt":""}', '$idempotency.key', '$$NOW', '$where', 'k\\u0000', '.*']
  const contents = ['{"$gt":""}', '$$ROOT', 'this.constructor']
  const names = ['$state', '$$ROOT', '{"$ne":1}']

  const keyed: Answer[] = []
  for (const key of keys) keyed.push(await dave.sends(bob, 'Hello', { key }))
  const plain = await Promise.all(contents.map((content) => dave.sends(bob, content)))
  const media = await Promise.all(names.map((name) => dave.sends(bob, picture(dave.uploads('image', name)))))
  const objects = await outcomes({
    content: dave.sends(bob, { content: { $gt: '' }, type: 'text' }),
    type: dave.sends(bob, { content: 'x', type: { $in: ['text'] } }),
    publicId: dave.sends(bob, { content: 'x', type: 'text', media: [{ publicId: { $regex: '.' } }] }),
    receiver: dave.sends(bob, 'x', { userId: '{"$ne":null}' }),
    sub: dave.sends(bob, 'x', { token: tokenOf({ ...claimsOf(dave), sub: { $ne: null } }) }),
    deviceId: dave.sends(bob, 'x', { token: tokenOf({ ...claimsOf(dave), deviceId: { $ne: null } }) }),
  })

  const answers = [...keyed, ...plain, ...media]
  t.strictSame(
    answers.map(({ code }) => code),
    answers.map(() => 'OK'),
  )
  t.notOk(keyed.some(({ headers }) => headers.has('idempotent-replayed')))
  t.strictSame(
    plain.map(({ body }) => body.data.content),
    contents,
  )
  t.strictSame(Object.values(objects), [
    '400 INVALID_BODY',
    '400 INVALID_BODY',
    '400 INVALID_BODY',
    '400 INVALID_USER_ID',
    '401 TOKEN_INVALID',
    '401 TOKEN_INVALID',
  ])
  t.equal((await dave.sentTo(bob)).length, answers.length)
})

t.test('a body cannot say who sends, or anything else that is not the sender’s to say', async (t) => {
  const fields = [
    ...['_id', 'senderId', 'conversationId', 'participants', 'receiverId', 'deliveredTo', 'seenBy'],
    ...['isDeleted', 'createdAt', 'updatedAt', 'idempotency', 'deadline', 'key', 'url', 'assetId'],
  ]
  const item = (field: string) => ({ publicId: `${own}x`, [field]: 'x' })

  const answers = await Promise.all([
    ...fields.map((field) => alice.sends(bob, { content: 'x', type: 'text', [field]: bob.id.toHexString() })),
    ...fields.map((field) => alice.sends(bob, { content: 'x', type: 'text', media: [item(field)] })),
  ])

  const paths = [...fields.map((field) => `/${field}`), ...fields.map((field) => `/media/0/${field}`)]
  t.strictSame(
    answers.map(({ code }) => code),
    paths.map(() => 'INVALID_BODY'),
  )
  t.strictSame(
    answers.map(({ body }) => body.errors?.map(({ path }) => path)),
    paths.map((path) => [path]),
  )
})

t.test('no request gives all objects a property', async (t) => {
  const before = Object.getOwnPropertyNames(Object.prototype)
  const polluted = [
    '{"__proto__":{"polluted":1},"content":"x","type":"text"}',
    '{"content":"x","type":"text","media":[{"publicId":"x","__proto__":{"polluted":1}}]}',
    '{"constructor":{"prototype":{"polluted":1}},"content":"x","type":"text"}',
    '{"content":"x","type":"text","media":{"__proto__":{"polluted":1}}}',
  ]

  const bodies = await Promise.all(polluted.map((body) => wire.post(alice, bob.id.toHexString(), body)))
  const query = await wire.ask({ path: `/message/send/${bob.id.toHexString()}?__proto__[polluted]=1` })
  const claims = jws(
    { alg: 'HS256' },
    '{"__proto__":{"polluted":1},"sub":"x","exp":9999999999}',
    hmac(jwtSecret),
  )
  const token = await alice.sends(bob, 'x', { token: claims })

  t.strictSame(
    bodies.map(({ code }) => code),
    polluted.map(() => 'INVALID_JSON'),
  )
  t.strictSame([query.code, token.code], ['TOKEN_MISSING', 'TOKEN_INVALID'])
  t.strictSame(Object.getOwnPropertyNames(Object.prototype), before)
  t.notOk('polluted' in {})
})

t.test('of an upload’s name no letter gets into an address at the storage', async (t) => {
  const names = [
    'a b',
    ';x',
    'a:b@c',
    "a'b",
    '*',
    'http:a',
    '@localhost',
    'rename',
    'a=b,c',
    '..x',
    '{x}',
    '😀',
  ]
  const ids = names.map((name) => alice.uploads('file', name))
  const asked: string[] = []
  const onRequest = (message: unknown): void => {
    const { request } = message as { request: ClientRequest }
    asked.push(`${request.protocol}//${request.getHeader('host')}${request.path}`)
  }
  subscribe('http.client.request.start', onRequest)
  t.teardown(() => unsubscribe('http.client.request.start', onRequest))

  const answers = await Promise.all(ids.map((id) => alice.sends(bob, { ...picture(id), type: 'file' })))

  t.strictSame(
    answers.map(({ code }) => code),
    names.map(() => 'OK'),
  )
  t.equal(asked.length, names.length)
  t.strictSame([...new Set(asked)], [`${storage.baseUrl}/v1_1/demo/raw/rename`])
})

t.test('no answer sends a client to another origin', async (t) => {
  const paths = [
    '//evil.example',
    '//evil.example/%2e%2e',
    '/\\evil.example',
    '/%5cevil.example/',
    '/docs',
    '/docs/',
    '/docs//evil.example/..',
    '/docs/%2f%2fevil.example',
    '/docs/static/..%2f..%2fpackage.json',
    '/docs/static/%2e%2e/%2e%2e/package.json',
    '/health/live//evil.example',
    '/message/send/?url=https://evil.example&redirect=//evil.example',
  ]
  const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }

  const answers = await Promise.all(paths.map((path) => raw(path, headers)))

  const locations = answers.map(({ location }) => location)
  t.strictSame(
    locations.filter((to) => to !== undefined && !/^(?:\.\/|\/docs\/)[\w./]*$/.test(to)),
    [],
  )
  t.notMatch(answers.map(({ body }) => body).join(''), /evil\.example|"devDependencies"/)
  t.equal(answers.length, paths.length)
})

t.test('a page of another origin can neither send nor read', async (t) => {
  const path = `/message/send/${bob.id.toHexString()}`
  const origin = { origin: 'https://evil.example' }
  const preflight = { ...origin, 'access-control-request-method': 'POST' }

  const answers = [
    await raw(path, preflight, 'OPTIONS'),
    await raw(
      path,
      { ...origin, 'content-type': 'text/plain', authorization: `Bearer ${alice.token}` },
      'POST',
    ),
    await raw('/health/live', origin),
    await raw('/docs/', origin),
    await raw('/metrics', origin),
  ]

  t.strictSame(
    answers.map(({ status }) => status),
    [405, 415, 200, 200, 200],
  )
  t.strictSame(
    answers.flatMap(({ names }) =>
      names.filter((name) => /^(?:access-control-|set-cookie|server$|x-powered-by)/.test(name)),
    ),
    [],
  )
})

t.test('the page of the interface loads and calls the service alone, and stands in no frame', async (t) => {
  const { status, policy, body } = await raw('/docs/')

  const directives = Object.fromEntries(policy.split(';').map((each) => each.trim().split(/ (.*)/, 2)))
  t.equal(status, 200)
  t.match(directives, {
    'default-src': "'none'",
    'script-src': "'self'",
    'connect-src': "'self'",
    'frame-ancestors': "'none'",
    'form-action': "'none'",
    'base-uri': "'none'",
  })
  t.notMatch(policy, /unsafe-eval|\*|https?:/)
  t.notMatch(body, /(?:src|href)="(?:https?:)?\/\//)
})

/** Of an answer that need not be JSON. */
async function raw(
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; location: string | undefined; names: string[]; policy: string; body: string }> {
  const { app } = service
  const answer = await app.inject({ method: method as 'GET', url: path, headers })
  const { location, 'content-security-policy': policy } = answer.headers
  return {
    status: answer.statusCode,
    location,
    names: Object.keys(answer.headers),
    policy: String(policy ?? ''),
    body: answer.body,
  }
}
