import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

export type Ran = { kind: 'done'; stdout: string } | { kind: 'failed'; reason: string }

export type RunOptions = {
  env: NodeJS.ProcessEnv
  timeoutMs: number
  onLine?: ((line: string) => void) | undefined
}

/** Runs a program to its end. A failure is an answer here, because every caller has something else to try. */
export function run(command: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const { env, timeoutMs, onLine } = options
  return new Promise((resolve) => {
    // SIGKILL: a download that hangs must not be able to outlive its time by ignoring a politer signal.
    const limits = { env, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 16 * 1024 * 1024 } as const
    const child = execFile(command, args, limits, (error, stdout, stderr) => {
      if (error === null) resolve({ kind: 'done', stdout })
      else if (error.code === 'ENOENT') resolve({ kind: 'failed', reason: `${command} is not installed` })
      else if (error.killed) resolve({ kind: 'failed', reason: `no end within ${timeoutMs / 1000} s` })
      else
        resolve({ kind: 'failed', reason: lastLine(stderr) ?? lastLine(error.message) ?? 'no reason given' })
    })
    if (onLine) relayLines(child.stdout, onLine)
  })
}

/** False for a zombie too: in many containers process 1 reaps nothing, and a signal still reaches those. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
  return stateOnLinux(pid) !== 'Z'
}

/** Looks again and again until it is so; false when it was not so in time. */
export async function eventually(
  isSo: () => boolean | Promise<boolean>,
  { timeoutMs, everyMs = 25 }: { timeoutMs: number; everyMs?: number },
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (!(await isSo())) {
    if (performance.now() >= deadline) return false
    await delay(everyMs)
  }
  return true
}

function relayLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = ''
  stream?.on('data', (chunk: string | Buffer) => {
    const lines = (rest + chunk.toString()).split(/[\r\n]+/)
    rest = lines.pop() ?? ''
    for (const line of lines.filter(Boolean)) onLine(line)
  })
}

function lastLine(text: string): string | undefined {
  return text.trim().split('\n').at(-1)?.trim() || undefined
}

function stateOnLinux(pid: number): string | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    // The state follows the program's name, which stands in brackets and may itself contain some.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2)[0]
  } catch {
    // It ended between the two looks.
    return 'Z'
  }
}
