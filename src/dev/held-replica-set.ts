import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type FindMongodOptions, findMongod } from './mongod.ts'
import { eventually, isAlive } from './processes.ts'

/** What the holder writes once the set is up: the address, without a database's name, and its own id. */
export type HeldReplicaSet = { uri: string; holderPid: number }

const root = fileURLToPath(new URL('../../', import.meta.url))
const cacheFolder = join(root, 'node_modules/.cache/private-message-service')

// One set a checkout and a run: node_modules may be a link that several checkouts share.
const filePrefix = `test-mongo-${createHash('sha256').update(root).digest('hex').slice(0, 12)}-`

// Two starts of mongod, each with the time it has on a busy machine.
const startTimeoutMs = 130_000

// It ends in well under a second; when it does not, its own watchers still do what it should have done.
const stopTimeoutMs = 15_000

/** Starts a set that outlives this process, for as long as the process `watchedPid` runs. */
export async function holdReplicaSet(
  watchedPid: number,
  options: FindMongodOptions,
): Promise<HeldReplicaSet> {
  const binary = await findMongod(options)
  const { handOver, log } = files(watchedPid)
  await mkdir(cacheFolder, { recursive: true })
  await removeAbandoned()

  // Without a name from the start, so that it goes with the last process that has it open.
  const output = await open(log, 'w+')
  await rm(log, { force: true })
  const program = fileURLToPath(new URL('./hold-replica-set.ts', import.meta.url))
  const args = ['--binary', binary, '--hand-over', handOver, '--watch', String(watchedPid)]
  // A process group of its own, since Ctrl-C is to end the tests before their database.
  // With this process's own loader: the figures of coverage are wrong where two of them have compiled one file.
  const holder = spawn(process.execPath, [...process.execArgv, program, ...args], {
    cwd: root,
    detached: true,
    stdio: ['ignore', output.fd, output.fd],
  })
  await once(holder, 'spawn')

  const hasSettled = async (): Promise<boolean> =>
    holder.exitCode !== null || holder.signalCode !== null || (await heldReplicaSet(watchedPid)) !== undefined
  await eventually(hasSettled, { timeoutMs: startTimeoutMs })
  holder.unref()

  const held = await heldReplicaSet(watchedPid)
  const said = await readWritten(output)
  await output.close()
  if (held !== undefined) return held

  holder.kill('SIGKILL')
  throw new Error(`MongoDB did not start: ${said || 'no reason given'}`)
}

/** The set that is held for that process, if there is one. */
export async function heldReplicaSet(watchedPid: number): Promise<HeldReplicaSet | undefined> {
  const text = await readFile(files(watchedPid).handOver, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined

  // The holder alone writes this file, whole.
  const held = JSON.parse(text) as HeldReplicaSet
  return isAlive(held.holderPid) ? held : undefined
}

/** Returns once nothing of it is left. */
export async function releaseReplicaSet(watchedPid: number): Promise<void> {
  const held = await heldReplicaSet(watchedPid)
  if (held === undefined) return await rm(files(watchedPid).handOver, { force: true })

  process.kill(held.holderPid, 'SIGTERM')
  const isGone = await eventually(() => !isAlive(held.holderPid), { timeoutMs: stopTimeoutMs })
  if (!isGone) process.kill(held.holderPid, 'SIGKILL')
}

function files(watchedPid: number): { handOver: string; log: string } {
  const base = join(cacheFolder, `${filePrefix}${watchedPid}`)
  return { handOver: `${base}.json`, log: `${base}.log` }
}

/** A holder that was killed could not remove its file, and the watched id may by now be ours. */
async function removeAbandoned(): Promise<void> {
  const pids = (await readdir(cacheFolder))
    .filter((name) => name.startsWith(filePrefix))
    .map((name) => Number.parseInt(name.slice(filePrefix.length), 10))
  for (const pid of pids) {
    if ((await heldReplicaSet(pid)) === undefined) await rm(files(pid).handOver, { force: true })
  }
}

async function readWritten(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read({ position: 0 })
  return buffer.toString('utf8', 0, bytesRead).trim()
}
