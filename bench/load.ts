import { connect, type Socket } from 'node:net'
import { burstMessages, contactAt, contactsOf, personAt, scattered } from './people.ts'
import { type JwtKey, tokenOf } from './tokens.ts'

/**
 * The load generator, a process of its own: keeps a number of connections busy with one request each at a time. Raw sockets,
 * because it shares two cores with what it measures, and any HTTP client costs as much as the service itself.
 */
export interface Load {
  /** Addresses of the processes; connections are spread over them. */
  ports: number[]
  connections: number
  /** Requests sent before this are not counted. */
  warmUpMs: number
  durationMs: number
  people: number
  pairs: 'contacts' | 'bursts' | 'every-contact' | 'one-chat' | 'first-messages' | 'blockers'
  key: JwtKey
  /** With an Idempotency-Key of its own on each. */
  keys: boolean
  contentLength: number
  /** Marks the contents of this load: unique in the run. */
  mark: string
  /** One temporary upload for each request, made before; none for texts. */
  uploads?: { publicId: string; sender: number }[]
}

export interface LoadResult {
  /** Answers within the measured time. */
  answered: number
  elapsedMs: number
  p50Ms: number
  p99Ms: number
  /** Ids of the messages of every 200, warm-up included. */
  acknowledged: string[]
  /** Answers by status. */
  statuses: Record<string, number>
}

interface Tally {
  latenciesMs: number[]
  acknowledged: string[]
  statuses: Record<string, number>
}

/** How far the walk over new pairs has come, by the number of people: databases of one size share it. */
const firstPairs = new Map<number, number>()

process.on('message', (load: Load) => {
  run(load).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      process.stderr.write(`load: ${String(error)}\n`)
      process.exit(1)
    },
  )
})

async function run(load: Load): Promise<LoadResult> {
  const tally: Tally = { latenciesMs: [], acknowledged: [], statuses: {} }
  const startedAt = performance.now()
  const countFrom = startedAt + load.warmUpMs
  const end = countFrom + load.durationMs
  const next = requests(load)
  const connections = Array.from({ length: load.connections }, (_, index) => {
    const port = load.ports[index % load.ports.length] ?? 0
    return keepBusy(port, next, { countFrom, end }, tally)
  })
  await Promise.all(connections)
  const { latenciesMs, acknowledged, statuses } = tally
  latenciesMs.sort((a, b) => a - b)
  const at = (share: number) => latenciesMs[Math.floor(latenciesMs.length * share)] ?? Number.NaN
  return {
    answered: latenciesMs.length,
    elapsedMs: load.durationMs,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    acknowledged,
    statuses,
  }
}

/** Each request as the bytes that go out, with a sender of its own; `undefined` when there are no uploads left. */
function requests(load: Load): () => string | undefined {
  let count = 0
  const firstWriter = Math.floor(Math.random() * load.people)
  const filler = 'x'.repeat(Math.max(0, load.contentLength - load.mark.length - 12))
  return () => {
    const number = count++
    const upload = load.uploads?.[number]
    if (load.uploads && !upload) return undefined
    const [sender, receiver] = upload
      ? [upload.sender, contactAt(upload.sender, 0, load.people)]
      : pairFor(load, number, firstWriter)
    const content = `${load.mark}-${number}-${filler}`
    const body = upload
      ? `{"content":"${content}","type":"image","media":[{"publicId":"${upload.publicId}"}]}`
      : `{"content":"${content}","type":"text"}`
    const key = load.keys ? `Idempotency-Key: ${load.mark}-${number}\r\n` : ''
    return (
      `POST /message/send/${personAt(receiver).userId} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${tokenOf(load.key, sender)}\r\n` +
      `${key}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    )
  }
}

function pairFor(
  { pairs, people, connections }: Load,
  number: number,
  firstWriter: number,
): [sender: number, receiver: number] {
  switch (pairs) {
    case 'contacts': {
      const sender = Math.floor(Math.random() * people)
      return [sender, contactAt(sender, Math.floor(Math.random() * contactsOf), people)]
    }
    case 'bursts': {
      // As many write at a time as there are connections.
      const shift = Math.floor(number / (connections * burstMessages))
      const writer = firstWriter + shift * connections + (number % connections)
      const sender = scattered(writer, people)
      return [sender, contactAt(sender, writer % contactsOf, people)]
    }
    case 'every-contact':
      return [number % people, contactAt(number % people, Math.floor(number / people) % contactsOf, people)]
    case 'one-chat':
      return number % 2 === 0 ? [0, 1] : [1, 0]
    case 'blockers': {
      // Both of a pair are among the thousand who block.
      const sender = number % 1000
      return [sender, (sender + 1 + (number % 5)) % 1000]
    }
    case 'first-messages': {
      // No contact of anybody's is farther away in this walk: every pair is new, until all have written to all.
      const pair = firstPairs.get(people) ?? 0
      firstPairs.set(people, pair + 1)
      const sender = scattered(pair, people)
      return [sender, (sender + 1 + (Math.floor(pair / people) % (people - 1))) % people]
    }
  }
}

interface Window {
  countFrom: number
  end: number
}

/** Resolves when the time is over and the last answer has come. */
function keepBusy(
  port: number,
  next: () => string | undefined,
  { countFrom, end }: Window,
  tally: Tally,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let received = ''
    let sentAt = 0
    function send(): void {
      sentAt = performance.now()
      const request = sentAt < end ? next() : undefined
      if (request === undefined) {
        socket.end()
        resolve()
      } else socket.write(request, 'latin1')
    }
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('a connection was closed')))
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const length = lengthOf(received)
      if (length === undefined || received.length < length) return
      const now = performance.now()
      if (now >= countFrom && now < end) tally.latenciesMs.push(now - sentAt)
      note(received, tally)
      received = ''
      send()
    })
  })
}

/** Bytes of the whole answer, once its headers are there. */
function lengthOf(answer: string): number | undefined {
  const head = answer.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const at = answer.indexOf('content-length: ')
  return head + 4 + Number.parseInt(answer.slice(at + 'content-length: '.length, at + 30), 10)
}

function note(answer: string, { statuses, acknowledged }: Tally): void {
  const status = answer.slice(9, 12)
  statuses[status] = (statuses[status] ?? 0) + 1
  if (status !== '200') return
  const at = answer.lastIndexOf('"_id":"')
  acknowledged.push(answer.slice(at + 7, at + 31))
}
