export interface Repeated {
  /** Starts no further run, and waits for the one under way. */
  stop(): Promise<void>
}

/**
 * Runs a task again and again with a pause of `intervalMs` from the end of one run to the start of the next, so that
 * slow runs do not pile up. The task must not throw. Its timer does not keep the process alive.
 */
export function runEvery(
  intervalMs: number,
  task: () => Promise<unknown>,
  { first = 'after-interval' }: { first?: 'now' | 'after-interval' } = {},
): Repeated {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<unknown> = Promise.resolve()
  let stopped = false

  function run(): void {
    running = task().finally(schedule)
  }

  function schedule(): void {
    if (!stopped) timer = setTimeout(run, intervalMs).unref()
  }

  if (first === 'now') run()
  else schedule()

  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
