import { type ChildProcess, execFile } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startArguments } from '../../../bench/start-arguments.ts'
import { isAlive } from '../../../src/dev/processes.ts'
import { eventually } from '../../support/eventually.ts'
import { root } from '../../support/root.ts'
import { hasEnded, killChild, spawnBound } from './children.ts'

export interface ServiceOptions {
  /** Variables beside those that it needs, or instead of them. */
  env?: Record<string, string>
}

/** The service as its operator runs it; after `kill` and `start` it has the same address. */
export interface ServiceProcess {
  readonly url: string
  readonly port: number
  /** Of the process that runs now. */
  readonly pid: number
  kill(): Promise<void>
  /** Again, after `kill`. Resolves when it answers. */
  start(): Promise<void>
  pause(): void
  resume(): void
  /** What it logged at `warn` and above, of all its lives. */
  log(): string[]
}

/** The compiled service, and all processes of it. */
export interface Services {
  start(options: { env: Record<string, string> }): Promise<ServiceProcess>
  remove(): Promise<void>
}

export const jwtSecret = 'a secret of the fault tests with over 32 bytes'

const cacheFolder = join(root, 'node_modules/.cache/private-message-service')
const builtPrefix = 'faults-'
// The contract gives a database 10 s to answer; the machine may be busy with something else.
const startTimeoutMs = 40_000

/** Compiled once a run, in a folder of the run's own: two runs, or two checkouts, do not disturb each other. */
export async function buildService(): Promise<Services> {
  await removeAbandoned()
  const built = join(cacheFolder, `${builtPrefix}${process.pid}`)
  await mkdir(built, { recursive: true })
  // Below node_modules no other package.json would say so.
  await writeFile(join(built, 'package.json'), '{ "type": "module" }\n')
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  await promisify(execFile)(process.execPath, [tsc, '-p', 'tsconfig.json', '--outDir', built], { cwd: root })
  const folder = await mkdtemp(join(tmpdir(), 'private-message-service-faults-'))
  return {
    start: ({ env }) => startService(join(built, 'src/server.js'), folder, env),
    async remove() {
      await rm(built, { recursive: true, force: true })
      await rm(folder, { recursive: true, force: true })
    },
  }
}

let logs = 0

async function startService(
  server: string,
  folder: string,
  env: Record<string, string>,
): Promise<ServiceProcess> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const logFile = join(folder, `service-${logs++}.log`)
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const log = openSync(logFile, 'a')
    const defaults = { NODE_ENV: 'production', PORT: String(port), JWT_SECRET: jwtSecret, LOG_LEVEL: 'warn' }
    const started = spawnBound(process.execPath, [...startArguments, server], {
      cwd: folder,
      env: { PATH: process.env.PATH, ...defaults, ...env },
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    child = started
    // At `warn` there is no line that says where it listens; the port is known, so it can be asked.
    const answers = async (): Promise<boolean> =>
      hasEnded(started) ||
      (await fetch(`${url}/health/live`).then(
        ({ ok }) => ok,
        () => false,
      ))
    const late = await eventually(answers, startTimeoutMs, 25).catch((error: unknown) => error)
    if (late || hasEnded(started))
      throw new Error(`the service did not start: ${lines(logFile).join('\n')}`, { cause: late })
  }

  await start()
  const signal = (name: NodeJS.Signals): void => void child?.kill(name)
  return {
    url,
    port,
    get pid() {
      return child?.pid ?? 0
    },
    async kill() {
      if (child) await killChild(child)
    },
    start,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    log: () => lines(logFile),
  }
}

function lines(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
}

/** Somebody else could take it before the service does; then the start fails, and says so. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Of runs that were killed. */
async function removeAbandoned(): Promise<void> {
  const names = await readdir(cacheFolder).catch(() => [])
  for (const name of names.filter((each) => each.startsWith(builtPrefix))) {
    const owner = Number(name.slice(builtPrefix.length))
    if (!isAlive(owner)) await rm(join(cacheFolder, name), { recursive: true, force: true })
  }
}
