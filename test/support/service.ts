import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Db } from 'mongodb'
import type { Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { type CloudinaryStandIn, startCloudinary } from '../../src/dev/cloudinary/server.ts'
import { type Conformance, conformanceTo } from './conformance.ts'
import { databaseUri, dropDatabase } from './database.ts'
import { createPeople, type People } from './people.ts'

/** A real service on a free port, with a database and a storage of its own. */
export interface Service extends People {
  url: string
  app: FastifyInstance
  db: Db
  storage: CloudinaryStandIn
  /** The log's lines so far, as they were written. */
  logs: string[]
  conformance: Conformance
  mongodbUri: string
}

export interface ServiceOptions {
  /** Variables beside those that the support sets. */
  env?: Record<string, string>
  mongodbUri?: string
  storage?: CloudinaryStandIn
  sweepIntervalMs?: number
}

/** For a test that says when somebody sweeps, and between whose steps another sweep would come. */
export const withoutSweeps: ServiceOptions = { sweepIntervalMs: 3_600_000 }

export const jwtSecret = 'a secret of the tests that has over 32 bytes'

/** Starts one for a test file, or for a test; it is closed, and its database dropped, when that ends. */
export async function startService(t: Test, options: ServiceOptions = {}): Promise<Service> {
  const storage = options.storage ?? (await startCloudinary())
  const mongodbUri = options.mongodbUri ?? (await databaseUri(`_${randomBytes(4).toString('hex')}`))
  // The SDK looks at it when it is first loaded, to decide between http and https.
  process.env.CLOUDINARY_URL ??= storage.cloudinaryUrl
  const logs: string[] = []
  const env = {
    MONGODB_URI: mongodbUri,
    CLOUDINARY_URL: storage.cloudinaryUrl,
    JWT_SECRET: jwtSecret,
    LOG_LEVEL: 'trace',
    ...options.env,
  }
  const { sweepIntervalMs } = options
  const overrides = {
    logTo: collectInto(logs),
    ...(sweepIntervalMs === undefined ? {} : { sweepIntervalMs }),
  }
  const app = await buildApp(loadConfig(env), overrides)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => {
    await app.close()
    if (!options.storage) await storage.close()
    if (!options.mongodbUri) await dropDatabase(mongodbUri)
  })
  const conformance = conformanceTo(app.swagger())
  const { db } = app.mongo
  const people = createPeople({ url, db, storage, conformance })
  return { url, app, db, storage, logs, conformance, mongodbUri, ...people }
}

function collectInto(lines: string[]): Writable {
  return new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
}
