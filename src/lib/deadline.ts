/**
 * A point on the clock below. A wall clock that is set back must not lengthen a request, and one that is set forward ends those
 * under way: it cannot be told from a machine that has slept.
 */
export interface Deadline {
  /** Milliseconds on the clock. */
  readonly at: number
}

/** `clock` gives monotonic milliseconds. */
export function deadlineIn(ms: number, clock: () => number = monotonicMs): Deadline {
  return { at: clock() + ms }
}

/** Milliseconds that are left, 0 when it has passed. */
export function msLeft(deadline: Deadline, clock: () => number = monotonicMs): number {
  return Math.max(0, deadline.at - clock())
}

/** Monotonic milliseconds, a sleep of the machine included. */
export const monotonicMs: () => number = createClock()

/**
 * `performance.now()` stands still while the machine sleeps: whoever wakes would take for his own what others have taken over
 * meanwhile. So the clock goes with it, and forward with the wall clock wherever that has gained on it.
 */
export function createClock(
  steadyMs: () => number = () => performance.now(),
  wallMs: () => number = () => Date.now(),
): () => number {
  const behindMs = wallMs() - steadyMs()
  let sleptMs = 0
  return () => {
    const now = steadyMs()
    sleptMs = Math.max(sleptMs, wallMs() - now - behindMs)
    return now + sleptMs
  }
}
