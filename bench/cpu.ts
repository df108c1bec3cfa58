import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** CPU time that a process has used, in microseconds, user and system. From outside: the service is measured as it is. */
export function cpuUs(pid: number): number {
  if (process.platform === 'linux') {
    // proc_pid_stat(5): after the name, which may hold spaces, utime and stime are the 12th and 13th, in ticks of 10 ms.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  }
  // [[dd-]hh:]mm:ss[.cc]
  const time = execFileSync('ps', ['-o', 'time=', '-p', String(pid)], { encoding: 'utf8' }).trim()
  const seconds = time.split(/[-:]/).reduce((sum, part) => sum * 60 + Number(part), 0)
  return seconds * 1_000_000
}
