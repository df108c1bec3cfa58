import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { findMongod } from '../src/dev/mongod.ts'
import { startReplicaSet } from '../src/dev/replica-set.ts'
import { build, type Fleet, openFleet } from './processes.ts'
import { say } from './say.ts'

export interface Stage {
  mongodbUri(databaseName: string): string
  mongodPid: number
  cloudinaryUrl: string
  fleet: Fleet
}

/** Everything that a measurement needs beside what it measures; gone when `play` has ended. */
export async function onStage<R>(
  { cacheGb }: { cacheGb: number },
  play: (stage: Stage) => Promise<R>,
): Promise<R> {
  const binary = await findMongod({ env: process.env, say })
  say('building')
  build()
  const replicaSet = await startReplicaSet({ binary, cacheGb, say })
  const storage = spawn(process.execPath, ['--import', 'tsx', 'src/dev/cloudinary/main.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = await once(storage.stdout, 'data')
    const { cloudinaryUrl } = JSON.parse(String(line))
    const fleet = openFleet(cloudinaryUrl)
    try {
      const mongodPid = replicaSet.members[0]?.pid ?? 0
      return await play({ mongodbUri: replicaSet.uri, mongodPid, cloudinaryUrl, fleet })
    } finally {
      fleet.stop()
    }
  } finally {
    storage.kill()
    await replicaSet.stop()
  }
}
