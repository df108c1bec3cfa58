import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import { findMongod, MongodNotFound } from '../../src/dev/mongod.ts'
import { databaseUri, dropDatabase } from '../support/database.ts'
import { type Exit, startProcess } from '../support/process.ts'

const mongodbUri = await databaseUri()
t.teardown(() => dropDatabase(mongodbUri))

/** A server that takes connections and says nothing, at a free port. */
async function silentServer(t: Test): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.on('error', () => undefined))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  return { server, port: (server.address() as AddressInfo).port }
}

/** The way to the database, on which what is sent takes so long. */
async function slowProxy(t: Test, delayMs: number): Promise<{ port: number }> {
  const database = new URL(mongodbUri.replace(/,.*?\//, '/'))
  const proxy = createServer((socket) => {
    const upstream = connect(Number(database.port), database.hostname)
    for (const each of [socket, upstream]) each.on('error', () => undefined)
    socket.once('close', () => upstream.destroy())
    upstream.once('close', () => socket.destroy())
    upstream.pipe(socket)
    setTimeout(() => socket.pipe(upstream), delayMs)
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => proxy.close())
  return { port: (proxy.address() as AddressInfo).port }
}

const binary = await findMongod({ env: process.env, say: () => undefined }).catch((error: unknown) => {
  if (error instanceof MongodNotFound) return error
  throw error
})
// Only where the tests use a server that somebody else has started.
const withoutMongod = binary instanceof MongodNotFound ? { skip: binary.message } : {}

/** A mongod that is no member of a set, and wants to know who asks. */
async function standaloneMongod(t: Test): Promise<{ port: number }> {
  const { server, port } = await silentServer(t)
  server.close()
  const args = ['--auth', '--dbpath', t.testdir(), '--port', String(port), '--bind_ip', '127.0.0.1']
  const mongod = spawn(String(binary), [...args, '--nounixsocket', '--wiredTigerCacheSizeGB', '0.25'], {
    stdio: 'ignore',
  })
  t.teardown(async () => {
    mongod.kill('SIGKILL')
    await once(mongod, 'exit')
  })
  return { port }
}

/** One sentence for the operator, and nothing else. */
function refusedToStart(t: Test, { code, stdout, stderr }: Exit, sentence: string): void {
  t.equal(code, 1)
  t.equal(stdout, '')
  t.equal(stderr, `${sentence}\n`)
}

t.test('what is wrong with the start is said in one sentence', { jobs: 8 }, async (t) => {
  t.test('wrong and missing variables, all at once', async (t) => {
    const env = { PORT: 'http', CLOUDINARY_URL: '', JWT_SECRET: 'too short to show', LOG_LEVEL: 'loud' }
    const exit = await startProcess(t, env).exit
    const faults = [
      'PORT must be a whole number from 0 to 65535',
      'CLOUDINARY_URL is required',
      'JWT_SECRET must have at least 32 bytes',
      'LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent',
    ]
    refusedToStart(t, exit, `configuration is not valid: ${faults.join('; ')}`)
  })

  t.test('a database that refuses connections, after 10 s', async (t) => {
    const exit = await startProcess(t, { MONGODB_URI: 'mongodb://user:shh@127.0.0.1:1/never' }).exit
    refusedToStart(t, exit, 'the database did not answer within 10 s')
    t.ok(exit.seconds > 10, `${exit.seconds} s`)
  })

  t.test('a database that takes connections and says nothing, after 10 s', async (t) => {
    const { port } = await silentServer(t)
    const exit = await startProcess(t, { MONGODB_URI: `mongodb://127.0.0.1:${port}/never` }).exit
    refusedToStart(t, exit, 'the database did not answer within 10 s')
    t.ok(exit.seconds > 10, `${exit.seconds} s`)
  })

  t.test('a database that takes longer for a connection than a request could wait', async (t) => {
    const slow = await slowProxy(t, 1_500)
    const env = { MONGODB_URI: `mongodb://127.0.0.1:${slow.port}/slow?directConnection=true` }
    refusedToStart(
      t,
      await startProcess(t, env).exit,
      'the database has answered, and then took too long for a connection',
    )
  })

  t.test('a busy port', async (t) => {
    const { port } = await silentServer(t)
    const exit = await startProcess(t, { MONGODB_URI: mongodbUri, PORT: String(port) }).exit
    refusedToStart(t, exit, `port ${port} is in use`)
  })

  t.test('a host that is not this machine', async (t) => {
    // RFC 5737: an address for documents, which no machine has.
    const exit = await startProcess(t, { MONGODB_URI: mongodbUri, HOST: '192.0.2.1' }).exit
    refusedToStart(t, exit, 'HOST is no address of this machine')
  })

  t.test('a link-local address without its zone', async (t) => {
    const exit = await startProcess(t, { MONGODB_URI: mongodbUri, HOST: 'fe80::1' }).exit
    refusedToStart(t, exit, 'HOST is no address of this machine')
  })

  t.test('a database that does not let it make its collections', withoutMongod, async (t) => {
    const appName = 'not-allowed'
    const admin = new MongoClient(mongodbUri)
    const refuse = { failCommands: ['create'], errorCode: 13, appName }
    await admin.db('admin').command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data: refuse })

    const uri = `${mongodbUri}${mongodbUri.includes('?') ? '&' : '?'}appName=${appName}`
    const exit = await startProcess(t, { MONGODB_URI: uri }).exit

    await admin.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' })
    await admin.close()
    refusedToStart(t, exit, 'the database refuses to make the collections and indexes (Unauthorized)')
  })

  t.test('a standalone server', withoutMongod, async (t) => {
    const { port } = await standaloneMongod(t)
    const exit = await startProcess(t, { MONGODB_URI: `mongodb://127.0.0.1:${port}/db` }).exit
    const sentence = 'the database is a standalone server: transactions need a replica set or a cluster'
    refusedToStart(t, exit, sentence)
  })

  t.test('credentials that the database refuses', withoutMongod, async (t) => {
    const { port } = await standaloneMongod(t)
    const MONGODB_URI = `mongodb://somebody:shh@127.0.0.1:${port}/db`
    refusedToStart(t, await startProcess(t, { MONGODB_URI }).exit, 'the database refuses the credentials')
  })
})

t.test('it says once that it listens, in one line of JSON, and answers there', async (t) => {
  const service = startProcess(t, { MONGODB_URI: mongodbUri })

  const line = await service.logged('listening')
  const answer = await fetch(`${line.address}/health/ready`)
  service.kill('SIGTERM')
  const exit = await service.exit

  t.match(line, { msg: 'listening', address: /^http:\/\/127\.0\.0\.1:\d+$/ })
  t.strictSame([answer.status, await answer.json()], [200, { status: 'ok' }])
  t.equal(exit.stdout.match(/"msg":"listening"/g)?.length, 1)
  t.equal(exit.code, 0)
  t.equal(exit.stderr, '')
})

t.test('HOST=localhost is one address', async (t) => {
  const service = startProcess(t, { MONGODB_URI: mongodbUri, HOST: 'localhost' })

  const url = await service.url
  service.kill('SIGINT')

  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.equal((await service.exit).code, 0)
})
