import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import { dataFolderPrefix } from '../../src/dev/data-folders.ts'
import { heldReplicaSet, holdReplicaSet, releaseReplicaSet } from '../../src/dev/held-replica-set.ts'
import { findMongod, MongodNotFound } from '../../src/dev/mongod.ts'
import { wheelBinaryName } from '../../src/dev/mongod-wheel.ts'
import { isAlive } from '../../src/dev/processes.ts'
import { startReplicaSet } from '../../src/dev/replica-set.ts'
import { eventually } from '../support/eventually.ts'

const say = (): void => undefined

// Where a server is named there may be no binary to start another one from.
const withBinary = { skip: process.env.MONGODB_URI ? 'MONGODB_URI names the server to use' : false }

// Measured: under 0.1 s for the members, 1 s for their folder; the library's watcher alone needs 3.5 s.
const goneWithinMs = 15_000

t.test('a wrong MONGOMS_SYSTEM_BINARY is refused in one sentence, and nothing else is tried', async (t) => {
  const said: string[] = []
  const env = { MONGOMS_SYSTEM_BINARY: join(t.testdir({ 'not-executable': '' }), 'not-executable') }

  const found = findMongod({ env, say: (line) => said.push(line) })

  const message = `MONGOMS_SYSTEM_BINARY names ${env.MONGOMS_SYSTEM_BINARY}, which is not an executable file.`
  await t.rejects(found, new MongodNotFound(message))
  t.strictSame(said, [])
})

t.test('a mongod that was fetched before is taken from the cache', async (t) => {
  const cache = t.testdir()
  const binary = await cacheProgram(cache, 'echo "db version v6.0.5"')

  const found = await findMongod({ env: { PATH: '', XDG_CACHE_HOME: cache }, say })

  t.equal(found, binary)
})

t.test('a missing libcurl is told with the package that has it', async (t) => {
  const cache = t.testdir()
  await cacheProgram(cache, 'echo "libcurl.so.4: cannot open shared object file: No such file" >&2; exit 127')

  const found = findMongod({ env: { PATH: '', XDG_CACHE_HOME: cache }, say })

  await t.rejects(found, { name: 'MongodNotFound', message: /libcurl\.so\.4.*package is libcurl4/ })
})

t.test(
  'a replica set commits a transaction, and its end leaves neither process nor folder',
  withBinary,
  async (t) => {
    const binary = await findMongod({ env: process.env, say })
    const replicaSet = await startReplicaSet({ binary, testCommands: true })
    t.teardown(replicaSet.stop)

    const stored = await storeInTransaction(replicaSet.uri('test'))
    await replicaSet.stop()

    t.equal(stored, 1)
    t.strictSame(
      replicaSet.members.map(({ pid }) => isAlive(pid)),
      [false],
    )
    t.notOk(existsSync(replicaSet.folder))
  },
)

t.test('a killed process leaves neither its mongod nor the data', withBinary, async (t) => {
  const runner = startRunner(t)
  const held = await holdReplicaSet(runner.pid, { env: process.env, say })
  const mongodPid = await processIdOf(held.uri)

  process.kill(held.holderPid, 'SIGKILL')

  await eventually(() => !isAlive(mongodPid), goneWithinMs)
  await eventually(async () => (await dataFoldersOf(held.holderPid)).length === 0, goneWithinMs)
})

t.test('a held replica set ends with the process that it is held for', withBinary, async (t) => {
  const runner = startRunner(t)
  const held = await holdReplicaSet(runner.pid, { env: process.env, say })
  const mongodPid = await processIdOf(held.uri)

  runner.process.kill('SIGKILL')

  await eventually(() => !isAlive(held.holderPid), goneWithinMs)
  t.notOk(isAlive(mongodPid))
  t.equal(await heldReplicaSet(runner.pid), undefined)
  t.strictSame(await dataFoldersOf(held.holderPid), [])
})

async function cacheProgram(cache: string, script: string): Promise<string> {
  const folder = join(cache, 'private-message-service')
  const binary = join(folder, wheelBinaryName)
  await mkdir(folder)
  await writeFile(binary, `#!/bin/sh\n${script}\n`)
  await chmod(binary, 0o755)
  return binary
}

async function storeInTransaction(uri: string): Promise<number> {
  const client = new MongoClient(uri)
  try {
    const documents = client.db().collection('documents')
    await client.withSession((session) =>
      session.withTransaction(async () => void (await documents.insertOne({}, { session }))),
    )
    return await documents.countDocuments()
  } finally {
    await client.close()
  }
}

/** Stands for tap's runner: a process that does nothing until it is killed. */
function startRunner(t: Test): { pid: number; process: ChildProcess } {
  const runner = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1e6)'], { stdio: 'ignore' })
  const pid = runner.pid ?? 0
  t.teardown(async () => {
    await releaseReplicaSet(pid)
    runner.kill('SIGKILL')
  })
  return { pid, process: runner }
}

async function processIdOf(uri: string): Promise<number> {
  const client = new MongoClient(uri)
  try {
    return Number((await client.db('admin').command({ serverStatus: 1 })).pid)
  } finally {
    await client.close()
  }
}

async function dataFoldersOf(pid: number): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith(`${dataFolderPrefix}${pid}-`))
}
