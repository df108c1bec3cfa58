import { execFile, execFileSync } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { cpuUs } from '../../../bench/cpu.ts'
import type { Stage } from '../scenario.ts'

const sampleEveryMs = 500

/** CPU seconds that these processes have used together. */
export function cpuSecondsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuUs(pid), 0) / 1e6
}

export async function pidsOf({ members }: Stage): Promise<number[]> {
  const statuses = await Promise.all(members.all.map((member) => members.ask(member, { serverStatus: 1 })))
  return statuses.map(({ pid }) => Number(pid))
}

/** Looks at a process's memory from outside, whatever the process is busy with. `stop` gives the largest in MB. */
export function watchRss(pid: number): { stop(): Promise<number> } {
  const stopping = new AbortController()
  const watching = watch()
  async function watch(): Promise<number> {
    let most = 0
    while (!stopping.signal.aborted) {
      most = Math.max(most, await rssMbOf(pid))
      await pause(sampleEveryMs, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
    return most
  }
  return {
    async stop() {
      stopping.abort()
      return await watching
    },
  }
}

export async function rssMbOf(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)])
  return Number(stdout) / 1024
}

/** Node has raised its own limit to what is allowed, and its children inherit that. */
export function openFilesMax(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit)
}
