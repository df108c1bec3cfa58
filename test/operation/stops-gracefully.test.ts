import { MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import type { MessageDocument } from '../../src/collections.ts'
import { startCloudinary } from '../../src/dev/cloudinary/server.ts'
import { type Connection, connectionTo, halfOpen, type RawAnswer } from '../support/connection.ts'
import { databaseUri, dropDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { createPeople, type Person } from '../support/people.ts'
import { startProcess } from '../support/process.ts'
import { startService } from '../support/service.ts'

const mongodbUri = await databaseUri()
const client = await MongoClient.connect(mongodbUri)
const storage = await startCloudinary()
const env = { MONGODB_URI: mongodbUri, CLOUDINARY_URL: storage.cloudinaryUrl, RATE_LIMIT_MAX: '0' }
// Only their documents and tokens are used: requests go by connections that the tests hold themselves.
const { person } = createPeople({
  url: '',
  db: client.db(),
  storage,
  conformance: { check: () => undefined },
})
t.teardown(async () => {
  await client.close()
  await storage.close()
  await dropDatabase(mongodbUri)
})

function send(connection: Connection, from: Person, to: Person, message: object): Promise<RawAnswer> {
  return connection.post(
    `/message/send/${to.id.toHexString()}`,
    { authorization: `Bearer ${from.token}` },
    { content: 'a text', type: 'text', ...message },
  )
}

/** Sends one text after the other, until the service closes the connection and takes no other. */
async function sendUntilClosed(url: string, from: Person, to: Person): Promise<RawAnswer[]> {
  const connection = connectionTo(url)
  const answers: RawAnswer[] = []
  try {
    for (;;) answers.push(await send(connection, from, to, {}))
  } catch (error) {
    // Whatever else, a reset above all, is a request whose outcome the client would not know.
    if ((error as { code?: unknown }).code !== 'ECONNREFUSED') throw error
  }
  connection.close()
  return answers
}

/** A message with media whose promotion the storage holds until it is released. */
async function sendHeld(url: string): Promise<{ answer: Promise<RawAnswer>; release: () => void }> {
  const [alice, bob] = [await person(), await person()]
  let release = (): void => undefined
  const until = new Promise<void>((resolve) => {
    release = resolve
  })
  const publicId = alice.uploads('image')
  storage.faults.on(
    (call) => call.publicId === publicId,
    { kind: 'hold', until, when: 'before' },
    { times: 1 },
  )
  const called = storage.nextRequest((call) => call.publicId === publicId)
  const connection = connectionTo(url)
  const answer = send(connection, alice, bob, { media: [{ publicId }] }).finally(() => connection.close())
  await called
  return { answer, release }
}

async function untilStored(count: number): Promise<void> {
  const messages = client.db().collection('messages')
  const stream = messages.watch([], { batchSize: 1 })
  for (let seen = await messages.countDocuments(); seen < count; seen += 1) await stream.next()
  await stream.close()
}

t.test('under load, each stored message was answered, and no connection was reset', async (t) => {
  const service = startProcess(t, env)
  const url = await service.url
  const pairs = await Promise.all(
    Array.from({ length: 30 }, async () => [await person(), await person()] as const),
  )

  const sending = Promise.all(pairs.map(([from, to]) => sendUntilClosed(url, from, to)))
  await untilStored(300)
  service.kill('SIGTERM')
  const answers = await sending
  const exit = await service.exit

  const stored = await client.db().collection<MessageDocument>('messages').find().toArray()
  const ids = answers.flat().map(({ body }) => body.data?._id)
  t.equal(exit.code, 0)
  t.equal(exit.stderr, '')
  t.strictSame(new Set(stored.map(({ _id }) => _id.toHexString())), new Set(ids))
  t.ok(ids.length >= 300)
  t.ok(answers.every((own) => own.at(-1)?.headers.connection === 'close'))
})

t.test(
  'open connections are served for a second more, then refused; what was taken is answered',
  async (t) => {
    const { url, app } = await startService(t, { mongodbUri, storage, env: { RATE_LIMIT_MAX: '0' } })
    const connections = [connectionTo(url), connectionTo(url), connectionTo(url)] as const
    t.teardown(() => connections.forEach(({ close }) => void close()))
    await Promise.all(connections.map((connection) => connection.get('/health/live')))
    const [early, probe, later] = connections
    const [carol, dave] = [await person(), await person()]
    const held = await sendHeld(url)
    const second = heldSecond(t)

    const closed = app.close()
    await eventually(() => !app.server.listening)
    const served = await send(early, carol, dave, {})
    const ready = await probe.get('/health/ready')
    second.end()
    const refused = await send(later, carol, dave, {})
    const newcomer = connectionTo(url).get('/health/live')
    held.release()

    t.match(served, { status: 200, headers: { connection: 'close' } })
    t.match(ready, { status: 503, headers: { connection: 'close' }, body: { code: 'SHUTTING_DOWN' } })
    t.match(refused, { status: 503, body: { code: 'SHUTTING_DOWN' } })
    t.match(refused.headers, { connection: 'close', 'retry-after': /^\d+$/ })
    await t.rejects(newcomer, { code: 'ECONNREFUSED' })
    t.match(await held.answer, { status: 200, body: { data: { _id: String } } })
    await closed
  },
)

/** Whatever waits for a second in this process goes on when the test says so, however slow the machine is. */
function heldSecond(t: Test): { end(): void } {
  const setTimer = globalThis.setTimeout
  const waiting: (() => void)[] = []
  const hold = (done: (...of: unknown[]) => void, ms: number, ...of: unknown[]): NodeJS.Timeout => {
    if (ms !== 1_000) return setTimer(done, ms, ...of)
    waiting.push(() => done(...of))
    // Something to clear.
    return setTimer(() => {}, ms).unref()
  }
  t.intercept(globalThis, 'setTimeout', { value: hold, configurable: true, writable: true })
  return { end: () => waiting.forEach((goOn) => void goOn()) }
}

t.test('a second signal ends it at once, whatever it waits for', async (t) => {
  const service = startProcess(t, env)
  const held = await sendHeld(await service.url)
  const dropped = t.rejects(held.answer, { code: 'ECONNRESET' })

  service.kill('SIGTERM')
  await service.logged('stopping')
  const secondAt = performance.now()
  service.kill('SIGINT')
  const { code, stderr } = await service.exit

  t.equal(code, 1)
  t.equal(stderr, '')
  t.ok(performance.now() - secondAt < 2_000)
  await dropped
  held.release()
})

t.test('connections on which half a request has come do not hold it up', async (t) => {
  const service = startProcess(t, env)
  const url = await service.url
  const eve = await person()
  const line = `POST /message/send/${eve.id.toHexString()} HTTP/1.1\r\nHost: messages\r\n`
  const headers = `Authorization: Bearer ${eve.token}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n`
  const sockets = await Promise.all(
    ['', line, `${line}${headers}{"content":`].map((sent) => halfOpen(url, sent)),
  )
  const ended = Promise.all(
    sockets.map((socket) => new Promise((resolve) => socket.resume().once('close', resolve))),
  )
  // Taken after them, so that they have been taken, too.
  await connectionTo(url).get('/health/live')

  service.kill('SIGTERM')
  await service.logged('stopping')
  const stoppingAt = performance.now()
  const { code, stderr } = await service.exit
  await ended

  t.equal(code, 0)
  t.equal(stderr, '')
  t.ok(performance.now() - stoppingAt < 8_000)
})
