import { type Db, ObjectId } from 'mongodb'
import { cpuUs } from './cpu.ts'
import type { Load } from './load.ts'
import { metricsOf } from './metrics.ts'
import type { Fleet, Running } from './processes.ts'
import type { Row } from './rows.ts'
import { makeUploads } from './uploads.ts'

/** One row of one round. Per message: over everything that was sent, warm-up included, so that nothing is left out. */
export interface Measurement {
  messagesPerSecond: number
  p50Ms: number
  p99Ms: number
  nodeUs: number
  mongodUs: number
  commands: number
  batch: number
  /** Attempts of a transaction that had to be repeated, of all. */
  repeated: number
}

export interface MeasureDeps {
  load: Fleet['load']
  running: Running
  db: Db
  mongodPid: number
  cloudinaryUrl: string
  people: number
  warmUpMs: number
  durationMs: number
}

export async function measure(deps: MeasureDeps, row: Row, round: number): Promise<Measurement> {
  const { running, db, mongodPid, people, warmUpMs, durationMs } = deps
  const mark = `${row.name.replace(/[^a-z0-9]+/g, '-')}-${round}`
  const load: Load = {
    ...row.load,
    ports: running.ports,
    key: running.key,
    people,
    warmUpMs,
    durationMs,
    mark,
  }
  if (row.media > 0) load.uploads = await makeUploads(deps.cloudinaryUrl, { count: row.media, people, mark })

  const firstId = ObjectId.createFromTime(Math.floor(Date.now() / 1000))
  const before = await look(db, running, mongodPid)
  const result = await deps.load(load)
  const after = await look(db, running, mongodPid)

  const sent = result.acknowledged.length
  if (result.statuses['200'] !== sent || Object.keys(result.statuses).length !== 1) {
    throw new Error(`${row.name}: not every answer was a 200: ${JSON.stringify(result.statuses)}`)
  }
  const stores = !row.target.startsWith('ceiling')
  if (stores) await checkStored(db, { mark, firstId, acknowledged: result.acknowledged })
  const attempts = after.batches - before.batches
  return {
    messagesPerSecond: (result.answered * 1000) / result.elapsedMs,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    nodeUs: (after.nodeUs - before.nodeUs) / sent,
    mongodUs: stores ? (after.mongodUs - before.mongodUs) / sent : 0,
    commands: stores ? (after.commands - before.commands) / sent : 0,
    batch: attempts === 0 ? 1 : (after.batched - before.batched) / attempts,
    repeated: attempts === 0 ? 0 : (after.batched - before.batched - sent) / sent,
  }
}

interface Look {
  nodeUs: number
  mongodUs: number
  commands: number
  batches: number
  batched: number
}

async function look(db: Db, { pids, ports }: Running, mongodPid: number): Promise<Look> {
  const { metrics } = await db.admin().command({ serverStatus: 1 })
  const names = [
    'find',
    'insert',
    'update',
    'delete',
    'aggregate',
    'findAndModify',
    'commitTransaction',
    'abortTransaction',
  ]
  const commands = names.reduce((sum, name) => sum + Number(metrics.commands[name]?.total ?? 0), 0)
  const nodeUs = pids.reduce((sum, pid) => sum + cpuUs(pid), 0)
  const batches = await Promise.all(ports.map(batchesAt))
  const sumOf = (of: (each: (typeof batches)[number]) => number) =>
    batches.reduce((sum, each) => sum + of(each), 0)
  return {
    nodeUs,
    mongodUs: cpuUs(mongodPid),
    commands,
    batches: sumOf(({ count }) => count),
    batched: sumOf(({ sum }) => sum),
  }
}

/** The service's own count of its attempts; the servers to compare with have none. */
async function batchesAt(port: number): Promise<{ count: number; sum: number }> {
  const value = await metricsOf(port)
  return { count: value('messages_batch_size_count') ?? 0, sum: value('messages_batch_size_sum') ?? 0 }
}

/** Every 200 is in the database, once, and nothing else is. */
async function checkStored(
  db: Db,
  { mark, firstId, acknowledged }: { mark: string; firstId: ObjectId; acknowledged: string[] },
): Promise<void> {
  const found = new Map<string, string>()
  const since = db.collection('messages').find({ _id: { $gte: firstId } }, { projection: { content: 1 } })
  for await (const { _id, content } of since) {
    if (!content.startsWith(`${mark}-`)) continue
    const number = content.split('-', mark.split('-').length + 1).at(-1)
    if (found.has(number)) throw new Error(`${mark}: message ${number} is stored twice`)
    found.set(number, _id.toHexString())
  }
  const stored = new Set(found.values())
  const lost = acknowledged.filter((id) => !stored.has(id))
  if (lost.length > 0) throw new Error(`${mark}: ${lost.length} acknowledged messages are not stored`)
  if (stored.size !== acknowledged.length)
    throw new Error(`${mark}: ${stored.size - acknowledged.length} were stored without an answer`)
}
