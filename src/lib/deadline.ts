/** A point on the monotonic clock: a wall clock that is set back or forward must not lengthen or end a request. */
export interface Deadline {
  /** Milliseconds on the monotonic clock. */
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

export function monotonicMs(): number {
  return performance.now()
}
