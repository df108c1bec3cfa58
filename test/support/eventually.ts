import { setTimeout as pause } from 'node:timers/promises'

/** Asks again and again until it holds; throws after `boundMs`, which is a bound and no time to wait. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  boundMs: number = 10_000,
  everyMs: number = 10,
): Promise<void> {
  const end = performance.now() + boundMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`did not come to hold within ${boundMs} ms: ${holds}`)
    await pause(everyMs)
  }
}
