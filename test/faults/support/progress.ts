/** What is going on, on standard error: standard output is for the table. */
export interface Progress {
  /** A line that stays. */
  say(line: string): void
  /** Replaced by the next on a terminal; elsewhere a plain line, not more often than every few seconds. */
  tell(line: string): void
}

// Often enough to see that it goes on, seldom enough that a log of CI stays readable.
const plainEveryMs = 5_000

export function startProgress(output: NodeJS.WriteStream = process.stderr): Progress {
  let plainAt = 0
  return {
    say(line) {
      output.write(output.isTTY ? `\r\x1b[2K${line}\n` : `${line}\n`)
    },
    tell(line) {
      if (output.isTTY) {
        output.write(`\r\x1b[2K${line.slice(0, (output.columns ?? 120) - 1)}`)
      } else if (performance.now() >= plainAt) {
        plainAt = performance.now() + plainEveryMs
        output.write(`${line}\n`)
      }
    },
  }
}
