import { readFile } from 'node:fs/promises'
import { findMongod } from '../mongod.ts'
import { startReplicaSet } from '../replica-set.ts'
import type { Stage } from './stage.ts'

// Again and again, because one may be about to start.
const endChildrenEveryMs = 100

/** A replica set of the demo's own, from whatever mongod can be found or fetched. Gives its URI. */
export async function startOwnDatabase(stage: Stage): Promise<string> {
  const binary = await findUnlessStopped(stage)
  const replicaSet = await startReplicaSet({ binary, say: stage.say })
  stage.atEnd('the replica set', replicaSet.stop)
  return replicaSet.uri('messages_demo')
}

/**
 * The search knows no signal, and may be in the middle of a download. So its program is ended, and the search with the
 * next line that it wants to say, on the way out of which it removes what it has begun.
 */
async function findUnlessStopped({ env, say, progress, stopping }: Stage): Promise<string> {
  let ending: NodeJS.Timeout | undefined
  const onStop = (): void => {
    ending = setInterval(endChildren, endChildrenEveryMs)
  }
  stopping.addEventListener('abort', onStop)
  try {
    return await findMongod({
      env,
      // Told at any time, so nothing may be thrown there.
      progress,
      say: (line) => {
        stopping.throwIfAborted()
        say(line)
      },
    })
  } finally {
    stopping.removeEventListener('abort', onStop)
    clearInterval(ending)
  }
}

/** Where only this process got the signal. Only Linux tells whose children are whose; elsewhere they end by themselves. */
async function endChildren(): Promise<void> {
  const path = `/proc/self/task/${process.pid}/children`
  const children = await readFile(path, 'utf8').catch(() => '')
  for (const pid of children.split(' ').map(Number).filter(Boolean)) {
    try {
      process.kill(pid)
    } catch {
      // It has ended meanwhile.
    }
  }
}
