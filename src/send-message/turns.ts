import type { Socket } from 'node:net'
import { monotonicMs } from '../lib/deadline.ts'
import { runEvery } from '../lib/run-every.ts'

export interface Turns {
  /** After an answer: what the connection sends next is read when those that wait longer have had their turn. */
  queue(socket: Socket): void
  /** Milliseconds for which the request that has come may have lain unread; 0 where its connection did not wait. */
  waitedMs(socket: Socket): number
  /** Connections that wait. */
  readonly waiting: number
  stop(): Promise<void>
}

interface TurnsDeps {
  /** Requests that have been let in and not answered. */
  inFlight(): number
  isClosing(): boolean
}

interface Limits {
  inFlightMax: number
  waitMaxMs: number
}

const limits: Limits = {
  // Four of the largest batches: with more the rate no longer rises.
  inFlightMax: 1_024,
  // For when nothing moves. Less than an idle connection is kept, and what a deadline can spare.
  waitMaxMs: 2_000,
}
const lookEveryMs = 50

/**
 * While enough is under way, a connection that has its answer is read again in its turn; what it sends meanwhile lies in the
 * kernel. Without it, all that thousands of clients want at once waits in this process, where it outlives the garbage
 * collector's young generation, or is refused, and comes again at once: 7,000 connections left half of the messages a second
 * that 1,024 give, where 12,000 now leave three quarters (docs/decisions/0007-connections-take-turns.md).
 */
export function createTurns(
  { inFlight, isClosing }: TurnsDeps,
  { inFlightMax, waitMaxMs }: Limits = limits,
): Turns {
  /** Since when, in ms; the longest first. */
  const waiting = new Map<Socket, number>()
  const waited = new WeakMap<Socket, number>()
  let isDue = false

  /** Once for all answers of one turn of the event loop: what it lets in arrives with the next. */
  function look(): void {
    isDue = false
    const now = monotonicMs()
    let room = isClosing() ? waiting.size : inFlightMax - inFlight()
    for (const [socket, since] of waiting) {
      if (room <= 0 && now - since < waitMaxMs) return
      room -= 1
      waiting.delete(socket)
      // No more than was meant, where the process itself was stopped meanwhile.
      waited.set(socket, Math.min(now - since, waitMaxMs))
      socket.resume()
    }
  }

  // Whose turn it is may have nothing to say; then no answer calls the next.
  const { stop } = runEvery(lookEveryMs, async () => look())
  return {
    queue(socket) {
      waited.delete(socket)
      if (isClosing() || !socket.writable || (waiting.size === 0 && inFlight() < inFlightMax)) return
      // With pipelined requests, or refused ahead of its body, it may have a place: a new time there would hold up all behind it.
      if (!waiting.has(socket)) waiting.set(socket, monotonicMs())
      socket.pause()
      if (!isDue) setImmediate(look)
      isDue = true
    },
    waitedMs: (socket) => waited.get(socket) ?? 0,
    get waiting() {
      return waiting.size
    },
    stop,
  }
}
