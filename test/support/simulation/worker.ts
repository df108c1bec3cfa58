import { parentPort } from 'node:worker_threads'
import { startRun } from './run.ts'
import { drive } from './time.ts'
import type { Break } from './world.ts'

/** Some seeds in a row, in the world as it is or in a broken one. */
export interface Job {
  readonly firstSeed: number
  readonly runs: number
  readonly breaks: readonly Break[]
  /** Ends with the first run that shows a violation. */
  readonly untilFirst: boolean
}

export interface Found {
  readonly seed: number
  readonly violations: readonly string[]
}

export interface JobDone {
  readonly runs: number
  readonly found: readonly Found[]
  /** How often what happened, so that it can be seen that something did. */
  readonly counts: Readonly<Record<string, number>>
}

export async function work({ firstSeed, runs, breaks, untilFirst }: Job): Promise<JobDone> {
  const counts: Record<string, number> = {}
  const found: Found[] = []
  let seed = firstSeed
  let run = startRun({ seed, breaks, counts })
  await drive(() => {
    if (run.step()) return true
    if (run.violations.length > 0) found.push({ seed, violations: run.violations })
    seed += 1
    if (seed === firstSeed + runs || (untilFirst && found.length > 0)) return false
    run = startRun({ seed, breaks, counts })
    return true
  })
  return { runs: seed - firstSeed, found, counts }
}

parentPort?.on('message', async (job: Job) => parentPort?.postMessage(await work(job)))
