import { connect, type Socket } from 'node:net'
import { type Answer, answerIn } from './overload-answers.ts'
import type { Request } from './overload-requests.ts'

/** What all connections of a load share. */
export interface Shared {
  port: number
  pauseMs: number
  /** Nothing is sent before: everybody is connected first, and then all want something at once. */
  begun: Promise<void>
  /** Nothing is sent any more. */
  isOver(): boolean
  /** Another message, of whoever has waited longest. */
  take(): Request
  giveBack(request: Request): void
  onAnswer(request: Request, answer: Answer, tookMs: number): void
  /** The connection ended without an answer. */
  onCut(request: Request): void
  onError(code: string): void
}

const reconnectPauseMs = 100
// All sockets read into one buffer, one after another.
const readBuffer = Buffer.alloc(65_536)

/**
 * Keeps one connection busy. Who is refused sends the same message again; who is accepted, or cannot know, another.
 * `connected` at the first connection; `end` when it is over, and the last answer has come.
 */
export function keepBusy(shared: Shared): { connected: Promise<void>; end: Promise<void> } {
  let onConnected = (): void => undefined
  let onEnd = (): void => undefined
  const connected = new Promise<void>((resolve) => {
    onConnected = resolve
  })
  const end = new Promise<void>((resolve) => {
    onEnd = resolve
  })
  let socket: Socket
  let request = shared.take()
  let isWaiting = false
  let received = ''
  let sentAtMs = 0

  function open(): void {
    const onread = { buffer: readBuffer, callback: read }
    socket = connect({ port: shared.port, host: '127.0.0.1', noDelay: true, onread })
    socket.on('connect', () => {
      onConnected()
      void shared.begun.then(send)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => shared.onError(error.code ?? error.message))
    socket.on('close', () => {
      const isCut = isWaiting
      if (isCut) shared.onCut(request)
      if (isCut) another()
      if (shared.isOver()) onEnd()
      else setTimeout(open, isCut ? reconnectPauseMs : 0)
    })
  }

  function send(): void {
    // The service may have closed it meanwhile; then the next one sends.
    if (socket.destroyed || isWaiting) return
    if (shared.isOver()) return void socket.end()
    isWaiting = true
    sentAtMs = performance.now()
    socket.write(request.bytes)
  }

  function read(bytes: number, buffer: Uint8Array): boolean {
    // With `onread`, Node gives the buffer that it was given.
    received += (buffer as Buffer).toString('latin1', 0, bytes)
    const answer = answerIn(received)
    if (!answer) return true
    // Closed for its silence.
    if (!isWaiting) return true
    shared.onAnswer(request, answer, performance.now() - sentAtMs)
    if (answer.status === 200 || answer.code === 'DATABASE_UNAVAILABLE') another()
    isWaiting = false
    received = ''
    if (answer.isLast) socket.end()
    else if (shared.pauseMs === 0) send()
    else setTimeout(send, shared.pauseMs * 2 * Math.random())
    return true
  }

  function another(): void {
    isWaiting = false
    received = ''
    shared.giveBack(request)
    request = shared.take()
  }

  open()
  return { connected, end }
}
