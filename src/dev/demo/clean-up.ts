export interface CleanUp {
  /** What is to be removed at the end; `name` completes "could not remove …". */
  add(name: string, remove: () => Promise<unknown>): void
  /** All of it, the last first. Gives the names of what could not be removed. */
  run(): Promise<string[]>
}

export function createCleanUp(): CleanUp {
  const entries: { name: string; remove: () => Promise<unknown> }[] = []

  return {
    add: (name, remove) => void entries.push({ name, remove }),
    async run() {
      const failed: string[] = []
      for (const { name, remove } of entries.splice(0).reverse()) {
        // One that fails must not keep the others from being removed.
        await remove().catch(() => failed.push(name))
      }
      return failed
    },
  }
}
