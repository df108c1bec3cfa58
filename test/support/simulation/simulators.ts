import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Test } from 'tap'
import { startRun } from './run.ts'
import { drive } from './time.ts'
import type { Job, JobDone } from './worker.ts'

// As many as CI has cores.
const workersMax = 2
const runsPerJob = 500
// A run lets go of all that it has made: where it has the room until then, collecting garbage costs a quarter less of the whole.
const maxYoungGenerationSizeMb = 192

export interface Simulators {
  /** Many seeds, shared by the workers; a job that ends with its first violation stays in one. */
  simulate(job: Partial<Job> & Pick<Job, 'runs'>): Promise<JobDone>
}

/**
 * Runs simulations in threads: they replace Node's timers and clocks, which the tests need for themselves, and are many
 * times slower under the hooks by which tap follows its promises.
 */
export function startSimulators(t: Test): Simulators {
  const idle = Array.from({ length: workersMax }, startWorker)
  const waiting: ((simulator: Simulator) => void)[] = []
  t.teardown(() => Promise.all(idle.map(({ end }) => end())))

  async function hand(job: Job): Promise<JobDone> {
    const simulator = idle.pop() ?? (await new Promise<Simulator>((resolve) => waiting.push(resolve)))
    try {
      return await simulator.work(job)
    } finally {
      const next = waiting.shift()
      if (next) next(simulator)
      else idle.push(simulator)
    }
  }

  return {
    async simulate({ firstSeed = 1, runs, breaks = [], untilFirst = false }) {
      if (untilFirst) return await hand({ firstSeed, runs, breaks, untilFirst })
      const jobs = Array.from({ length: Math.ceil(runs / runsPerJob) }, (_, index) => ({
        firstSeed: firstSeed + index * runsPerJob,
        runs: Math.min(runsPerJob, runs - index * runsPerJob),
        breaks,
        untilFirst,
      }))
      return (await Promise.all(jobs.map(hand))).reduce(together)
    },
  }
}

interface Simulator {
  work(job: Job): Promise<JobDone>
  end(): Promise<unknown>
}

function startWorker(): Simulator {
  const url = new URL('./worker.ts', import.meta.url)
  const worker = new Worker(url, { resourceLimits: { maxYoungGenerationSizeMb } })
  return {
    work: async (job) => {
      worker.postMessage(job)
      const [done] = await once(worker, 'message')
      return done
    },
    end: () => worker.terminate(),
  }
}

function together(one: JobDone, other: JobDone): JobDone {
  const counts = { ...one.counts }
  for (const [what, count] of Object.entries(other.counts)) counts[what] = (counts[what] ?? 0) + count
  return { runs: one.runs + other.runs, found: [...one.found, ...other.found], counts }
}

/** One seed, told line by line. */
export async function replay(seed: number, tell: (line: string) => void): Promise<readonly string[]> {
  const run = startRun({ seed, breaks: [], counts: {}, tell })
  await drive(() => run.step())
  return run.violations
}
