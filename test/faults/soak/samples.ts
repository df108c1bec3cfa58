import { valuesIn } from '../../../bench/metrics.ts'
import type { Members } from '../support/members.ts'
import type { ServiceProcess } from '../support/services.ts'

/** How a run is doing at one time. */
export interface Sample {
  /** Since the traffic began. */
  atS: number
  /** Messages a second since the sample before. */
  rate: number
  acknowledged: number
  processes: ProcessSample[]
  database: DatabaseSample
}

export interface ProcessSample {
  nth: number
  /** Another after each restart. */
  pid: number
  rssMb: number
  heapMb: number
  openFiles: number
  poolConnections: number
}

/** Over all members that answered. */
export interface DatabaseSample {
  openTransactions: number
  sessions: number
  connections: number
}

const mb = 1024 * 1024
const answerTimeoutMs = 2_000

/** Of those that answer: who is down or paused is left out. */
export async function sampleProcesses(services: readonly ServiceProcess[]): Promise<ProcessSample[]> {
  const samples = services.map(async (service, nth): Promise<ProcessSample[]> => {
    const { pid } = service
    const text = await metricsOf(service)
    if (text === undefined) return []
    const values = valuesIn(text)
    const value = (name: string): number => values(name) ?? 0
    return [
      {
        nth,
        pid,
        rssMb: value('process_resident_memory_bytes') / mb,
        heapMb: value('nodejs_heap_size_used_bytes') / mb,
        openFiles: value('process_open_fds'),
        poolConnections: value('mongodb_pool_connections'),
      },
    ]
  })
  return (await Promise.all(samples)).flat()
}

async function metricsOf({ url }: ServiceProcess): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(answerTimeoutMs) })
    return await response.text()
  } catch {
    return undefined
  }
}

interface ServerStatus {
  transactions: { currentOpen: number }
  logicalSessionRecordCache: { activeSessionsCount: number }
  connections: { current: number }
}

export async function sampleDatabase(members: Members): Promise<DatabaseSample> {
  const statuses = await Promise.all(
    members.all.map((member) => members.ask(member, { serverStatus: 1 }).catch(() => undefined)),
  )
  const sample: DatabaseSample = { openTransactions: 0, sessions: 0, connections: 0 }
  for (const status of statuses) {
    // The server's own shape, of which these are a few of some hundred fields.
    const { transactions, logicalSessionRecordCache, connections } = (status ??
      nobody) as unknown as ServerStatus
    sample.openTransactions += Number(transactions.currentOpen)
    sample.sessions += Number(logicalSessionRecordCache.activeSessionsCount)
    sample.connections += Number(connections.current)
  }
  return sample
}

const nobody: ServerStatus = {
  transactions: { currentOpen: 0 },
  logicalSessionRecordCache: { activeSessionsCount: 0 },
  connections: { current: 0 },
}
