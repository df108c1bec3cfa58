import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { Overloaded } from '../../src/errors.ts'
import { databaseFailure } from '../../src/send-message/database-failure.ts'
import { databaseUri, dropDatabase } from '../support/database.ts'
import { type DatabaseProxy, startDatabaseProxy } from '../support/database-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { type Service, startService } from '../support/service.ts'

/** A service whose way to the database can be cut. */
async function startCuttable(t: Test): Promise<{ proxy: DatabaseProxy; service: Service }> {
  const mongodbUri = await databaseUri(`_${randomBytes(4).toString('hex')}`)
  t.teardown(() => dropDatabase(mongodbUri))
  const proxy = await startDatabaseProxy(t, mongodbUri)
  return { proxy, service: await startService(t, { mongodbUri: proxy.uri }) }
}

/** The value of one metric, with its labels as Prometheus writes them. */
async function metric({ url }: Service, name: string): Promise<number | undefined> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const line = text.split('\n').find((each) => each.startsWith(`${name} `))
  return line === undefined ? undefined : Number(line.slice(name.length + 1))
}

t.test('the probes answer without a token', async (t) => {
  const service = await startService(t)

  const live = await service.request('/health/live')
  const ready = await service.request('/health/ready')

  t.match(live, { status: 200, body: { status: 'ok' } })
  t.match(ready, { status: 200, body: { status: 'ok' } })
})

t.test('a database that is cut off makes it unready, and ready again once it is back', async (t) => {
  const proxy = await startDatabaseProxy(t, await databaseUri('_cut'))
  const service = await startService(t, { mongodbUri: proxy.uri })

  proxy.cut()
  const cut = await service.request('/health/ready')
  const live = await service.request('/health/live')
  proxy.mend()

  t.match(cut, { status: 503, code: 'DATABASE_UNAVAILABLE' })
  t.match(cut.headers.get('retry-after'), /^\d+$/)
  t.equal(live.status, 200)
  await eventually(async () => (await service.request('/health/ready')).status === 200)
})

t.test(
  'a database that hangs makes it unready within a second, and ready again once it is back',
  async (t) => {
    const proxy = await startDatabaseProxy(t, await databaseUri('_frozen'))
    const service = await startService(t, { mongodbUri: proxy.uri })
    const { db } = service.app.mongo
    const commands = t.capture(db, 'command', db.command)
    const limits = t.capture(AbortSignal, 'timeout', AbortSignal.timeout)

    proxy.freeze()
    const probes = [service.request('/health/ready'), service.request('/health/ready')]
    const [first, second] = await Promise.all(probes)
    proxy.mend()

    t.match([first, second], [{ code: 'DATABASE_UNAVAILABLE' }, { code: 'DATABASE_UNAVAILABLE' }])
    const pings = commands().flatMap((each) =>
      'returned' in each && 'ping' in each.args[0] ? [[each.returned, each.args[1]?.signal] as const] : [],
    )
    const limit = limits().find((each) => 'returned' in each && each.returned === pings[0]?.[1])
    await t.rejects(async () => await pings[0]?.[0], { name: 'TimeoutError' })
    t.ok(Number(limit?.args[0]) < 1_000)
    t.equal(pings.length, 1)
    await eventually(async () => (await service.request('/health/ready')).status === 200)
  },
)

t.test('a feature that is full makes it unready while it is', async (t) => {
  const service = await startService(t)
  let full = true
  service.app.addReadinessCheck(() => (full ? new Overloaded() : undefined))

  const whileFull = await service.request('/health/ready')
  full = false
  const after = await service.request('/health/ready')

  t.match(whileFull, { status: 503, code: 'OVERLOADED' })
  t.match(after, { status: 200 })
})

t.test('the metrics count every answer of the send call, by status and code', async (t) => {
  const service = await startService(t)
  const [alice, bob] = [await service.person(), await service.person()]

  await alice.sends(bob, 'one')
  await alice.sends(bob, 'two')
  await alice.sends(alice, 'to myself')
  await alice.sends(bob, { content: '' })
  await alice.sends(bob, 'forged', { token: 'a.b.c' })
  await service.request('/message/send')

  t.equal(await metric(service, 'messages_send_total{status="200",code="OK"}'), 2)
  t.equal(await metric(service, 'messages_send_total{status="400",code="MESSAGE_TO_SELF"}'), 1)
  t.equal(await metric(service, 'messages_send_total{status="400",code="INVALID_BODY"}'), 1)
  t.equal(await metric(service, 'messages_send_total{status="401",code="TOKEN_INVALID"}'), 1)
  t.equal(await metric(service, 'messages_send_duration_seconds_count{status="200"}'), 2)
  t.equal(await metric(service, 'messages_send_duration_seconds_count{status="400"}'), 2)
  t.equal(await metric(service, 'messages_send_duration_seconds_bucket{le="+Inf",status="401"}'), 1)
})

t.test('the metrics tell durations, batches, promotions, the pool and the event loop', async (t) => {
  const service = await startService(t)
  const [alice, bob] = [await service.person(), await service.person()]
  const [good, bad] = [alice.uploads('image'), `temp/user_${alice.id.toHexString()}/nothing`]

  await alice.sends(bob, { content: 'a picture', type: 'image', media: [{ publicId: good }] })
  await alice.sends(bob, { content: 'no picture', type: 'image', media: [{ publicId: bad }] })

  const seconds = await metric(service, 'messages_send_duration_seconds_sum{status="200"}')
  t.ok(seconds !== undefined && seconds > 0 && seconds < 8)
  t.equal(await metric(service, 'messages_batch_size_count'), 1)
  t.equal(await metric(service, 'media_promotions_total{outcome="promoted"}'), 1)
  t.equal(await metric(service, 'media_promotions_total{outcome="failed"}'), 1)
  t.ok(Number(await metric(service, 'mongodb_pool_connections')) >= 1)
  t.equal(await metric(service, 'mongodb_pool_connections_in_use'), 0)
  t.type(await metric(service, 'nodejs_eventloop_lag_seconds'), 'number')
})

t.test('the pool’s gauge does not count what was closed', async (t) => {
  const { proxy, service } = await startCuttable(t)
  await service.request('/health/ready')
  const before = await metric(service, 'mongodb_pool_connections')

  proxy.cut()
  await service.request('/health/ready')

  t.ok(Number(before) >= 1)
  await eventually(async () => (await metric(service, 'mongodb_pool_connections')) === 0)
  proxy.mend()
})

t.test('two services in one process do not share their counts', async (t) => {
  const [one, other] = [await startService(t), await startService(t)]
  const [alice, bob] = [await one.person(), await one.person()]

  await alice.sends(bob, 'one')

  t.equal(await metric(one, 'messages_send_total{status="200",code="OK"}'), 1)
  t.equal(await metric(other, 'messages_send_total{status="200",code="OK"}'), undefined)
})

t.test('closing twice is no fault', async (t) => {
  const service = await startService(t)

  await t.resolves(service.app.close())
  await t.resolves(service.app.close())
})

t.test('connections that the database has closed cost nobody a message', async (t) => {
  const { proxy, service } = await startCuttable(t)
  const [alice, bob] = [await service.person(), await service.person()]
  await alice.sends(bob, 'before')

  // All of them are closed, and taken again: the driver learns of it only when it uses one.
  proxy.mend()
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => alice.sends(bob, `after ${index}`)),
  )

  t.strictSame([...new Set(answers.map(({ code }) => code))], ['OK'])
  t.equal((await alice.sentTo(bob)).length, 21)
})

t.test('a write to a connection that was closed is no defect', async (t) => {
  const server = createServer((socket) => void socket.destroy())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'end')

  socket.write('one')
  socket.write('two')
  const [error] = await once(socket, 'error').catch((thrown: Error) => [thrown])

  t.equal(error.code, 'EPIPE')
  t.equal(databaseFailure(error), 'unavailable')
})
