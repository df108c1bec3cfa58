import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { MongoClient } from 'mongodb'
import { findMongod } from '../src/dev/mongod.ts'
import { startReplicaSet } from '../src/dev/replica-set.ts'
import { type Measurement, measure } from './measure.ts'
import { build, startFleet } from './processes.ts'
import { rows } from './rows.ts'
import { seed, seedBlocks } from './seed.ts'
import { type Bar, barsOf, type Results, tableOf } from './table.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    messages: { type: 'string' },
    people: { type: 'string', default: '10000' },
    only: { type: 'string' },
    json: { type: 'string', default: 'bench-results.json' },
  },
})
const people = Number(values.people)
const messages = Number(values.messages ?? (values.quick ? 100_000 : 1_000_000))
const rounds = Number(values.rounds ?? (values.quick ? 3 : 5))
const durationMs = Number(values.seconds ?? 3) * 1000
const only = values.only === undefined ? undefined : new RegExp(values.only)
const measured = rows.filter((row) => (only ? only.test(row.name) : !values.quick || row.quick))

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const tell = (line: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${line}`)
}

async function main(): Promise<Bar[]> {
  const binary = await findMongod({ env: process.env, say })
  const replicaSet = await startReplicaSet({ binary, say })
  const storage = spawn(process.execPath, ['--import', 'tsx', 'src/dev/cloudinary/main.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = await once(storage.stdout, 'data')
    const { cloudinaryUrl } = JSON.parse(String(line))
    const mongodbUri = replicaSet.uri('bench')
    const client = await MongoClient.connect(mongodbUri)
    const db = client.db()
    say(`seeding ${people} people and ${messages} messages`)
    await seed(db, { people, messages, progress: (done) => tell(`seeded ${done}`) })
    if (measured.some(({ load }) => load.pairs === 'blockers'))
      await seedBlocks(db, { blockers: 1000, blocks: 1000 })
    say('building')
    build()
    const fleet = await startFleet({ mongodbUri, cloudinaryUrl })
    try {
      const mongodPid = replicaSet.members[0]?.pid ?? 0
      const deps = { fleet, db, mongodPid, cloudinaryUrl, people, warmUpMs: 700, durationMs }
      return report(await measureAll(deps))
    } finally {
      fleet.stop()
      await client.close()
    }
  } finally {
    storage.kill()
    await replicaSet.stop()
  }
}

async function measureAll(deps: Parameters<typeof measure>[0]): Promise<Results> {
  const results: Results = new Map()
  for (let round = 0; round < rounds; round++) {
    for (const row of measured) {
      tell(`round ${round + 1} of ${rounds}: ${row.name}`)
      const measurements: Measurement[] = results.get(row) ?? []
      measurements.push(await measure(deps, row, round))
      results.set(row, measurements)
    }
    say(`round ${round + 1} of ${rounds} done`)
  }
  return results
}

function report(results: Results): Bar[] {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}, ${process.platform}`
  const bars = barsOf(results)
  process.stdout.write(
    `\n${machine}; ${people} people, ${messages} messages stored before; ${rounds} rounds of ${durationMs / 1000} s\n\n`,
  )
  process.stdout.write(`${tableOf(results)}\n\n${bars.map(({ line }) => line).join('\n')}\n`)
  const json = {
    machine,
    people,
    messages,
    rounds,
    durationMs,
    rows: [...results].map(([row, each]) => ({ ...row, measurements: each })),
  }
  writeFileSync(values.json, `${JSON.stringify(json, null, 2)}\n`)
  return bars
}

await main()
