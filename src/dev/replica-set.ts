import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import { MongoMemoryReplSet } from 'mongodb-memory-server-core'
import { dataFolderPrefix, removeAbandonedDataFolders } from './data-folders.ts'
import { MongodNotFound, mongodVersion } from './mongod.ts'

export type ReplicaSetOptions = {
  /** A mongod, as findMongod names it. */
  binary: string
  members?: 1 | 3
  /** One a member; without them each takes a free one. */
  ports?: readonly number[]
  /** Fail points, and transactions that are ended after 10 s, so that no test need wait a minute for that. */
  testCommands?: boolean
  /** Each member's cache; by default as little as tests need. */
  cacheGb?: number
  say?: (line: string) => void
}

export type Member = { port: number; pid: number }

export type ReplicaSet = {
  uri(databaseName: string): string
  members: readonly Member[]
  /** Everything the members write lies in here. */
  folder: string
  stop(): Promise<void>
}

const setName = 'private-message-service'

// The library's own 10 s is too short on a machine that is busy with something else.
const launchTimeoutMs = 60_000

// Three members copy an empty database from each other within 3 s when nothing else runs.
const followTimeoutMs = 60_000

/** Real members on 127.0.0.1. Their data is thrown away by stop(), or when this process ends without it. */
export async function startReplicaSet(options: ReplicaSetOptions): Promise<ReplicaSet> {
  const version = await mongodVersion(options.binary, process.env)
  if (version.kind === 'fails') throw new MongodNotFound(`${options.binary} does not run: ${version.reason}.`)

  await removeAbandonedDataFolders()
  return await startVersion(version.version, options).catch((error: unknown) => {
    // A free port was found, and somebody else took it before mongod did.
    const wasRaced =
      options.ports === undefined && error instanceof Error && /already in use/.test(error.message)
    if (wasRaced) return startVersion(version.version, options)
    throw error
  })
}

async function startVersion(version: string, options: ReplicaSetOptions): Promise<ReplicaSet> {
  const startedAt = performance.now()
  const folder = await mkdtemp(join(tmpdir(), `${dataFolderPrefix}${process.pid}-`))
  const replSet = await prepare(version, folder, options)
  const stop = stopper(replSet, folder)
  try {
    await replSet.start()
    const members = membersOf(replSet)
    requirePorts(members, options.ports ?? [])
    stop.evenIfKilled(members)
    const hosts = members.map(({ port }) => `127.0.0.1:${port}`).join()
    const uri = (databaseName: string): string => `mongodb://${hosts}/${databaseName}?replicaSet=${setName}`
    if (members.length > 1) await untilAllFollow(uri('admin'), members.length)

    options.say?.(
      `mongod: replica set at ${hosts} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
    )
    return { uri, members, folder, stop: stop.now }
  } catch (error) {
    await stop.now()
    throw error
  }
}

async function prepare(
  version: string,
  folder: string,
  options: ReplicaSetOptions,
): Promise<MongoMemoryReplSet> {
  const { binary, members: count = 1, ports = [] } = options
  const dbPaths = Array.from({ length: count }, (_, index) => join(folder, `member-${index}`))
  await Promise.all(dbPaths.map((dbPath) => mkdir(dbPath)))

  return new MongoMemoryReplSet({
    // A named binary is never downloaded; its version keeps the library from warning that it is not its own.
    binary: { systemBinary: binary, version },
    instanceOpts: dbPaths.map((dbPath, index) => {
      const port = ports[index]
      return { dbPath, launchTimeout: launchTimeoutMs, ...(port === undefined ? {} : { port }) }
    }),
    replSet: {
      name: setName,
      count,
      // The library's default, ephemeralForTest, knows neither transactions nor majority reads.
      storageEngine: 'wiredTiger',
      ip: '127.0.0.1',
      args: mongodArguments(options),
      // A process group of their own: Ctrl-C reaches the parent only, which needs them to close in order.
      spawn: { detached: true },
      // With the default of 10 s a test of a lost primary would mostly wait.
      configSettings: count === 1 ? {} : { electionTimeoutMillis: 2000, heartbeatIntervalMillis: 500 },
    },
  })
}

function mongodArguments({ testCommands = false, cacheGb = 0.25 }: ReplicaSetOptions): string[] {
  const parameters = testCommands ? ['enableTestCommands=1', 'transactionLifetimeLimitSeconds=10'] : []
  return [
    ...['--wiredTigerCacheSizeGB', String(cacheGb), '--oplogSize', '64'],
    // It would lie outside the folder, and stay there after SIGKILL.
    ...(process.platform === 'win32' ? [] : ['--nounixsocket']),
    ...parameters.flatMap((parameter) => ['--setParameter', parameter]),
  ]
}

function membersOf(replSet: MongoMemoryReplSet): Member[] {
  return replSet.servers.map(({ instanceInfo }) => {
    const pid = instanceInfo?.instance.mongodProcess?.pid
    if (instanceInfo === undefined || pid === undefined)
      throw new Error('A member ended while the set started.')
    return { port: instanceInfo.port, pid }
  })
}

/** The library takes another port, without a word, where one is in use. */
function requirePorts(members: readonly Member[], ports: readonly number[]): void {
  const taken = ports.filter((port, index) => members[index] && members[index].port !== port)
  if (taken.length > 0) throw new Error(`Port ${taken.join(', ')} is in use.`)
}

/** While its secondaries still copy, a set does not survive the loss of its primary. */
async function untilAllFollow(uri: string, count: number): Promise<void> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: followTimeoutMs })
  try {
    const writeConcern = { w: count, wtimeout: followTimeoutMs }
    await client.db('admin').command({ appendOplogNote: 1, data: { note: 'all follow' }, writeConcern })
  } finally {
    await client.close()
  }
}

type Stopper = { now(): Promise<void>; evenIfKilled(members: readonly Member[]): void }

function stopper(replSet: MongoMemoryReplSet, folder: string): Stopper {
  let lifeline: ChildProcess | undefined
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    try {
      await Promise.all(replSet.servers.map((server) => kill(server.instanceInfo?.instance.mongodProcess)))
      lifeline?.stdin?.end('stopped\n')
      // What is left to the library is its own watcher of each member.
      await replSet.stop({ doCleanup: false })
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    }
  }
  return {
    now: () => {
      stopped ??= stop()
      return stopped
    },
    evenIfKilled: (members) => {
      lifeline = startLifeline(folder, members)
    },
  }
}

/** SIGKILL, as the data is thrown away: a shutdown takes 3 s, with three members 18 s, frozen for ever. */
async function kill(mongod: ChildProcess | undefined): Promise<void> {
  if (mongod === undefined || mongod.exitCode !== null || mongod.signalCode !== null) return
  const exited = once(mongod, 'exit')
  mongod.kill('SIGKILL')
  await exited
}

/**
 * A shell that waits for a line from this process. When the pipe ends without one, this process was killed,
 * and the shell kills the members and removes the folder. The library's own watcher looks every 2 s, shuts
 * down slowly, leaves the folder, and takes a zombie for alive: the second line, and the only one on Windows.
 */
function startLifeline(folder: string, members: readonly Member[]): ChildProcess | undefined {
  if (process.platform === 'win32') return undefined

  const script = 'read -r word && exit 0; folder=$1; shift; kill -KILL "$@"; sleep 1; rm -rf "$folder"'
  const args = ['-c', script, 'lifeline', folder, ...members.map(({ pid }) => String(pid))]
  const shell = spawn('sh', args, { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  // Without a shell, or when somebody ended it, there is still the library's watcher.
  shell.on('error', () => undefined)
  shell.stdin?.on('error', () => undefined)
  shell.unref()
  return shell
}
