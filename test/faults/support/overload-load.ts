import { monitorEventLoopDelay } from 'node:perf_hooks'
import { keepBusy, type Shared } from './overload-connection.ts'
import { type Client, type Request, renumber, requestOf } from './overload-requests.ts'
import { type Summary, summaryOf, type Times } from './overload-times.ts'

/**
 * A process of its own that keeps connections busy, and costs as little as it can: it shares the machine's cores with what
 * it measures.
 */
export interface LoadOrder {
  port: number
  clients: Client[]
  /** Begins the contents of this load, and of no other. */
  mark: string
  connections: number
  /** Answers of this time are not measured: connections, chats and compiled code are made in it. */
  warmUpMs: number
  durationMs: number
  /** Mean time from an answer to the next request on that connection; 0: at once, also after a refusal. */
  pauseMs: number
}

/** `measuring` when everybody is connected and warm, `measured` when the time is over, `done` with the last answer. */
export type LoadReport = { kind: 'measuring' } | { kind: 'measured' } | { kind: 'done'; result: LoadResult }

export interface LoadResult {
  mark: string
  durationMs: number
  /** Until all connections were open. */
  connectMs: number
  accepted: Summary
  refused: Summary
  /** All of the load, by status and code. */
  answers: Record<string, number>
  /** By the message's number: the id in its 200, or nothing. */
  ids: (string | null)[]
  /** Numbers of messages that may be stored: no answer came, or one that leaves it open. */
  unknown: number[]
  /** Connections that ended without an answer. */
  cut: number
  /** How long this process itself was busy with something else: its latencies have that in them. */
  lagP99Ms: number
  lagMaxMs: number
  cpuS: number
}

type Lag = Pick<LoadResult, 'lagP99Ms' | 'lagMaxMs' | 'cpuS'>

// More at once than a listener lets wait would be tried again after a second.
const connectingMax = 256
const lagResolutionMs = 10

process.on('message', (order: LoadOrder) => {
  run(order).then(
    (result) => tell({ kind: 'done', result }),
    (error: unknown) => {
      process.stderr.write(`overload-load: ${String(error)}\n`)
      process.exit(1)
    },
  )
})

function tell(report: LoadReport): void {
  process.send?.(report)
}

async function run(order: LoadOrder): Promise<LoadResult> {
  const { mark, connections, warmUpMs, durationMs } = order
  const accepted: Times = { atMs: [], tookMs: [] }
  const refused: Times = { atMs: [], tookMs: [] }
  const answers: Record<string, number> = {}
  const unknown: number[] = []
  const { ids, take, giveBack } = queueOf(order)
  let cut = 0
  let from = Number.POSITIVE_INFINITY
  const isOver = (): boolean => performance.now() >= from + durationMs
  const count = (name: string): void => {
    answers[name] = (answers[name] ?? 0) + 1
  }
  let begin = (): void => undefined
  const begun = new Promise<void>((resolve) => {
    begin = resolve
  })
  const shared: Shared = {
    ...order,
    begun,
    isOver,
    take,
    giveBack,
    onAnswer({ number }, { status, code, id }, tookMs) {
      count(`${status} ${code}`)
      if (id !== undefined) ids[number] = id
      if (code === 'DATABASE_UNAVAILABLE') unknown.push(number)
      const atMs = performance.now() - from
      if (atMs < 0 || isOver()) return
      const times = status === 200 ? accepted : refused
      times.atMs.push(atMs)
      times.tookMs.push(tookMs)
    },
    onCut({ number }) {
      cut += 1
      unknown.push(number)
    },
    onError: (code) => count(`no answer: ${code}`),
  }

  const openedAt = performance.now()
  const ends = await openAll(connections, shared)
  const connectMs = performance.now() - openedAt
  from = performance.now() + warmUpMs
  begin()
  await pause(warmUpMs)
  const lag = await measured(durationMs)
  await Promise.all(ends)
  const summaries = { accepted: summaryOf(accepted, durationMs), refused: summaryOf(refused, durationMs) }
  return { mark, durationMs, connectMs, ...summaries, answers, ids, unknown, cut, ...lag }
}

/** First come, first served, so that everybody sends as often as the others. Each message gets the next number. */
function queueOf({ clients, mark }: LoadOrder): Pick<Shared, 'take' | 'giveBack'> & Pick<LoadResult, 'ids'> {
  const ring: (Request | undefined)[] = clients.map((client) => requestOf(client, mark))
  const ids: LoadResult['ids'] = []
  let first = 0
  let last = 0
  return {
    ids,
    take() {
      const request = ring[first % ring.length]
      ring[first++ % ring.length] = undefined
      if (!request) throw new Error('there are more connections than clients')
      renumber(request, ids.push(null) - 1)
      return request
    },
    giveBack(request) {
      ring[last++ % ring.length] = request
    },
  }
}

async function openAll(connections: number, shared: Shared): Promise<Promise<void>[]> {
  const ends: Promise<void>[] = []
  while (ends.length < connections) {
    const length = Math.min(connectingMax, connections - ends.length)
    const some = Array.from({ length }, () => keepBusy(shared))
    ends.push(...some.map(({ end }) => end))
    await Promise.all(some.map(({ connected }) => connected))
  }
  return ends
}

async function measured(durationMs: number): Promise<Lag> {
  tell({ kind: 'measuring' })
  const lag = monitorEventLoopDelay({ resolution: lagResolutionMs })
  lag.enable()
  const before = process.cpuUsage()
  await pause(durationMs)
  const { user, system } = process.cpuUsage(before)
  lag.disable()
  tell({ kind: 'measured' })
  // What it records is the time from one look to the next.
  const of = (ns: number): number => Math.max(0, ns / 1e6 - lagResolutionMs)
  return { lagP99Ms: of(lag.percentile(99)), lagMaxMs: of(lag.max), cpuS: (user + system) / 1e6 }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
