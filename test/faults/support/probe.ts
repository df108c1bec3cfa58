import { type Db, MongoClient } from 'mongodb'
import type { Members } from './members.ts'

/**
 * The same fault without the service: a majority write every quarter of a second, to each member that takes it. What these
 * miss, no client of the database could have had.
 */
export interface Probe {
  /** Times of the acknowledged ones, by the monotonic clock. */
  readonly atMs: readonly number[]
  /** How long the slow ones took, together: with one at a time, how long the database was slow. */
  slowMs(): number
  stop(): Promise<void>
}

const everyMs = 250
// A commit of a majority takes milliseconds; on a busy machine some more.
const slowFromMs = 500
const timeoutMs = 2_000

export function startProbe({ all }: Members, databaseName: string): Probe {
  const atMs: number[] = []
  let slowMs = 0
  const clients = all.map(({ port }) => {
    return new MongoClient(`mongodb://127.0.0.1:${port}/${databaseName}?directConnection=true`, {
      serverSelectionTimeoutMS: timeoutMs,
      connectTimeoutMS: timeoutMs,
      socketTimeoutMS: timeoutMs,
      retryWrites: false,
    })
  })
  const busy = new Set<MongoClient>()
  const timer = setInterval(() => {
    for (const client of clients.filter((each) => !busy.has(each))) {
      busy.add(client)
      const fromMs = performance.now()
      void writes(client.db()).then((done) => {
        busy.delete(client)
        if (!done) return
        atMs.push(performance.now())
        if (performance.now() - fromMs > slowFromMs) slowMs += performance.now() - fromMs
      })
    }
  }, everyMs)
  return {
    atMs,
    slowMs: () => slowMs,
    async stop() {
      clearInterval(timer)
      await Promise.all(clients.map((client) => client.close()))
    },
  }
}

async function writes(db: Db): Promise<boolean> {
  const writeConcern = { w: 'majority', wtimeout: timeoutMs }
  return await db.command({ insert: 'probe', documents: [{}], writeConcern }).then(
    ({ writeConcernError }) => writeConcernError === undefined,
    // A secondary, a dead one, a silent one: what counts is whether any of the three takes it.
    () => false,
  )
}
