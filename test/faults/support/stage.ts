import { MongoClient } from 'mongodb'
import { startCloudinary } from '../../../src/dev/cloudinary/server.ts'
import type { Stage } from '../scenario.ts'
import type { Members } from './members.ts'
import type { Progress } from './progress.ts'
import type { Services } from './services.ts'

export interface RunDeps {
  members: Members
  services: Services
  progress: Progress
  seconds: number
}

/** The stage of one scenario, in a database of that name; `clear` takes away all that was put on it. */
export async function openStage(
  { members, services, progress, seconds }: RunDeps,
  databaseName: string,
): Promise<{ stage: Stage; clear(): Promise<void> }> {
  const clearing: (() => Promise<void> | void)[] = []
  const client = await MongoClient.connect(members.uri(databaseName), {
    writeConcern: { w: 'majority' },
    readConcernLevel: 'majority',
  })
  clearing.push(() => client.close())
  const db = client.db()
  clearing.push(async () => void (await db.dropDatabase()))
  const storage = await startCloudinary()
  clearing.push(() => storage.close())
  const mongodbUri: Stage['mongodbUri'] = (options) => members.uri(databaseName, options)

  const stage: Stage = {
    seconds,
    members,
    db,
    mongodbUri,
    storage,
    async startService({ env = {} } = {}) {
      const own = {
        MONGODB_URI: mongodbUri(),
        CLOUDINARY_URL: storage.cloudinaryUrl,
        // In the path, as in production, but never the answer.
        RATE_LIMIT_MAX: '1000000000',
      }
      const service = await services.start({ env: { ...own, ...env } })
      clearing.push(() => service.kill())
      return service
    },
    progress,
    onEnd: (clearAway) => void clearing.push(clearAway),
  }
  return {
    stage,
    async clear() {
      await members.heal()
      for (const clearAway of clearing.reverse()) await clearAway()
    },
  }
}
