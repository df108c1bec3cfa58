import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Test } from 'tap'
import { root } from './root.ts'
import { jwtSecret } from './service.ts'

/** The service as its operator runs it: `src/server.ts` in a process of its own. */
export interface ServiceProcess {
  /** Where it listens; rejects when it ends before. */
  url: Promise<string>
  /** The first line of its log with that message. */
  logged(msg: string): Promise<Record<string, unknown>>
  kill(signal: NodeJS.Signals): void
  exit: Promise<Exit>
}

export interface Exit {
  code: number | null
  stdout: string
  stderr: string
  /** From its start to its end. */
  seconds: number
}

// What the environment of whoever runs the tests may hold, and the service would read.
const ownVariables =
  /^(HOST|PORT|MONGODB_URI|CLOUDINARY_URL|JWT_.*|RATE_LIMIT_.*|TRUST_PROXY|LOG_LEVEL|OTEL_.*)$/

const defaults = {
  PORT: '0',
  MONGODB_URI: 'mongodb://127.0.0.1:1/never',
  CLOUDINARY_URL: 'cloudinary://key:secret@demo?upload_prefix=http://127.0.0.1:1',
  JWT_SECRET: jwtSecret,
}

/** Starts it; it is killed when the test ends, unless it has ended before. An empty variable counts as unset. */
export function startProcess(t: Test, env: Record<string, string>): ServiceProcess {
  const startedAt = performance.now()
  const inherited = Object.entries(process.env).filter(([name]) => !ownVariables.test(name))
  // With this process's own loader: the figures of coverage are wrong where two of them have compiled one file.
  const child = spawn(process.execPath, [...process.execArgv, 'src/server.ts'], {
    cwd: root,
    env: { ...Object.fromEntries(inherited), ...defaults, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => void child.kill('SIGKILL'))

  const exit = exitOf(child, startedAt)
  const logged = messagesOf(child)
  const url = logged('listening').then(({ address }) => String(address))
  // Who waits for the end only need not look at the address.
  url.catch(() => undefined)
  return { url, logged, kill: (signal) => void child.kill(signal), exit }
}

type Child = ChildProcessByStdio<null, Readable, Readable>

async function exitOf(child: Child, startedAt: number): Promise<Exit> {
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (output.stdout += chunk))
  child.stderr.on('data', (chunk) => (output.stderr += chunk))
  const [code] = await once(child, 'close')
  return { code, ...output, seconds: (performance.now() - startedAt) / 1000 }
}

function messagesOf(child: Child): ServiceProcess['logged'] {
  const lines: Record<string, unknown>[] = []
  const waiting = new Set<() => void>()
  let ended = false
  const tell = (): void => {
    for (const look of waiting) look()
  }
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => {
    lines.push(JSON.parse(line))
    tell()
  })
  reader.on('close', () => {
    ended = true
    tell()
  })
  return (msg) =>
    new Promise((resolve, reject) => {
      function look(): void {
        const line = lines.find((each) => each.msg === msg)
        if (line === undefined && !ended) return
        waiting.delete(look)
        if (line) resolve(line)
        else reject(new Error(`it ended without having logged "${msg}"`))
      }
      waiting.add(look)
      look()
    })
}
