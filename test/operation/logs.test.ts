import { connect } from 'node:net'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { startCloudinary } from '../../src/dev/cloudinary/server.ts'
import { loggerOptions } from '../../src/plugins/request-log.ts'
import { databaseUri, dropDatabase } from '../support/database.ts'
import { startDatabaseProxy } from '../support/database-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { latch, picture, promotionOf } from '../support/media.ts'
import { type Person, tokenOf } from '../support/people.ts'
import { jwtSecret, type Service, startService } from '../support/service.ts'

type Line = Record<string, unknown>

/** The lines that tell of requests, oldest first. */
function requestLines({ logs }: Service): Line[] {
  return logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request')
}

t.test('each request is one line at info, with who, what and how long', async (t) => {
  const service = await startService(t)
  const [alice, bob] = [await service.person(), await service.person()]

  const sent = await alice.sends(bob, 'Hello there')
  const refused = await alice.sends(alice, 'to myself')
  const probed = await service.request('/health/live')

  const [first, second, third, ...rest] = requestLines(service)
  t.match(first, {
    level: 30,
    requestId: sent.headers.get('x-request-id'),
    method: 'POST',
    route: '/message/send/:userId',
    statusCode: 200,
    code: 'OK',
    senderId: alice.id.toHexString(),
    durationMs: Number,
    remoteAddress: '127.0.0.1',
  })
  t.ok(Number(first?.durationMs) > 0)
  t.match(second, { requestId: refused.body.requestId, statusCode: 400, code: 'MESSAGE_TO_SELF' })
  t.match(third, { requestId: probed.headers.get('x-request-id'), route: '/health/live', statusCode: 200 })
  t.equal(rest.length, 0)
})

t.test('a request whose client has left is logged with what became of it', async (t) => {
  const service = await startService(t)
  const [alice, bob] = [await service.person(), await service.person()]
  const publicId = alice.uploads('image')
  const hold = latch()
  service.storage.faults.on(
    promotionOf(publicId),
    { kind: 'hold', until: hold.until, when: 'before' },
    { times: 1 },
  )
  const promoting = service.storage.nextRequest(promotionOf(publicId))
  const body = JSON.stringify(picture(publicId))
  const head = [
    `POST /message/send/${bob.id.toHexString()} HTTP/1.1`,
    'Host: messages',
    `Authorization: Bearer ${alice.token}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ].join('\r\n')

  const client = connect(Number(new URL(service.url).port), '127.0.0.1')
  client.write(`${head}\r\n\r\n${body}`)
  await promoting
  client.destroy()
  await eventually(async () => (await openConnections(service)) === 0)
  hold.open()
  await eventually(() => requestLines(service).length > 0)

  t.match(requestLines(service), [{ statusCode: 200, code: 'OK', clientLeft: true }])
  t.equal((await alice.sentTo(bob)).length, 1)
})

function openConnections({ app }: Service): Promise<number> {
  return new Promise((resolve, reject) => {
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  })
}

t.test('a fault of the service is a warning', async (t) => {
  const service = await startService(t)
  const [alice, bob] = [await service.person(), await service.person()]

  await alice.sends(bob, picture(`temp/user_${alice.id.toHexString()}/nothing`))

  t.match(requestLines(service), [{ level: 40, statusCode: 500, code: 'MEDIA_PROMOTION_FAILED' }])
})

t.test('of errors, requests and responses the logger writes no text', async (t) => {
  const lines: string[] = []
  const logger = pino(loggerOptions, { write: (line: string) => void lines.push(line) })
  const cause = Object.assign(new TypeError('private cause'), { code: 'E_CAUSE' })

  logger.error({ err: new Error('private text', { cause }) })
  logger.error(Object.assign(new Error('private text'), { stack: undefined }))
  logger.error({ err: 'private text' }, 'a message')
  logger.info({ req: { id: 'an id', url: '/private' }, res: { headers: 'private' } })

  const [first, second, third, last] = lines.map((line) => JSON.parse(line))
  t.match(first, { err: { name: 'Error', cause: { name: 'TypeError', code: 'E_CAUSE' } }, msg: 'error' })
  t.match(first.err.at[0], /^at .*logs\.test\.ts/)
  t.strictSame([second.err, second.msg], [{ name: 'Error' }, 'error'])
  t.strictSame([third.err, third.msg], [{ name: 'string' }, 'a message'])
  t.strictSame([last.req, last.res], [{ id: 'an id' }, undefined])
  t.notMatch(lines.join(''), 'private')
})

t.test('TRUST_PROXY decides whose address is logged', async (t) => {
  const addressBehind = async (TRUST_PROXY: string): Promise<unknown> => {
    const service = await startService(t, { env: { TRUST_PROXY } })
    await service.request('/health/live', { headers: { 'x-forwarded-for': '203.0.113.7, 203.0.113.8' } })
    return requestLines(service)[0]?.remoteAddress
  }

  t.equal(await addressBehind(''), '127.0.0.1')
  t.equal(await addressBehind('192.0.2.1'), '127.0.0.1')
  t.equal(await addressBehind('loopback'), '203.0.113.8')
  t.equal(await addressBehind('127.0.0.0/8,203.0.113.8'), '203.0.113.7')
  t.equal(await addressBehind('true'), '203.0.113.7')
  t.equal(await addressBehind('1'), '203.0.113.8')
  t.equal(await addressBehind('2'), '203.0.113.7')
})

t.test('at trace, after answers of every kind, no line holds what nobody else may read', async (t) => {
  const storage = await startCloudinary({ apiKey: 'cloudinary-key', apiSecret: 'cloudinary-secret' })
  const mongodbUri = await databaseUri('_private')
  t.teardown(async () => {
    await storage.close()
    await dropDatabase(mongodbUri)
  })
  const proxy = await startDatabaseProxy(t, mongodbUri)
  const service = await startService(t, { storage, mongodbUri: proxy.uri, env: { RATE_LIMIT_MAX: '40' } })
  const [alice, bob] = [await service.person(), await service.person()]

  const codes = await receiveEveryKind(t, service, [alice, bob])
  proxy.freeze()
  codes.add((await alice.sends(bob, 'private content', { key: 'private-key' })).code)
  proxy.mend()

  t.strictSame([...codes].sort(), kinds)
  const log = service.logs.join('')
  const databaseHost = new URL(mongodbUri).host
  const secrets = [
    jwtSecret,
    'cloudinary-secret',
    'cloudinary-key',
    databaseHost,
    new URL(proxy.uri).host,
    'mongodb:',
  ]
  const contents = [
    'private content',
    'private-key',
    'private-field',
    'private-upload',
    'temp/user',
    'messages/user',
  ]
  const tokens = [
    alice.token,
    bob.token,
    ...alice.token.split('.'),
    'forged-token',
    'Bearer',
    'authorization',
  ]
  t.ok(service.logs.length > kinds.length)
  t.strictSame(
    [...secrets, ...contents, ...tokens].filter((each) => log.includes(each)),
    [],
  )
})

const kinds = [
  'BLOCKED_RELATIONSHIP',
  'BODY_TOO_LARGE',
  'DATABASE_UNAVAILABLE',
  'IDEMPOTENCY_KEY_REUSED',
  'INVALID_BODY',
  'INVALID_IDEMPOTENCY_KEY',
  'INVALID_JSON',
  'INVALID_MEDIA_REFERENCE',
  'INVALID_USER_ID',
  'MEDIA_ALREADY_USED',
  'MEDIA_PROMOTION_FAILED',
  'MESSAGE_TO_SELF',
  'METHOD_NOT_ALLOWED',
  'OK',
  'RECEIVER_NOT_FOUND',
  'ROUTE_NOT_FOUND',
  'TOKEN_EXPIRED',
  'TOKEN_INVALID',
  'TOKEN_MISSING',
  'UNSUPPORTED_MEDIA_TYPE',
]

/** One request of each kind that a client can bring about, each with something private in it. */
async function receiveEveryKind(
  t: Test,
  service: Service,
  [alice, bob]: [Person, Person],
): Promise<Set<string>> {
  const carol = await service.person()
  await carol.blocks(alice)
  const key = 'private-key'
  const content = 'private content'
  const upload = alice.uploads('image', 'private-upload')
  const claims = { sub: alice.id.toHexString(), deviceId: alice.deviceId.toHexString() }
  const path = `/message/send/${bob.id.toHexString()}?private-field=1`
  const headers = { authorization: `Bearer ${alice.token}`, 'content-type': 'application/json' }
  const post = (body: string, own: Record<string, string> = headers) =>
    service.request(path, { method: 'POST', headers: own, body })

  const answers = [
    await alice.sends(bob, content, { key }),
    await alice.sends(bob, content, { key }),
    await alice.sends(bob, `${content}, another`, { key }),
    await alice.sends(bob, picture(upload), { key: 'private-key-2' }),
    await alice.sends(bob, picture(upload)),
    await alice.sends(bob, picture(`temp/user_${alice.id.toHexString()}/private-upload-2`)),
    await alice.sends(bob, picture('temp/user_of_another/private-upload')),
    await alice.sends(bob, { content, type: 'text', 'private-field': content }),
    await alice.sends(bob, content, { key: 'private-key with spaces' }),
    await alice.sends(bob, content, { userId: 'private-field' }),
    await alice.sends(alice, content),
    await alice.sends(carol, content),
    await alice.sends({ id: alice.deviceId }, content),
    await alice.sends(bob, content, { token: 'forged-token' }),
    await alice.sends(bob, content, { token: tokenOf({ ...claims, exp: 1 }) }),
    await post(`{ "content": "${content}`),
    await post(content.repeat(5_000)),
    await post(content, { ...headers, 'content-type': 'text/private-field' }),
    await post(content, { 'content-type': 'application/json' }),
    await service.request(path, { method: 'PUT', headers }),
    await service.request('/private-field', { headers }),
  ]
  t.equal(answers[1]?.headers.get('idempotent-replayed'), 'true')
  return new Set(answers.map(({ code }) => code))
}
