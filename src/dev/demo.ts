import { once } from 'node:events'
import { createCleanUp } from './demo/clean-up.ts'
import { sentenceOf } from './demo/failure.ts'
import { createPaint } from './demo/paint.ts'
import { runDemo } from './demo/run.ts'
import type { Stage } from './demo/stage.ts'

// npm run demo. A database, a storage, the service, some people: shows what the service answers, and stays up.

// One Ctrl-C can arrive twice: from the terminal, and from whoever started this process and passes it on.
const sameSignalMs = 500
const interruptedCode = 130
const parentCheckMs = 500

process.exit(await main())

async function main(): Promise<number> {
  const stopping = stopSignal()
  const cleanUp = createCleanUp()
  const paint = createPaint({ isTTY: process.stdout.isTTY, env: process.env })
  let isUp = false
  const fail = (sentence: string): 1 => {
    process.stderr.write(`${sentence}\n`)
    return 1
  }

  const run = async (): Promise<number> => {
    try {
      const faults = await runDemo({
        env: process.env,
        say,
        progress: createProgress(),
        paint,
        logTo: process.stderr,
        stopping,
        atEnd: cleanUp.add,
        untilStopped: async () => {
          isUp = true
          if (!stopping.aborted) await once(stopping, 'abort')
        },
      })
      return faults.length === 0 ? 0 : fail(`Not answered as expected: ${faults.join(' ')}`)
    } catch (error) {
      return stopping.aborted ? interruptedCode : fail(sentenceOf(error))
    }
  }

  const code = await run()
  const left = await cleanUp.run()
  if (isUp) say('Stopped, and everything removed.')
  return left.length === 0 ? code : fail(`Could not remove ${left.join(', ')}.`)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** On a terminal one line that changes, elsewhere a line every tenth. */
function createProgress(): Stage['progress'] {
  let tenthsTold = 0
  return (doneBytes, totalBytes) => {
    const line = `mongod: ${megabytes(doneBytes)} of ${megabytes(totalBytes)}`
    const tenths = Math.floor((10 * doneBytes) / totalBytes)
    if (process.stdout.isTTY) process.stdout.write(`\r${line}${doneBytes < totalBytes ? '' : '\n'}`)
    else if (tenths > tenthsTold) say(line)
    tenthsTold = tenths
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** Aborted by the first signal; the second ends the process at once, and what it has started ends by itself. */
function stopSignal(): AbortSignal {
  const stop = new AbortController()
  let firstAt = Number.POSITIVE_INFINITY
  const onSignal = (): void => {
    if (performance.now() - firstAt >= sameSignalMs) process.exit(interruptedCode)
    if (stop.signal.aborted) return
    firstAt = performance.now()
    say('\nStopping …')
    stop.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  watchParent(onSignal)
  // Whoever read the show has gone, as `head` does.
  process.stdout.on('error', () => stop.abort())
  process.stderr.on('error', () => undefined)
  return stop.signal
}

/** npm passes SIGTERM on to its shell only, which ends of it and leaves this process behind. */
function watchParent(onGone: () => void): void {
  if (process.env.npm_lifecycle_event === undefined) return
  const parent = process.ppid
  const watching = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watching)
    onGone()
  }, parentCheckMs)
  watching.unref()
}
