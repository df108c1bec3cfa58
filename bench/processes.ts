import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { JwtKey, Load, LoadResult } from './load.ts'
import type { Target } from './rows.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const built = join(root, 'node_modules/.cache/private-message-service/bench')

// As `npm start` has it, for all servers alike; beside it what a profile needs, for example --cpu-prof.
const nodeArguments = ['--max-semi-space-size=64', ...(process.env.BENCH_NODE_ARGS?.split(' ') ?? [])]

export interface Running {
  pids: number[]
  ports: number[]
  key: JwtKey
}

export interface Fleet {
  targets: Record<Target, Running>
  load(load: Load): Promise<LoadResult>
  stop(): void
}

/** Compiled once, all of it the same way: what is compared differs in nothing but its code. */
export function build(): void {
  execFileSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'bench/tsconfig.json'],
    { cwd: root, stdio: 'inherit' },
  )
}

/** Starts every server that is measured, and the load generator. Idle ones cost nothing that can be seen. */
export async function startFleet({
  mongodbUri,
  cloudinaryUrl,
}: {
  mongodbUri: string
  cloudinaryUrl: string
}): Promise<Fleet> {
  const folder = mkdtempSync(join(tmpdir(), 'private-message-service-bench-'))
  const children: ChildProcess[] = []
  const secret = randomBytes(32).toString('hex')
  const pair = generateKeyPairSync('ed25519')
  const hs256: JwtKey = { algorithm: 'HS256', key: secret }
  const eddsa: JwtKey = {
    algorithm: 'EdDSA',
    key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()

  async function start(script: string, key: JwtKey, count = 1): Promise<Running> {
    const running: Running = { pids: [], ports: [], key }
    for (let nth = 0; nth < count; nth++) {
      const log = join(folder, `${children.length}.log`)
      const env = {
        PATH: process.env.PATH,
        NODE_ENV: 'production',
        MONGODB_URI: mongodbUri,
        CLOUDINARY_URL: cloudinaryUrl,
        PORT: '0',
        // In the path, as in production, but never the answer.
        RATE_LIMIT_MAX: '1000000000',
        ...(key === hs256 ? { JWT_SECRET: secret } : { JWT_PUBLIC_KEY: publicKey }),
      }
      const arguments_ = [...nodeArguments, join(built, script)]
      const child = spawn(process.execPath, arguments_, {
        env,
        cwd: folder,
        stdio: ['ignore', openSync(log, 'w'), 'inherit'],
      })
      children.push(child)
      running.pids.push(child.pid ?? 0)
      running.ports.push(await listening(child, log))
    }
    return running
  }

  const generator = fork(join(built, 'bench/load.js'), { cwd: folder, execArgv: [] })
  children.push(generator)
  const stop = (): void => {
    for (const child of children) child.kill('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const targets = {
      ceiling: await start('bench/servers/ceiling.js', hs256),
      'ceiling-eddsa': await start('bench/servers/ceiling.js', eddsa),
      'one-at-a-time': await start('bench/servers/one-at-a-time.js', hs256),
      service: await start('src/server.js', hs256),
      'service-2': await start('src/server.js', hs256, 2),
      'service-eddsa': await start('src/server.js', eddsa),
    }
    return { targets, stop, load: (load) => ask(generator, load) }
  } catch (error) {
    stop()
    throw error
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
