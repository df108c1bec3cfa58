import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import { startCloudinary } from '../../src/dev/cloudinary/server.ts'
import { dataFolderPrefix } from '../../src/dev/data-folders.ts'
import { databaseUri, dropDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { root } from '../support/root.ts'

const command = [process.execPath, '--import', 'tsx', 'src/dev/demo.ts'] as const

// Where a server is named there may be no binary to start another one from.
const withBinary = { skip: process.env.MONGODB_URI ? 'MONGODB_URI names the server to use' : false }
const withCurl = { skip: spawnSync('curl', ['--version']).status === 0 ? false : 'there is no curl here' }

// Measured: 3 s on a quiet machine. The last ones to end are watchers that look every second or two.
const shownWithinMs = 60_000
const goneWithinMs = 15_000

const outcomes = [
  'A text → 200 OK',
  'A picture → 200 OK',
  'A video → 200 OK',
  'A file → 200 OK',
  'A text with a key → 200 OK',
  'The same key again → 200 OK, replayed',
  'The same key with another text → 422 IDEMPOTENCY_KEY_REUSED',
  'To herself → 400 MESSAGE_TO_SELF',
  'Blocked → 400 BLOCKED_RELATIONSHIP',
  'Suspended → 401 ACCOUNT_SUSPENDED',
  'From a device that is not trusted → 401 DEVICE_NOT_TRUSTED',
  'An unknown field → 400 INVALID_BODY',
  "Somebody else's upload → 400 INVALID_MEDIA_REFERENCE",
  'An upload that was sent before → 400 MEDIA_ALREADY_USED',
]

t.test('with DEMO_EXIT=1 it shows every request, and ends with 0 and nothing left', withBinary, async (t) => {
  const demo = await startDemo(t, { DEMO_EXIT: '1', PORT: '0' })

  const ended = await demo.ended

  t.strictSame(ended, { code: 0, signal: null })
  t.equal(demo.stderr(), '')
  t.strictSame(
    shownSteps(demo.stdout()).map(({ outcome }) => outcome),
    outcomes,
  )
  t.notMatch(demo.stdout(), '\u001b', 'no colour without a terminal')
  await eventually(demo.hasLeftNothing, goneWithinMs)
})

t.test('it stays up, its lines work when pasted, and Ctrl-C leaves nothing', withBinary, async (t) => {
  const demo = await startDemo(t, { PORT: '0' })
  await eventually(() => /Ctrl-C stops/.test(demo.stdout()), shownWithinMs)

  await t.test('each line is answered as it was here', withCurl, async (t) => {
    for (const { line, outcome } of shownSteps(demo.stdout())) {
      t.equal(await paste(line), outcome.replace(/^.* → /, '').replace(', replayed', ''), outcome)
    }
    t.equal(await paste(closingLines(demo.stdout())), '200 OK', 'the line with a shell variable')
  })
  const picture = /"url": "(.*\.png)"/.exec(demo.stdout())?.[1] ?? ''
  const opened = await fetch(picture)
  t.equal(opened.headers.get('content-type'), 'image/png')
  t.equal(Buffer.from(await opened.arrayBuffer()).toString('latin1', 1, 4), 'PNG')

  // As a terminal does: to every process of the group.
  process.kill(-demo.pid, 'SIGINT')

  t.strictSame(await demo.ended, { code: 0, signal: null })
  t.equal(demo.stderr(), '')
  await eventually(demo.hasLeftNothing, goneWithinMs)
})

t.test('SIGTERM while it starts ends it, and leaves nothing', withBinary, async (t) => {
  const demo = await startDemo(t, { PORT: '0' })
  await eventually(() => /^mongod: /m.test(demo.stdout()), shownWithinMs)

  process.kill(demo.pid, 'SIGTERM')

  t.strictSame(await demo.ended, { code: 130, signal: null })
  t.equal(demo.stderr(), '')
  await eventually(demo.hasLeftNothing, goneWithinMs)
})

t.test('it ends when the shell that npm started it by has ended', async (t) => {
  const uri = await databaseUri('_orphaned')
  const env = { MONGODB_URI: uri, PORT: '0', npm_lifecycle_event: 'demo' }
  // The second command keeps the shell from becoming the demo.
  const demo = await startDemo(t, env, ['sh', '-c', 'node --import tsx src/dev/demo.ts; true'])
  await eventually(() => /Ctrl-C stops/.test(demo.stdout()), shownWithinMs)

  process.kill(demo.pid, 'SIGTERM')

  await eventually(demo.hasLeftNothing, goneWithinMs)
  t.notOk((await databaseNames(uri)).includes(`${nameOf(uri)}_demo`))
})

t.test('given a database and a cloud it uses a part of its own, and removes that', async (t) => {
  const uri = await databaseUri()
  await insertInto(t, uri, { kept: true })
  const cloud = await startCloudinary()
  t.teardown(cloud.close)
  cloud.put({ publicId: 'temp/user_0123456789abcdef01234567/kept', resourceType: 'image' })

  const demo = await startDemo(t, {
    MONGODB_URI: uri,
    CLOUDINARY_URL: cloud.cloudinaryUrl,
    DEMO_EXIT: '1',
    PORT: '0',
  })
  const ended = await demo.ended

  t.strictSame({ ...ended, stderr: demo.stderr() }, { code: 0, signal: null, stderr: '' })
  const [first, second] = demo.stdout().split('\n')
  t.match(first, `only the database ${nameOf(uri)}_demo is used`)
  t.match(second, 'CLOUDINARY_URL is set')
  t.equal(cloud.requests.filter(({ action }) => action === 'upload').length, 5)
  t.equal(cloud.requests.filter(({ action }) => action === 'rename').length, 3)
  t.strictSame(
    cloud.list().map(({ publicId }) => publicId),
    ['temp/user_0123456789abcdef01234567/kept'],
  )
  const names = await databaseNames(uri)
  t.ok(names.includes(nameOf(uri)))
  t.notOk(names.includes(`${nameOf(uri)}_demo`))
})

t.test('a database of that name that no demo has made is refused, and stays', async (t) => {
  const uri = await databaseUri('_taken')
  const taken = await databaseUri('_taken_demo')
  await insertInto(t, taken, { precious: true })

  const demo = await startDemo(t, { MONGODB_URI: uri, PORT: '0' })
  const ended = await demo.ended

  t.strictSame(ended, { code: 1, signal: null })
  t.match(demo.stderr(), /^The database \S+_taken_demo is there already, and no demo has made it.*\n$/)
  t.equal(await countIn(taken), 1)
})

t.test('another answer than expected is named, and the end is 1', async (t) => {
  const cloud = await startCloudinary()
  t.teardown(cloud.close)
  cloud.faults.on(({ action, publicId }) => action === 'rename' && /\/clip$/.test(publicId ?? ''), {
    kind: 'status',
    status: 403,
  })

  const demo = await startDemo(t, {
    MONGODB_URI: await databaseUri('_unexpected'),
    CLOUDINARY_URL: cloud.cloudinaryUrl,
    DEMO_EXIT: '1',
    PORT: '0',
  })
  const ended = await demo.ended

  t.strictSame(ended, { code: 1, signal: null })
  t.match(
    demo.stderr(),
    'Not answered as expected: A video: expected 200 OK, the answer was 500 MEDIA_PROMOTION_FAILED.',
  )
  t.strictSame(cloud.list(), [])
})

t.test('a PORT that is in use is told in one sentence', async (t) => {
  const port = await busyPort(t)

  const demo = await startDemo(t, { PORT: String(port) })

  t.strictSame(await demo.ended, { code: 1, signal: null })
  t.equal(demo.stderr(), `PORT ${port} is in use: set another one, or 0 for any that is free.\n`)
})

t.test('wrong variables are told in one sentence, with no secret', async (t) => {
  const demo = await startDemo(t, { PORT: 'x', MONGODB_URI: 'mongodb://ann:secret@host' })

  t.strictSame(await demo.ended, { code: 1, signal: null })
  t.match(demo.stderr(), /^configuration is not valid: PORT .*; MONGODB_URI .*\n$/)
  t.notMatch(demo.stderr(), 'secret')
})

t.test('a mongod that is not there is told in one sentence', async (t) => {
  const demo = await startDemo(t, { MONGOMS_SYSTEM_BINARY: '/nowhere/mongod', PORT: '0' })

  t.strictSame(await demo.ended, { code: 1, signal: null })
  t.equal(demo.stderr(), 'MONGOMS_SYSTEM_BINARY names /nowhere/mongod, which is not an executable file.\n')
})

t.test('a database that does not answer is told in one sentence', async (t) => {
  const demo = await startDemo(t, { MONGODB_URI: 'mongodb://ann:secret@127.0.0.1:1/chat', PORT: '0' })

  t.strictSame(await demo.ended, { code: 1, signal: null })
  t.equal(demo.stderr(), 'MONGODB_URI: the database did not answer within 10 s.\n')
})

interface Demo {
  /** Of the process, and of its group. */
  pid: number
  stdout(): string
  stderr(): string
  ended: Promise<{ code: number | null; signal: string | null }>
  hasLeftNothing(): Promise<boolean>
}

/** A process group of its own, and a temporary folder by which all that it starts is known. */
async function startDemo(
  t: Test,
  env: Record<string, string>,
  [program, ...args]: readonly [string, ...string[]] = command,
): Promise<Demo> {
  const { PATH, HOME, XDG_CACHE_HOME, MONGOMS_SYSTEM_BINARY } = process.env
  const folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
  const demo = spawn(program, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH, HOME, XDG_CACHE_HOME, MONGOMS_SYSTEM_BINARY, TMPDIR: folder, ...env },
  })
  const [stdout, stderr] = [collected(demo.stdout), collected(demo.stderr)]
  const ended = once(demo, 'close').then(([code, signal]) => ({ code, signal }))
  t.teardown(async () => {
    await killGroup(demo)
    await rm(folder, { recursive: true, force: true })
  })
  const hasLeftNothing = async (): Promise<boolean> => {
    const folders = (await readdir(folder)).filter((name) => name.startsWith(dataFolderPrefix))
    return folders.length === 0 && !(await isAnyProcessIn(folder))
  }
  return { pid: demo.pid ?? 0, stdout, stderr, ended, hasLeftNothing }
}

function collected(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString()
}

async function killGroup(leader: ChildProcess): Promise<void> {
  try {
    process.kill(-(leader.pid ?? 0), 'SIGKILL')
  } catch {
    // It has ended, as it should have.
  }
}

/** By their environment, which only Linux shows: whoever has left the group is found, too. A zombie has none. */
async function isAnyProcessIn(folder: string): Promise<boolean> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const environments = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')),
  )
  return environments.some((environment) => environment.includes(folder))
}

interface ShownStep {
  outcome: string
  /** As it was printed, over several lines. */
  line: string
}

function shownSteps(output: string): ShownStep[] {
  return output
    .split(/^── (?=\d+\/)/m)
    .slice(1)
    .map((block) => ({
      outcome: /^\d+\/\d+ {2}(.*)/.exec(block)?.[1] ?? '',
      line: /^curl (?:.*\\\n)*.*$/m.exec(block)?.[0] ?? '',
    }))
}

/** The tokens' exports, and the line that uses one of them. */
function closingLines(output: string): string {
  return /^export ALICE=[\s\S]*?^curl (?:.*\\\n)*.*$/m.exec(output)?.[0] ?? ''
}

/** Into a bash of its own, exactly as they were printed; the function adds the status to what the real curl prints. */
async function paste(lines: string): Promise<string> {
  const script = `curl() { command curl -w '\\n%{http_code}' "$@"; }\n${lines}\n`
  const bash = spawn('bash', ['--noprofile', '--norc'], { stdio: ['pipe', 'pipe', 'inherit'] })
  bash.stdin.end(script)
  const stdout = collected(bash.stdout)
  await once(bash, 'close')
  const [body = '', status] = stdout().split('\n')
  const { code = 'OK' } = JSON.parse(body) as { code?: string }
  return `${status} ${code}`
}

async function busyPort(t: Test): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function nameOf(uri: string): string {
  return /\/([^/?]+)(?:\?.*)?$/.exec(uri)?.[1] ?? ''
}

async function insertInto(t: Test, uri: string, document: object): Promise<void> {
  t.teardown(() => dropDatabase(uri))
  await withClient(uri, (client) => client.db().collection('documents').insertOne(document))
}

function countIn(uri: string): Promise<number> {
  return withClient(uri, (client) => client.db().collection('documents').countDocuments())
}

async function databaseNames(uri: string): Promise<string[]> {
  const { databases } = await withClient(uri, (client) => client.db().admin().listDatabases())
  return databases.map(({ name }) => name)
}

async function withClient<T>(uri: string, use: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = new MongoClient(uri)
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}
