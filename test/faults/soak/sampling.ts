import { setTimeout as pause } from 'node:timers/promises'
import type { Traffic } from '../support/traffic.ts'
import type { Sample } from './samples.ts'

const sampleEveryMs = 5_000

/** Looks every few seconds until it is stopped, and tells each look. */
export function keepSampling(
  traffic: Traffic,
  samples: Sample[],
  look: () => Promise<Pick<Sample, 'processes' | 'database'>>,
  tell: (line: string) => void,
): { stop(): Promise<void> } {
  const startedAtMs = performance.now()
  const stopping = new AbortController()
  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await pause(sampleEveryMs, undefined, { signal: stopping.signal }).catch(() => undefined)
      const before = samples.at(-1)
      const acknowledged = traffic.ledger.acknowledgedAtMs.length
      const atS = (performance.now() - startedAtMs) / 1000
      const rate = (acknowledged - (before?.acknowledged ?? 0)) / (atS - (before?.atS ?? 0))
      const sample = { atS, rate, acknowledged, ...(await look()) }
      samples.push(sample)
      tell(told(sample, traffic))
    }
  }
  const running = run()
  return {
    async stop() {
      stopping.abort()
      await running
    },
  }
}

function told({ atS, rate, acknowledged, processes }: Sample, { ledger }: Traffic): string {
  const memory = processes
    .map(({ rssMb, heapMb }) => `${rssMb.toFixed(0)}/${heapMb.toFixed(0)} MB`)
    .join(', ')
  const { unanswered, unavailable } = ledger.tries
  const troubled = `${unanswered} without an answer, ${unavailable} × 503`
  return `${atS.toFixed(0)} s: ${acknowledged} acknowledged, ${rate.toFixed(0)}/s, ${troubled}; ${memory}`
}
