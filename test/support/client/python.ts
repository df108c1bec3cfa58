import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { type Ran, run } from '../../../src/dev/processes.ts'
import { root } from '../root.ts'

// Python as a machine has it; what it lacks is a reason to skip, never a failure.

const requirements = fileURLToPath(new URL('./python-requirements.txt', import.meta.url))

// 60 MB, on a slow line.
const installTimeoutMs = 300_000
const runTimeoutMs = 100_000

export interface Python {
  /** For `t.test`: the reason why it cannot run here, or `false`. */
  skip: string | false
  /** Where its packages are, if it needs any. */
  packages: string
}

/** Python 3.9 or newer, alone: what examples/client.py needs. */
export async function findPython(): Promise<Python> {
  const ran = await python(['-c', 'import sys; print(sys.version_info >= (3, 9))'])
  if (ran.kind === 'failed') return { skip: ran.reason, packages: '' }
  return { skip: ran.stdout.trim() === 'True' ? false : 'python3 is older than 3.9', packages: '' }
}

/** With the generator of clients and mypy, which are installed once a machine, below the user's cache. */
export async function findGenerator(): Promise<Python> {
  const asked = ['-c', 'import sys, pip; print("%d.%d" % sys.version_info[:2])']
  const version = await python(asked)
  if (version.kind === 'failed')
    return { skip: `python3 with pip is not to be had: ${version.reason}`, packages: '' }

  const digest = createHash('sha256')
    .update(await readFile(requirements))
    .update(version.stdout)
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'private-message-service')
  const packages = join(cache, `python-client-${digest.digest('hex').slice(0, 12)}`)
  const isThere = await access(packages).then(
    () => true,
    () => false,
  )
  const installed = isThere ? { kind: 'done' as const } : await install(cache, packages)
  return {
    skip: installed.kind === 'failed' && `its packages are not to be had: ${installed.reason}`,
    packages,
  }
}

/** In a folder of its own, and moved when it is whole: two may install at once, and one may be killed. */
async function install(cache: string, packages: string): Promise<Ran> {
  await mkdir(cache, { recursive: true })
  const work = await mkdtemp(join(cache, 'python-client-unfinished-'))
  const exactly = [
    '--require-hashes',
    '--only-binary=:all:',
    '--no-deps',
    '--no-compile',
    '--quiet',
    '--no-input',
  ]
  const args = [
    '-m',
    'pip',
    'install',
    ...exactly,
    '--disable-pip-version-check',
    '--root-user-action=ignore',
  ]
  const ran = await python(
    [...args, '--retries', '1', '--target', work, '-r', requirements],
    {},
    installTimeoutMs,
  )
  if (ran.kind === 'done') await rename(work, packages).catch(() => undefined)
  await rm(work, { recursive: true, force: true })
  return ran
}

/** Runs it to its end. */
export async function python(
  args: readonly string[],
  env: Record<string, string> = {},
  timeoutMs: number = runTimeoutMs,
): Promise<Ran> {
  return await run('python3', args, { env: { ...process.env, ...quiet, ...env }, timeoutMs })
}

// No cache in the sources' folders, and no proxy between this machine and itself.
const quiet = { PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1', NO_PROXY: '*' }

export interface Conversation {
  /** Its next line, as JSON. */
  hear(): Promise<Record<string, unknown>>
  /** Writes a line. */
  say(value: unknown): void
}

/** A program that is spoken with, line by line; it is killed when the test ends. */
export function converse(t: Test, program: string, packages: readonly string[]): Conversation {
  const env = { ...process.env, ...quiet, PYTHONPATH: packages.join(':') }
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn('python3', ['-c', program], {
    cwd: root,
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async hear() {
      const { done, value } = await lines.next()
      if (done) throw new Error('the program has ended')
      return JSON.parse(value)
    },
    say: (value) => void child.stdin.write(`${JSON.stringify(value)}\n`),
  }
}
