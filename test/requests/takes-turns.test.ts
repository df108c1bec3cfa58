import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Fastify from 'fastify'
import { ObjectId } from 'mongodb'
import t, { type Test } from 'tap'
import { Overloaded } from '../../src/errors.ts'
import { type Deadline, deadlineIn, monotonicMs, msLeft } from '../../src/lib/deadline.ts'
import authentication from '../../src/plugins/authentication.ts'
import jsonBody from '../../src/plugins/json-body.ts'
import openapi from '../../src/plugins/openapi.ts'
import refusals from '../../src/plugins/refusals.ts'
import { ajvOptions } from '../../src/plugins/validation.ts'
import { registerRoute } from '../../src/send-message/route.ts'
import { createTurns } from '../../src/send-message/turns.ts'
import { eventually } from '../support/eventually.ts'
import { tokenOf } from '../support/people.ts'
import { jwtSecret, startService } from '../support/service.ts'

interface Scene {
  /** What is under way beside what the scene sends, and whether it closes. */
  state: { others: number; isClosing: boolean }
  /** Paths in the order in which they were read. */
  read: string[]
  waitedMs: number[]
  /** Answers whatever is asked with `hold`. */
  release(): void
  connection(): Promise<Connection>
}

interface Connection {
  send(path: string): void
  /** When it has been answered. */
  ask(path: string): Promise<void>
}

/** An HTTP server whose connections take turns, with room for one request. */
async function startScene(t: Test, waitMaxMs = 60_000): Promise<Scene> {
  const state = { others: 1, isClosing: false }
  const read: string[] = []
  const waitedMs: number[] = []
  const held: ServerResponse[] = []
  const inFlight = (): number => state.others + held.length
  const turns = createTurns({ inFlight, isClosing: () => state.isClosing }, { inFlightMax: 1, waitMaxMs })
  const server = createServer(({ url = '', socket }: IncomingMessage, response) => {
    read.push(url)
    waitedMs.push(turns.waitedMs(socket))
    response.on('finish', () => turns.queue(socket))
    if (url.includes('hold')) held.push(response)
    else response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    turns.stop()
    server.closeAllConnections()
    server.close()
  })
  return {
    state,
    read,
    waitedMs,
    release() {
      for (const response of held.splice(0)) response.end()
    },
    async connection() {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
      await once(socket, 'connect')
      const send = (path: string): void => void socket.write(`GET ${path} HTTP/1.1\r\nHost: turns\r\n\r\n`)
      return {
        send,
        async ask(path) {
          send(path)
          await once(socket, 'data')
        },
      }
    },
  }
}

t.test('while enough is under way, connections are read again in the order of their answers', async (t) => {
  const { state, read, release, connection } = await startScene(t)
  const [first, second, stranger] = [await connection(), await connection(), await connection()]
  await first.ask('/first')
  await second.ask('/second')
  second.send('/second/again')
  first.send('/first/hold')
  // Comes behind those, and is answered: they have arrived by then, and are not read.
  await stranger.ask('/stranger')

  state.others = 0
  await eventually(() => read.includes('/first/hold'))
  await (await connection()).ask('/another')
  release()
  await eventually(() => read.includes('/second/again'))

  t.same(read, ['/first', '/second', '/stranger', '/first/hold', '/another', '/second/again'])
})

t.test('whose turn it is and who says nothing keeps nobody waiting', async (t) => {
  const { state, read, connection } = await startScene(t)
  const [silent, second] = [await connection(), await connection()]
  await silent.ask('/silent')
  await second.ask('/second')
  second.send('/second/again')

  state.others = 0
  await eventually(() => read.includes('/second/again'))

  t.same(read, ['/silent', '/second', '/second/again'])
})

t.test('nobody overtakes who waits, also where there is room', async (t) => {
  let others = 1_024
  const turns = createTurns({ inFlight: () => others, isClosing: () => false })
  const [waiting, next] = [new Socket(), new Socket()]
  const began = monotonicMs()
  turns.queue(waiting)
  others = 0
  turns.queue(next)
  const isNextPaused = next.isPaused()
  await eventually(() => !next.isPaused())
  turns.queue(next)
  turns.stop()

  t.equal(isNextPaused, true)
  t.equal(next.isPaused(), false)
  t.ok(turns.waitedMs(waiting) <= monotonicMs() - began, 'a wait is as long as it was')
})

t.test('where nothing moves, a connection is read again when it has waited for long enough', async (t) => {
  const { state, waitedMs, connection } = await startScene(t, 1)
  const only = await connection()
  await only.ask('/')
  await only.ask('/again')
  state.others = 0
  await only.ask('/and/again')
  await only.ask('/without/waiting')

  t.equal(waitedMs[0], 0)
  t.equal(waitedMs[1], 1)
  t.equal(waitedMs[3], 0)
})

t.test('who closes reads all again, and lets nobody wait any more', async (t) => {
  const { state, read, connection } = await startScene(t)
  const [first, second] = [await connection(), await connection()]
  await first.ask('/first')
  await second.ask('/second')

  state.isClosing = true
  await Promise.all([first.ask('/first/again'), second.ask('/second/again')])

  t.same(new Set(read), new Set(['/first', '/second', '/first/again', '/second/again']))
})

t.test('nobody waits where all is closed, or where the connection itself is', async (t) => {
  const turns = (isClosing: boolean) => createTurns({ inFlight: () => 1_024, isClosing: () => isClosing })
  const [closing, busy] = [turns(true), turns(false)]
  const [open, gone] = [new Socket(), new Socket().destroy()]
  closing.queue(open)
  busy.queue(gone)
  closing.stop()
  busy.stop()

  t.equal(open.isPaused(), false)
  t.strictSame([closing.waiting, busy.waiting], [0, 0])
})

t.test('who is answered again while he waits keeps his place and his time', async (t) => {
  const turns = createTurns({ inFlight: () => 1, isClosing: () => false }, { inFlightMax: 1, waitMaxMs: 100 })
  const [repeating, behind] = [new Socket(), new Socket()]
  turns.queue(repeating)
  turns.queue(behind)

  await eventually(() => {
    if (repeating.isPaused()) turns.queue(repeating)
    return !behind.isPaused()
  })
  turns.stop()

  t.equal(turns.waitedMs(behind), 100)
})

t.test('the time for which a request may have lain unread is taken from its deadline', async (t) => {
  const leftMs: number[] = []
  const app = Fastify({ ajv: ajvOptions })
  await app.register(refusals)
  await app.register(jsonBody)
  await app.register(authentication, { keys: { kind: 'secret', secret: jwtSecret } })
  await app.register(openapi)
  registerRoute(app, {
    // As a look for token keys: before the body is read.
    refuseExcess(done) {
      void untilPassed(deadlineIn(100)).then(() => done())
    },
    turns: { queue: () => {}, waitedMs: () => 2_000 },
    async send({ deadline }) {
      leftMs.push(msLeft(deadline))
      throw new Overloaded()
    },
  })
  t.teardown(() => app.close())
  const [sender, receiver] = [new ObjectId(), new ObjectId()]
  const claims = { sub: sender.toHexString(), deviceId: new ObjectId().toHexString() }
  const headers = { authorization: `Bearer ${tokenOf(claims)}` }
  const url = `/message/send/${receiver.toHexString()}`
  const media = [{ publicId: `temp/user_${sender.toHexString()}/picture` }]
  await app.inject({ method: 'POST', url, headers, payload: { content: 'Hello', type: 'text' } })
  await app.inject({ method: 'POST', url, headers, payload: { content: 'Look', type: 'image', media } })

  const [text = 0, withMedia = 0] = leftMs
  t.ok(text > 4_000 && text <= 5_401)
  t.ok(withMedia > 11_000 && withMedia <= 12_401)
})

async function untilPassed(deadline: Deadline): Promise<void> {
  while (msLeft(deadline) > 0) await nextTurn()
}

// What is on its way to the database when all have been read is one batch and the first message: the others are under way.
const crowd = 1_500

t.test('a crowd that wants all at once takes turns, and everybody gets each answer', async (t) => {
  const service = await startService(t, { env: { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'warn' } })
  const [alice, bob] = [await service.person(), await service.person()]
  const waiting: Promise<number | undefined>[] = []
  const tellWaiting = async (): Promise<number | undefined> => {
    const told = await service.app.metrics.getSingleMetric('messages_waiting_connections')?.get()
    return told?.values[0]?.value
  }
  service.app.server.on('connection', (socket: Socket) =>
    socket.on('pause', () => waiting.push(tellWaiting())),
  )
  const body = JSON.stringify({ content: 'Hello', type: 'text' })
  const bytes =
    `POST /message/send/${bob.id.toHexString()} HTTP/1.1\r\nHost: service\r\nAuthorization: Bearer ${alice.token}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const sockets: Socket[] = []
  for (let nth = 0; nth < crowd; nth++) {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1')
    await once(socket, 'connect')
    sockets.push(socket)
  }

  const statuses = async (socket: Socket): Promise<string> => {
    socket.write(bytes)
    const [first] = (await once(socket, 'data')) as [Buffer]
    socket.write(bytes)
    const [second] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return `${first.toString().slice(9, 12)} ${second.toString().slice(9, 12)}`
  }
  const answers = new Set(await Promise.all(sockets.map(statuses)))

  t.same([...answers], ['200 200'])
  t.equal((await alice.sentTo(bob)).length, 2 * crowd)
  t.ok(Number(await waiting[0]) > 0)
  await eventually(async () => (await tellWaiting()) === 0)
})
