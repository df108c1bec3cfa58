import { rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { HeldReplicaSet } from './held-replica-set.ts'
import { isAlive } from './processes.ts'
import { startReplicaSet } from './replica-set.ts'

// A process that holds a replica set for others, until SIGTERM or until the process that it watches is gone.
// Test files, each a process of its own, share one set by it.

const watchEveryMs = 1000

// No test run lasts a day. By then the watched id belongs to somebody else.
const lifetimeMs = 24 * 60 * 60 * 1000

type Arguments = { binary: string; handOver: string; watchedPid: number }

await hold(readArguments())

async function hold({ binary, handOver, watchedPid }: Arguments): Promise<void> {
  // From before the start on: a signal that comes while it starts must not leave a set behind.
  const ending = AbortSignal.any([firstSignal(), AbortSignal.timeout(lifetimeMs)])
  const replicaSet = await startReplicaSet({ binary, testCommands: true })
  try {
    await writeWhole(handOver, { uri: replicaSet.uri(''), holderPid: process.pid })
    while (!ending.aborted && isAlive(watchedPid)) {
      await delay(watchEveryMs, undefined, { signal: ending }).catch(() => undefined)
    }
  } finally {
    await rm(handOver, { force: true })
    await replicaSet.stop()
  }
}

function firstSignal(): AbortSignal {
  const ending = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => ending.abort())
  return ending.signal
}

/** A reader finds the whole file or none. */
async function writeWhole(path: string, content: HeldReplicaSet): Promise<void> {
  const unfinished = `${path}.${process.pid}`
  await writeFile(unfinished, JSON.stringify(content))
  await rename(unfinished, path)
}

function readArguments(): Arguments {
  const text = { type: 'string', default: '' } as const
  const { values } = parseArgs({ options: { binary: text, 'hand-over': text, watch: text } })
  return { binary: values.binary, handOver: values['hand-over'], watchedPid: Number(values.watch) }
}
