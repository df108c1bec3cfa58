import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Load, LoadResult } from './load.ts'
import type { Target } from './rows.ts'
import { startArguments } from './start-arguments.ts'
import type { JwtKey } from './tokens.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const built = join(root, 'node_modules/.cache/private-message-service/bench')

// For all servers alike; beside what `npm start` has, what a profile needs, for example --cpu-prof.
const nodeArguments = [...startArguments, ...(process.env.BENCH_NODE_ARGS?.split(' ') ?? [])]

const environment = {
  PATH: process.env.PATH,
  NODE_ENV: 'production',
  PORT: '0',
  // In the path, as in production, but never the answer.
  RATE_LIMIT_MAX: '1000000000',
}

export interface Running {
  pids: number[]
  ports: number[]
  key: JwtKey
}

export interface Fleet {
  start(target: Target, mongodbUri: string): Promise<Running>
  load(load: Load): Promise<LoadResult>
  stop(): void
}

const programs: Record<Target, { script: string; algorithm: JwtKey['algorithm']; count: number }> = {
  ceiling: { script: 'bench/servers/ceiling.js', algorithm: 'HS256', count: 1 },
  'ceiling-eddsa': { script: 'bench/servers/ceiling.js', algorithm: 'EdDSA', count: 1 },
  'one-at-a-time': { script: 'bench/servers/one-at-a-time.js', algorithm: 'HS256', count: 1 },
  service: { script: 'src/server.js', algorithm: 'HS256', count: 1 },
  'service-2': { script: 'src/server.js', algorithm: 'HS256', count: 2 },
  'service-eddsa': { script: 'src/server.js', algorithm: 'EdDSA', count: 1 },
}

/** Compiled once, all of it the same way: what is compared differs in nothing but its code. */
export function build(): void {
  execFileSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'bench/tsconfig.json'],
    { cwd: root, stdio: 'inherit' },
  )
}

/** The load generator, and whatever is started to be measured. Idle servers cost nothing that can be seen. */
export function openFleet(cloudinaryUrl: string): Fleet {
  const folder = mkdtempSync(join(tmpdir(), 'private-message-service-bench-'))
  const keys = makeKeys()
  const generator = fork(join(built, 'bench/load.js'), { cwd: folder, execArgv: [] })
  const children: ChildProcess[] = [generator]

  async function startOne(script: string, env: NodeJS.ProcessEnv): Promise<{ pid: number; port: number }> {
    const log = join(folder, `${children.length}.log`)
    const child = spawn(process.execPath, [...nodeArguments, join(built, script)], {
      env,
      cwd: folder,
      stdio: ['ignore', openSync(log, 'w'), 'inherit'],
    })
    children.push(child)
    return { pid: child.pid ?? 0, port: await listening(child, log) }
  }

  return {
    async start(target, mongodbUri) {
      const { script, algorithm, count } = programs[target]
      const { key, env } = keys[algorithm]
      const running: Running = { pids: [], ports: [], key }
      for (let nth = 0; nth < count; nth++) {
        const common = { ...environment, MONGODB_URI: mongodbUri, CLOUDINARY_URL: cloudinaryUrl }
        const { pid, port } = await startOne(script, { ...common, ...env })
        running.pids.push(pid)
        running.ports.push(port)
      }
      return running
    },
    load: (load) => ask(generator, load),
    stop() {
      for (const child of children) child.kill('SIGTERM')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Each with the variable by which a server knows it. */
function makeKeys(): Record<JwtKey['algorithm'], { key: JwtKey; env: NodeJS.ProcessEnv }> {
  const secret = randomBytes(32).toString('hex')
  const pair = generateKeyPairSync('ed25519')
  const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  return {
    HS256: { key: { algorithm: 'HS256', key: secret }, env: { JWT_SECRET: secret } },
    EdDSA: { key: { algorithm: 'EdDSA', key: privateKey }, env: { JWT_PUBLIC_KEY: publicKey } },
  }
}

async function ask(generator: ChildProcess, load: Load): Promise<LoadResult> {
  const answered = new AbortController()
  const ended = once(generator, 'exit', { signal: answered.signal }).then(() => {
    throw new Error('the load generator has ended')
  })
  ended.catch(() => {})
  generator.send(load)
  const [result] = await Promise.race([once(generator, 'message'), ended])
  answered.abort()
  return result
}

async function listening(child: ChildProcess, log: string): Promise<number> {
  for (let waitedMs = 0; waitedMs < 20_000; waitedMs += 50) {
    const line = readFileSync(log, 'utf8')
      .split('\n')
      .find((each) => each.includes('"msg":"listening"'))
    if (line) return Number(new URL(JSON.parse(line).address).port)
    if (child.exitCode !== null) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`a server did not start: ${readFileSync(log, 'utf8').slice(-2000)}`)
}
