export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** What is going on right now, in one line that the next one takes the place of. */
export function tell(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${line}`)
}
