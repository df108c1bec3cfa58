import type { CleanUp } from './clean-up.ts'

/** What every part of the demo works with. */
export interface Stage {
  env: NodeJS.ProcessEnv
  say(line: string): void
  /** Of a download. */
  progress(doneBytes: number, totalBytes: number): void
  /** Aborted by Ctrl-C. */
  stopping: AbortSignal
  atEnd: CleanUp['add']
}
