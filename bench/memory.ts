import { setTimeout as delay } from 'node:timers/promises'
import { MongoClient } from 'mongodb'
import type { Load } from './load.ts'
import { metricsOf } from './metrics.ts'
import type { Options } from './options.ts'
import type { Fleet } from './processes.ts'
import { knownPairs } from './rows.ts'
import { say, tell } from './say.ts'
import { seed } from './seed.ts'
import { onStage } from './stage.ts'

export interface MemoryReport {
  kind: 'memory'
  machine: string
  people: number
  messages: number
  connections: number
  minutes: number
  /** What was stored meanwhile; each was acknowledged. */
  stored: number
  samples: MemorySample[]
}

/** What the service itself says of itself. */
export interface MemorySample {
  seconds: number
  rssMb: number
  heapMb: number
  /** The part of the heap that has outlived two collections: a leak is there, and not what the last requests have left. */
  oldMb: number
  /** Since the sample before. */
  messagesPerSecond: number
}

// So often that a minute has a median worth the name, and so seldom that asking costs nothing that can be seen.
const everySeconds = 5

// A load's answers are kept until its end: ten minutes of them would be the generator's own leak.
const loadMs = 15_000

/** The service under full load for minutes, and its memory meanwhile. */
export async function memory(options: Options, machine: string): Promise<MemoryReport> {
  const { people, messages, minutes, cacheGb } = options
  return await onStage({ cacheGb }, async ({ mongodbUri, fleet }) => {
    const client = await MongoClient.connect(mongodbUri('bench'))
    const collection = client.db().collection('messages')
    say(`seeding ${people} people and ${messages} messages`)
    await seed(client.db(), { people, messages, progress: tell })
    const { ports, key } = await fleet.start('service', mongodbUri('bench'))
    const load: Load = {
      ...knownPairs.load,
      ports,
      key,
      people,
      warmUpMs: 0,
      durationMs: loadMs,
      mark: 'memory',
    }
    const endMs = performance.now() + minutes * 60_000
    const [samples, acknowledged] = await Promise.all([
      sampleUntil(endMs, ports[0] ?? 0),
      keepLoadedUntil(endMs, fleet, load),
    ])
    const stored = (await collection.countDocuments()) - messages
    await client.close()
    if (stored !== acknowledged) throw new Error(`${acknowledged} were acknowledged, ${stored} are stored`)
    const { connections } = load
    return { kind: 'memory', machine, people, messages, connections, minutes, stored, samples }
  })
}

/** Returns how many messages were acknowledged. */
async function keepLoadedUntil(endMs: number, fleet: Fleet, load: Load): Promise<number> {
  let acknowledged = 0
  while (performance.now() < endMs) {
    const durationMs = Math.min(loadMs, endMs - performance.now())
    const { statuses, ...result } = await fleet.load({ ...load, durationMs })
    const other = Object.keys(statuses).filter((status) => status !== '200')
    if (other.length > 0) throw new Error(`not every answer was a 200: ${JSON.stringify(statuses)}`)
    acknowledged += result.acknowledged.length
  }
  return acknowledged
}

async function sampleUntil(endMs: number, port: number): Promise<MemorySample[]> {
  const startMs = performance.now()
  const samples: MemorySample[] = []
  let before = { sent: 0, seconds: 0 }
  for (let nth = 1; startMs + nth * everySeconds * 1000 <= endMs; nth++) {
    await delay(startMs + nth * everySeconds * 1000 - performance.now())
    const { sent, ...used } = await look(port)
    const seconds = (performance.now() - startMs) / 1000
    const messagesPerSecond = (sent - before.sent) / (seconds - before.seconds)
    before = { sent, seconds }
    samples.push({ seconds, ...used, messagesPerSecond })
    tell(`${seconds.toFixed(0)} s: ${used.rssMb.toFixed(0)} MB, ${messagesPerSecond.toFixed(0)} messages/s`)
  }
  return samples
}

type Look = Pick<MemorySample, 'rssMb' | 'heapMb' | 'oldMb'> & { sent: number }

async function look(port: number): Promise<Look> {
  const metrics = await metricsOf(port)
  const value = (pattern: string): number => metrics(pattern) ?? Number.NaN
  return {
    sent: value('messages_send_duration_seconds_count\\{status="200"\\}'),
    rssMb: value('process_resident_memory_bytes') / 1e6,
    heapMb: value('nodejs_heap_size_used_bytes') / 1e6,
    oldMb: value('nodejs_heap_space_size_used_bytes\\{space="old"\\}') / 1e6,
  }
}
