import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { root } from '../root.ts'
import { jwtSecret } from '../service.ts'

/** The service in a process of its own that will be killed. */
export interface DoomedProcess {
  url: string
  /** SIGKILL; resolves when nothing of it runs any more. */
  kill(): Promise<void>
}

/**
 * With a loader that starts in a sixth of the time that the tests' own takes, as there are many of them. Only processes
 * that end by themselves say what they covered, so that two loaders cannot get into the figures.
 */
export async function startDoomed(t: Test, env: Record<string, string>): Promise<DoomedProcess> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/server.ts'], {
    cwd: root,
    env: { PATH, PORT: '0', JWT_SECRET: jwtSecret, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  async function kill(): Promise<void> {
    child.kill('SIGKILL')
    await ended
  }
  t.teardown(kill)
  const url = await addressIn(child.stdout)
  // What nobody reads would stop it some day.
  child.stdout.resume()
  return { url, kill }
}

async function addressIn(log: NodeJS.ReadableStream): Promise<string> {
  const lines = createInterface({ input: log })
  for await (const line of lines) {
    const { msg, address } = JSON.parse(line)
    if (msg === 'listening') return address
  }
  throw new Error('it ended before it listened')
}
