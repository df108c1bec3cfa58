import { MongoClient } from 'mongodb'
import { measure } from './measure.ts'
import type { Options } from './options.ts'
import type { Running } from './processes.ts'
import { rows, type Target } from './rows.ts'
import { say, tell } from './say.ts'
import { seed, seedBlocks } from './seed.ts'
import { onStage } from './stage.ts'
import type { Results } from './table.ts'
import { warmUp } from './warm-up.ts'

export interface RowsReport {
  kind: 'rows'
  machine: string
  people: number
  messages: number
  rounds: number
  durationMs: number
  rows: Results
}

/** The service beside the ceiling and beside one message at a time: all rows, round after round. */
export async function compare(options: Options, machine: string): Promise<RowsReport> {
  const { people, messages, rounds, durationMs, cacheGb } = options
  const measured = rowsOf(options)
  return await onStage({ cacheGb }, async ({ mongodbUri, mongodPid, cloudinaryUrl, fleet }) => {
    const uri = mongodbUri('bench')
    const client = await MongoClient.connect(uri)
    const db = client.db()
    say(`seeding ${people} people and ${messages} messages`)
    await seed(db, { people, messages, progress: tell })
    if (measured.some(({ load }) => load.pairs === 'blockers'))
      await seedBlocks(db, { blockers: 1000, blocks: 1000 })
    const servers = new Map<Target, Running>()
    for (const { target } of measured) {
      if (!servers.has(target)) servers.set(target, await fleet.start(target, uri))
    }
    const common = { load: fleet.load, db, mongodPid, cloudinaryUrl, people, warmUpMs: 700, durationMs }
    for (const [target, running] of servers) {
      tell(`warming up: ${target}`)
      await warmUp({ ...common, running }, target)
    }
    for (let round = 0; round < rounds; round++) {
      for (const row of measured) {
        tell(`round ${round + 1} of ${rounds}: ${row.name}`)
        const running = servers.get(row.target)
        if (running) row.measurements.push(await measure({ ...common, running }, row, round))
      }
      say(`round ${round + 1} of ${rounds} done`)
    }
    await client.close()
    return { kind: 'rows', machine, people, messages, rounds, durationMs, rows: measured }
  })
}

function rowsOf({ only, quick }: Options): Results {
  const measured = rows.filter((row) => (only ? only.test(row.name) : !quick || row.quick))
  return measured.map((row) => ({ ...row, measurements: [] }))
}
