import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * Starts a program that ends with this process, however this one ends. A shell holds the other end of a pipe: when that
 * closes, we are gone, and it kills the program. With a process group of its own, so that Ctrl-C reaches us alone.
 */
export function spawnBound(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, args, { ...options, detached: true })
  const pid = child.pid
  if (pid === undefined || process.platform === 'win32') return child
  const shell = spawn('sh', ['-c', 'read -r word && exit 0; kill -KILL "$1"', 'lifeline', String(pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  shell.on('error', () => undefined)
  shell.stdin?.on('error', () => undefined)
  shell.unref()
  // Its id may be somebody else's from now on.
  child.once('exit', () => shell.stdin?.end('ended\n'))
  return child
}

export function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** SIGKILL, which reaches a paused process, too. Resolves when it is gone. */
export async function killChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
