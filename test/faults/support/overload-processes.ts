import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { killChild, spawnBound } from './children.ts'
import type { LoadOrder, LoadReport, LoadResult } from './overload-load.ts'
import type { NuisanceOrder, NuisanceReport } from './overload-nuisances.ts'

export interface LoadProcess {
  /** One load at a time. */
  run(order: LoadOrder): RunningLoad
  end(): Promise<void>
}

export interface RunningLoad {
  /** When its measured time begins, and when it ends; the last answers come after that. */
  readonly measuring: Promise<void>
  readonly measured: Promise<void>
  readonly done: Promise<LoadResult>
}

export interface NuisanceProcess {
  begin(order: NuisanceOrder): void
  stop(): Promise<NuisanceReport>
  end(): Promise<void>
}

export function startLoadProcess(): LoadProcess {
  const child = startOwn('overload-load.ts')
  return {
    run(order) {
      const reports = (kind: LoadReport['kind']): Promise<LoadReport> =>
        untilMessage<LoadReport>(child, (report) => report.kind === kind)
      const running = {
        measuring: reports('measuring').then(() => undefined),
        measured: reports('measured').then(() => undefined),
        done: reports('done').then((report) => {
          if (report.kind !== 'done') throw new Error('the load has no result')
          return report.result
        }),
      }
      child.send(order)
      return running
    },
    end: () => killChild(child),
  }
}

export function startNuisances(): NuisanceProcess {
  const child = startOwn('overload-nuisances.ts')
  return {
    begin: (order) => void child.send(order),
    async stop() {
      const report = untilMessage<NuisanceReport>(child, () => true)
      child.send('stop')
      return await report
    },
    end: () => killChild(child),
  }
}

function startOwn(file: string): ChildProcess {
  const script = fileURLToPath(new URL(file, import.meta.url))
  return spawnBound(process.execPath, ['--import', 'tsx', script], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

/** The first message that is the last one; rejects when the process ends before it. */
function untilMessage<M>(child: ChildProcess, isLast: (message: M) => boolean): Promise<M> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error('a process of the load has ended'))
    const onMessage = (message: M): void => {
      if (!isLast(message)) return
      child.off('exit', onExit)
      child.off('message', onMessage)
      resolve(message)
    }
    child.once('exit', onExit)
    child.on('message', onMessage)
  })
}
