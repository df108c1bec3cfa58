import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import { httpOptions } from '../../src/plugins/http.ts'
import refusals from '../../src/plugins/refusals.ts'
import { eventually } from '../support/eventually.ts'
import { startService } from '../support/service.ts'
import { createWire, json, talking } from '../support/wire.ts'

const service = await startService(t)
const wire = createWire(t, service)
const [alice, bob] = [await service.person(), await service.person()]
const path = `/message/send/${bob.id.toHexString()}`

const { bytes, talk, talks } = talking(wire, { path, token: alice.token })

t.test(
  'a client that reads nothing before its 5 MB are sent gets its answer, and the next one',
  async (t) => {
    const size = 5_000_000
    const chunks = `${size.toString(16)}\r\n${' '.repeat(size)}\r\n0\r\n\r\n`
    const [length, chunked] = [[`Content-Length: ${size}`], ['Transfer-Encoding: chunked']]
    const next = 'GET /x HTTP/1.1\r\nHost: service\r\n\r\n'
    const late = { answers: 2, readsLate: true }

    const large = await talk(bytes({ length, body: ' '.repeat(size) }) + next, late)
    const largeInChunks = await talk(bytes({ length: chunked, body: chunks }) + next, late)
    const noToken = await talk(bytes({ token: 'x', length, body: ' '.repeat(size) }) + next, late)

    t.equal(large, '413 BODY_TOO_LARGE, 404 ROUTE_NOT_FOUND, open')
    t.equal(largeInChunks, '413 BODY_TOO_LARGE, 404 ROUTE_NOT_FOUND, open')
    t.equal(noToken, '401 TOKEN_INVALID, 404 ROUTE_NOT_FOUND, open')
  },
)

t.test('a request that arrived whole keeps its answer, whatever comes behind it', async (t) => {
  const whole = bytes()

  const answers = await talks({
    garbage: `${whole}garbage\r\n\r\n`,
    'two, and garbage': `${whole}${whole}garbage\r\n\r\n`,
    CONNECT: `${whole}CONNECT service:80 HTTP/1.1\r\nHost: service\r\n\r\n`,
    'a body longer than its length': bytes({ body: `${json}}` }),
  })

  t.same(answers, {
    garbage: '200 OK, 400 MALFORMED_REQUEST, closed',
    'two, and garbage': '200 OK, 200 OK, 400 MALFORMED_REQUEST, closed',
    CONNECT: '200 OK, 400 MALFORMED_REQUEST, closed',
    'a body longer than its length': '200 OK, 400 MALFORMED_REQUEST, closed',
  })
  t.equal((await alice.sentTo(bob)).length, 5)
})

t.test('a client that goes away in the middle of its body is no defect', async (t) => {
  const logged = service.logs.length
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1')
  socket.write(bytes({ body: json.slice(1) }))
  await once(service.app.server, 'request')

  socket.destroy()

  const log = (): string => service.logs.slice(logged).join('')
  await eventually(() => log().includes('"code":"MALFORMED_REQUEST"'))
  t.notMatch(log(), 'defect')
})

t.test('a defect is answered without a word of its cause', async (t) => {
  const app = Fastify(httpOptions)
  t.teardown(() => app.close())
  await app.register(refusals)
  app.get('/defect', () => {
    throw new Error('mongodb://user:password@host', { cause: 'a query' })
  })

  const answer = await app.inject('/defect')

  const { code, requestId, ...rest } = answer.json()
  t.equal(answer.statusCode, 500)
  t.equal(code, 'INTERNAL_ERROR')
  t.equal(requestId, answer.headers['x-request-id'])
  t.same(Object.keys(rest), ['success', 'message', 'timestamp'])
  t.notMatch(answer.body, /mongodb|query/)
})

t.test('a reset after CONNECT, or after garbage, leaves the service running', async (t) => {
  const resetAfter = async (sent: string): Promise<void> => {
    const { client, theirs } = await halfOpen(sent)
    await once(client, 'data')
    client.resetAndDestroy()
    await closeOf(theirs)
  }

  await resetAfter('CONNECT service:80 HTTP/1.1\r\nHost: service\r\n\r\n')
  await resetAfter('garbage\r\n\r\n')

  t.equal((await wire.ask({ method: 'GET', path: '/health/live' })).status, 200)
})

t.test('a reset after CONNECT, while an answer is due, leaves the service running', async (t) => {
  const { client, theirs } = await halfOpen(`${bytes()}CONNECT service:80 HTTP/1.1\r\nHost: service\r\n\r\n`)
  await once(service.app.server, 'connect')

  client.resetAndDestroy()

  await closeOf(theirs)
  t.equal((await wire.ask({ method: 'GET', path: '/health/live' })).status, 200)
})

t.test('who is slow is answered and cut off', { timeout: 20_000 }, async (t) => {
  const body = '{"content":'
  const [drip, hanging] = [
    await halfOpen('garbage\r\n\r\n'),
    await halfOpen('CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'),
  ]
  const dripping = setInterval(() => drip.client.write('x'), 100)

  const [slowHeaders, slowBody, answered] = await Promise.all([
    talk(`POST ${path} HTTP/1.1\r\nHost:`),
    talk(bytes({ body })),
    talk(bytes({ token: 'x', body })),
    ...[drip, hanging].map(({ theirs }) => closeOf(theirs)),
  ])
  clearInterval(dripping)

  t.equal(slowHeaders, '408 REQUEST_TIMEOUT, closed')
  t.equal(slowBody, '408 REQUEST_TIMEOUT, closed')
  t.equal(answered, '401 TOKEN_INVALID, closed', 'a request has one answer')
})

t.test('a connection that was opened ahead may ask later, but not slowly', { timeout: 20_000 }, async (t) => {
  const slow = `POST ${path} HTTP/1.1\r\nHost:`
  const refused = talk(slow)

  const [asks, asksSlowly] = await Promise.all([
    talk(bytes(), { answers: 1, silentUntil: refused }),
    talk(slow, { silentUntil: refused }),
  ])

  t.equal(await refused, '408 REQUEST_TIMEOUT, closed')
  t.equal(asks, '200 OK, open')
  t.equal(asksSlowly, '408 REQUEST_TIMEOUT, closed')
})

/** A client that does not close when the service does, and the service's end of its connection. */
async function halfOpen(sent: string): Promise<{ client: Socket; theirs: Socket }> {
  const client = connect({ port: Number(new URL(service.url).port), host: '127.0.0.1', allowHalfOpen: true })
  const [theirs] = (await once(service.app.server, 'connection')) as [Socket]
  client.on('error', () => {})
  client.write(sent)
  return { client, theirs }
}

async function closeOf(socket: Socket): Promise<void> {
  await new Promise((resolve) => socket.once('close', resolve))
}
