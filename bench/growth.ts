import { MongoClient } from 'mongodb'
import { cpuUs } from './cpu.ts'
import { type MeasureDeps, type Measurement, measure } from './measure.ts'
import type { Options } from './options.ts'
import type { Running } from './processes.ts'
import { bursts, ceiling, firstMessages, knownPairs, type Row } from './rows.ts'
import { say, tell } from './say.ts'
import { type SeedSize, seed } from './seed.ts'
import { onStage, type Stage } from './stage.ts'
import { warmUp } from './warm-up.ts'

export interface GrowthReport {
  kind: 'growth'
  machine: string
  cacheGb: number
  rounds: number
  durationMs: number
  places: GrowthPlace[]
}

/** A database of one size, and what was measured on it. */
export interface GrowthPlace extends SeedSize {
  /** After the last round: measuring stores messages, too. */
  messagesAfter: number
  ceiling: Measurement[]
  rows: { name: string; measurements: GrowthMeasurement[] }[]
}

export interface GrowthMeasurement extends Measurement {
  /** CPU time of the checkpoint after it: writes to disk what the row has changed in memory. */
  checkpointMs: number
}

interface Place extends GrowthPlace {
  deps: MeasureDeps
  ceilingDeps: MeasureDeps
}

const sizes: readonly SeedSize[] = [
  { people: 10_000, messages: 10_000 },
  { people: 10_000, messages: 1_000_000 },
  { people: 10_000, messages: 10_000_000 },
  { people: 1_000, messages: 1_000_000 },
  { people: 1_000_000, messages: 1_000_000 },
]

const grown: readonly Row[] = [bursts, knownPairs, firstMessages]

/**
 * What a message costs by how much is stored. Every size has a database and a service of its own in one replica set, and all
 * are measured in turn: a machine that gets slower meanwhile does so for all of them, and the ceiling beside each tells it.
 */
export async function growth(options: Options, machine: string): Promise<GrowthReport> {
  const { rounds, durationMs, cacheGb } = options
  return await onStage({ cacheGb }, async (stage) => {
    const client = await MongoClient.connect(stage.mongodbUri('admin'))
    const ceilingRunning = await stage.fleet.start('ceiling', stage.mongodbUri('admin'))
    const places: Place[] = []
    for (const size of sizesOf(options)) {
      places.push(await placeOf(stage, client, size, { durationMs, ceilingRunning }))
    }
    // No checkpoint of its own accord: each row begins after one, and the one after it is measured.
    await client.db('admin').command({ setParameter: 1, syncdelay: 3600 })
    for (const place of places) {
      tell(`warming up: ${titleOf(place)}`)
      await warmUp(place.deps, 'service')
    }
    const [first] = places
    if (first) await warmUp(first.ceilingDeps, 'ceiling')
    await checkpoint(client, stage.mongodPid)
    for (let round = 1; round <= rounds; round++) {
      for (const place of places) {
        tell(`round ${round} of ${rounds}: ${titleOf(place)}`)
        await measureAt(place, round, client)
      }
      say(`round ${round} of ${rounds} done`)
    }
    for (const place of places) {
      place.messagesAfter = await place.deps.db.collection('messages').estimatedDocumentCount()
    }
    await client.close()
    const measured = places.map(({ deps: _, ceilingDeps: __, ...place }) => place)
    return { kind: 'growth', machine, cacheGb, rounds, durationMs, places: measured }
  })
}

async function placeOf(
  { fleet, mongodbUri, mongodPid, cloudinaryUrl }: Stage,
  client: MongoClient,
  size: SeedSize,
  { durationMs, ceilingRunning }: { durationMs: number; ceilingRunning: Running },
): Promise<Place> {
  const { people, messages } = size
  const name = `people-${people}-messages-${messages}`
  const db = client.db(name)
  const startedAt = performance.now()
  say(`seeding ${titleOf(size)}`)
  await seed(db, { people, messages, progress: tell })
  say(`seeded in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
  const running = await fleet.start('service', mongodbUri(name))
  const common = { load: fleet.load, db, mongodPid, cloudinaryUrl, people, warmUpMs: 700, durationMs }
  return {
    people,
    messages,
    messagesAfter: Number.NaN,
    ceiling: [],
    rows: grown.map(({ name }) => ({ name, measurements: [] })),
    deps: { ...common, running },
    ceilingDeps: { ...common, running: ceilingRunning },
  }
}

async function measureAt(
  { deps, ceilingDeps, ceiling: beside, rows }: Place,
  round: number,
  client: MongoClient,
): Promise<void> {
  beside.push(await measure(ceilingDeps, ceiling, round))
  for (const row of grown) {
    const measurement = await measure(deps, row, round)
    rows
      .find(({ name }) => name === row.name)
      ?.measurements.push({ ...measurement, checkpointMs: await checkpoint(client, deps.mongodPid) })
  }
}

/** Returns the CPU time that it took the database. */
async function checkpoint(client: MongoClient, mongodPid: number): Promise<number> {
  const before = cpuUs(mongodPid)
  await client.db('admin').command({ fsync: 1 })
  return (cpuUs(mongodPid) - before) / 1000
}

function sizesOf({ scale, only }: Options): SeedSize[] {
  return sizes
    .map(({ people, messages }) => ({ people: people / scale, messages: messages / scale }))
    .filter((size) => only === undefined || only.test(titleOf(size)))
}

function titleOf({ people, messages }: SeedSize): string {
  return `${people} people, ${messages} messages`
}
