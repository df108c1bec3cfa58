import { Overloaded, type Refusal } from '../errors.ts'
import type { Gate } from '../lib/gate.ts'

// Half of the 200 ms within which a client should know.
const excessPauseMs = 100

/** Calls back, with `Overloaded` where there is no room. No promise: it stands before every message. */
export type RefuseExcess = (done: (refusal?: Refusal) => void) => void

/**
 * The route's first hook: what is too much waits for a moment, and is refused before anything was done for it. Refused at once,
 * clients that repeat at once keep the process busy with refusals: 5,000 of them left a sixth of the messages.
 */
export function refuseExcess(gate: Pick<Gate, 'isFull'>, pauseMs: number = excessPauseMs): RefuseExcess {
  return (done) => {
    if (!gate.isFull) return done()
    setTimeout(() => done(gate.isFull ? new Overloaded() : undefined), pauseMs)
  }
}
