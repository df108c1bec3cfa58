import { connect, type Socket } from 'node:net'
import { type Client, headOf } from './overload-requests.ts'

/**
 * A process of its own with connections that want little and hold much. Whatever the service closes is opened again, so
 * that there are as many all the time.
 */
export interface NuisanceOrder {
  port: number
  client: Client
  counts: Record<Nuisance, number>
}

export type Nuisance = 'idle' | 'half a body' | 'slow sender' | 'slow reader'

export interface NuisanceReport {
  /** Open, on average over the looks. */
  open: Record<Nuisance, number>
  /** How often they were opened. */
  opened: Record<Nuisance, number>
  /** First lines of answers. */
  answers: Record<string, number>
  /** How long newcomers waited for an answer of `/health/live` on a connection of their own. */
  newcomersMs: number[]
}

// Spread over the time after which the service closes the first: nobody's phones fall silent all at once.
const openedWithinMs = 3_000
const reopenPauseMs = 200
const byteEveryMs = 250
const lookEveryMs = 500
// A reader takes 4 KB a second of answers that are 400 KB together.
const readBytes = 4_096
const readEveryMs = 1_000
const pipelined = 8
const newcomerEveryMs = 250

const none = (): Record<Nuisance, number> => ({
  idle: 0,
  'half a body': 0,
  'slow sender': 0,
  'slow reader': 0,
})
const open = none()
const opened = none()
const looked = none()
let looks = 0
const answers: Record<string, number> = {}
const newcomersMs: number[] = []
const newcomersSince = new Set<number>()

const behaviours: Record<Nuisance, (socket: Socket, order: NuisanceOrder) => void> = {
  idle: listenTo,
  'half a body'(socket, { client }) {
    listenTo(socket)
    const body = JSON.stringify({ content: 'Half of this is sent, and the rest is not.', type: 'text' })
    socket.write(`${headOf(client, body.length)}${body.slice(0, body.length / 2)}`)
  },
  'slow sender'(socket, { client }) {
    listenTo(socket)
    const head = headOf(client, 64)
    let sent = 0
    const timer = setInterval(() => socket.write(head.charAt(sent++ % head.length)), byteEveryMs)
    socket.on('close', () => clearInterval(timer))
  },
  'slow reader'(socket) {
    socket.write('GET /openapi.json HTTP/1.1\r\nHost: faults\r\n\r\n'.repeat(pipelined))
    // `onread` pauses it after each piece.
    const timer = setInterval(() => socket.resume(), readEveryMs)
    socket.on('close', () => clearInterval(timer))
  },
}

process.on('message', (message: NuisanceOrder | 'stop') => {
  if (message === 'stop') {
    // Who still waits has waited at least so long.
    const now = performance.now()
    for (const since of newcomersSince) newcomersMs.push(now - since)
    const report: NuisanceReport = { open: average(), opened, answers, newcomersMs }
    process.send?.(report, () => process.exit())
    return
  }
  for (const [nuisance, count] of Object.entries(message.counts) as [Nuisance, number][]) {
    for (let nth = 0; nth < count; nth++) {
      setTimeout(() => keepOpen(nuisance, message), Math.random() * openedWithinMs)
    }
  }
  setTimeout(() => {
    setInterval(look, lookEveryMs)
    setInterval(() => comeNew(message.port), newcomerEveryMs)
  }, openedWithinMs)
})

function comeNew(port: number): void {
  const since = performance.now()
  newcomersSince.add(since)
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write('GET /health/live HTTP/1.1\r\nHost: faults\r\nConnection: close\r\n\r\n')
  socket.on('data', () => {
    if (newcomersSince.delete(since)) newcomersMs.push(performance.now() - since)
  })
  // Tried again by whoever it is; here it counts as one who waits to the end.
  socket.on('error', () => undefined)
}

function keepOpen(nuisance: Nuisance, order: NuisanceOrder): void {
  const onread = { buffer: Buffer.alloc(readBytes), callback: () => false }
  const options = { port: order.port, host: '127.0.0.1' }
  const socket = nuisance === 'slow reader' ? connect({ ...options, onread }) : connect(options)
  let isOpen = false
  socket.on('connect', () => {
    isOpen = true
    open[nuisance] += 1
    opened[nuisance] += 1
    behaviours[nuisance](socket, order)
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    if (isOpen) open[nuisance] -= 1
    setTimeout(() => keepOpen(nuisance, order), reopenPauseMs * Math.random())
  })
}

function listenTo(socket: Socket): void {
  socket.on('data', (chunk: Buffer) => {
    const [line = ''] = chunk.toString('latin1').split('\r\n', 1)
    answers[line] = (answers[line] ?? 0) + 1
  })
}

function look(): void {
  looks += 1
  for (const nuisance of Object.keys(looked) as Nuisance[]) looked[nuisance] += open[nuisance]
}

function average(): Record<Nuisance, number> {
  const averages = none()
  for (const nuisance of Object.keys(looked) as Nuisance[]) {
    averages[nuisance] = looks === 0 ? open[nuisance] : looked[nuisance] / looks
  }
  return averages
}
