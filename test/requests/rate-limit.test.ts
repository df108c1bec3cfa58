import Fastify, { type FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import t, { type Test } from 'tap'
import rateLimit from '../../src/plugins/rate-limit.ts'
import refusals from '../../src/plugins/refusals.ts'
import type { Answer } from '../support/people.ts'
import { jwtSecret, startService } from '../support/service.ts'
import { claimsOf, hmac, jws, secondsFromNow } from '../support/tokens.ts'
import { createWire } from '../support/wire.ts'

// Long enough to stay open during a test, however slow the machine is.
const env = { RATE_LIMIT_MAX: '3', RATE_LIMIT_WINDOW_MS: '3600000' }
const service = await startService(t, { env })
const wire = createWire(t, service)

/** `<limit>/<remaining>`, where the answer tells. */
const limitOf = ({ headers }: Answer): string =>
  `${headers.get('x-ratelimit-limit')}/${headers.get('x-ratelimit-remaining')}`

t.test('each sender has a limit of its own, and all of the limit', async (t) => {
  const [alice, bob, carol] = [await service.person(), await service.person(), await service.person()]

  const ofAlice = [await alice.sends(bob, '1'), await alice.sends(carol, '2'), await alice.sends(bob, '3')]
  const fourth = await alice.sends(carol, '4')
  const ofBob = await bob.sends(alice, '1')

  t.same(ofAlice.map(limitOf), ['3/2', '3/1', '3/0'])
  t.same(
    ofAlice.map(({ status }) => status),
    [200, 200, 200],
  )
  t.equal(fourth.status, 429)
  t.equal(fourth.code, 'RATE_LIMITED')
  t.equal(limitOf(fourth), '3/0')
  t.equal(ofAlice[0]?.headers.get('x-ratelimit-reset'), '3600', 'his first request begins the window')
  t.match(fourth.headers.get('retry-after'), /^3(600|59\d)$/)
  t.equal(fourth.headers.get('retry-after'), fourth.headers.get('x-ratelimit-reset'))
  t.equal(limitOf(ofBob), '3/2')
  t.equal((await alice.sentTo(carol)).length, 1, 'what was refused is not stored')
})

t.test('a replay counts, and is refused like any other request', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]

  const answers = []
  for (const key of ['a', 'a', 'a', 'a']) answers.push(await alice.sends(bob, 'once', { key }))

  t.same(
    answers.map(({ code }) => code),
    ['OK', 'OK', 'OK', 'RATE_LIMITED'],
  )
  t.same(
    answers.map(({ headers }) => headers.get('idempotent-replayed')),
    [null, 'true', 'true', null],
  )
  t.equal((await alice.sentTo(bob)).length, 1)
})

t.test('a sender is one person, in whatever letters the token has it', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  const claims = { ...claimsOf(alice), sub: alice.id.toHexString().toUpperCase() }
  const token = jws({ alg: 'HS256' }, claims, hmac(jwtSecret))

  const lower = await alice.sends(bob, 'a')
  const upper = await alice.sends(bob, 'b', { token })

  t.same([lower, upper].map(limitOf), ['3/2', '3/1'])
})

t.test('what is refused before the limit is not counted, and tells nothing of it', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]

  const before = [
    await alice.sends(bob, 'hi', { token: 'x' }),
    await alice.sends(bob, 'hi', { headers: { 'content-type': 'text/plain' } }),
    await alice.sends(bob, ' '.repeat(70_000)),
    await alice.sends(bob, 'hi', { userId: 'x' }),
    await alice.sends(bob, {}),
    await alice.sends(bob, 'hi', { key: 'a b' }),
    await wire.post(alice, bob.id.toHexString(), '{'),
    await service.request('/x'),
  ]
  const first = await alice.sends(bob, 'hi')

  t.same(
    before.map(({ status }) => status),
    [401, 415, 413, 400, 400, 400, 400, 404],
  )
  t.same(new Set(before.map(limitOf)), new Set(['null/null']))
  t.ok(before.every(({ headers }) => !headers.has('x-ratelimit-reset')))
  t.equal(limitOf(first), '3/2')
})

t.test('what is refused after the limit is counted, and the limit comes first', async (t) => {
  const [alice, bob] = [await service.person(), await service.person({ status: 'deleted' })]
  const mallory = await service.person({ trusted: false })

  const after = [
    await alice.sends(alice, 'to myself'),
    await alice.sends(bob, 'to nobody'),
    await alice.sends(bob, { content: 'x', type: 'image', media: [{ publicId: 'x' }] }),
    await alice.sends(alice, 'to myself'),
  ]
  const untrusted = await mallory.sends(alice, 'hi')

  t.same(
    after.map(({ code }) => code),
    ['MESSAGE_TO_SELF', 'RECEIVER_NOT_FOUND', 'RECEIVER_NOT_FOUND', 'RATE_LIMITED'],
  )
  t.same(after.map(limitOf), ['3/2', '3/1', '3/0', '3/0'])
  t.equal(untrusted.code, 'DEVICE_NOT_TRUSTED')
  t.equal(limitOf(untrusted), '3/2')
})

t.test('only the send call is limited', async (t) => {
  const answers = await Promise.all(Array.from({ length: 9 }, () => service.request('/health/live')))

  t.same(new Set(answers.map(({ status }) => status)), new Set([200]))
  t.same(new Set(answers.map(limitOf)), new Set(['null/null']))
})

t.test('RATE_LIMIT_MAX=0 turns the limit off', async (t) => {
  const free = await startService(t, { env: { RATE_LIMIT_MAX: '0' }, mongodbUri: service.mongodbUri })
  const alice = await free.person()

  const answers = await Promise.all(Array.from({ length: 9 }, () => alice.sends(alice, 'hi')))

  t.same(new Set(answers.map(({ code }) => code)), new Set(['MESSAGE_TO_SELF']))
  t.same(new Set(answers.map(limitOf)), new Set(['null/null']))
})

t.test('when the window ends, the next one has the whole limit', async (t) => {
  const windowMs = 3_600_000
  const [alice, bob] = [await service.person(), await service.person()]
  const start = Date.now()
  const token = jws({ alg: 'HS256' }, { ...claimsOf(alice), exp: secondsFromNow(7_200) }, hmac(jwtSecret))
  t.intercept(Date, 'now', { value: () => start, configurable: true, writable: true })
  for (const content of ['1', '2', '3']) await alice.sends(bob, content)
  const full = await alice.sends(bob, '4')

  t.intercept(Date, 'now', { value: () => start + windowMs - 1, configurable: true, writable: true })
  const lastMoment = await alice.sends(bob, '5', { token })
  t.intercept(Date, 'now', { value: () => start + windowMs, configurable: true, writable: true })
  const next = await alice.sends(bob, '6', { token })

  t.equal(full.headers.get('retry-after'), '3600')
  t.equal(lastMoment.code, 'RATE_LIMITED')
  t.equal(lastMoment.headers.get('retry-after'), '1', 'never 0: that would be no wait')
  t.equal(next.code, 'OK')
  t.equal(limitOf(next), '3/2')
})

t.test('a clock that is set back begins a new window', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  for (const content of ['1', '2', '3']) await alice.sends(bob, content)
  const full = await alice.sends(bob, '4')

  const now = Date.now()
  t.intercept(Date, 'now', { value: () => now - 60_000, configurable: true, writable: true })
  const next = await alice.sends(bob, '5')

  t.equal(full.code, 'RATE_LIMITED')
  t.equal(limitOf(next), '3/2')
  t.equal(next.headers.get('x-ratelimit-reset'), '3600')
})

t.test('with 6,000 others in between, a sender is still remembered', async (t) => {
  const statusOf = await limited(t, { max: 1 })

  const first = await statusOf('alice')
  for (let other = 0; other < 6_000; other += 1) await statusOf(`${other}`)
  const second = await statusOf('alice')

  t.same([first, second], [200, 429])
})

t.test('of several that come at one moment each is told its own count', async (t) => {
  const statusOf = await limited(t, { max: 2 })

  const statuses = await Promise.all([statusOf('alice'), statusOf('alice'), statusOf('alice')])

  t.same(statuses, [200, 200, 429])
})

/** A route with the limit alone: asks as somebody, and gives the status. */
async function limited(t: Test, { max }: { max: number }): Promise<(userId: string) => Promise<number>> {
  const app = Fastify()
  t.teardown(() => app.close())
  const token = fp(async (app) => void app.decorateRequest('sender'), { name: 'authentication' })
  await app.register(refusals)
  await app.register(token)
  await app.register(rateLimit, { max, windowMs: 3_600_000 })
  app.get('/:userId', { onRequest: pretend, config: { rateLimit: {} } }, async () => 'ok')
  return async (userId) => (await app.inject(`/${userId}`)).statusCode
}

async function pretend(request: FastifyRequest): Promise<void> {
  const { userId } = request.params as { userId: string }
  request.sender = { userId, deviceId: userId }
}
