import { setTimeout as pause } from 'node:timers/promises'
import { type Deadline, msLeft } from '../lib/deadline.ts'

/** Before the database is asked again: an election takes seconds. */
export const unavailablePauseMs = 100

/**
 * With jitter, so that instances that met once do not meet again; and no longer than until the deadline, which nothing else
 * looks at meanwhile.
 */
export async function pauseBeforeRepeat(pauseMs: number, deadline?: Deadline): Promise<void> {
  const jittered = pauseMs * (0.5 + Math.random())
  await pause(deadline ? Math.min(jittered, msLeft(deadline)) : jittered)
}
