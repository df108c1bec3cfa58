import { randomBytes } from 'node:crypto'
import { MongoClient } from 'mongodb'
import { heldReplicaSet, holdReplicaSet } from '../../src/dev/held-replica-set.ts'

// Of this process, thus of the test file: no file sees another's documents.
const databaseName = `test_${process.pid}_${randomBytes(4).toString('hex')}`

let server: Promise<string> | undefined

/** The test file's database; with a suffix, one more of its own. */
export async function databaseUri(suffix = ''): Promise<string> {
  server ??= serverUri()
  return withDatabase(await server, databaseName + suffix)
}

export async function dropDatabase(uri: string): Promise<void> {
  const client = new MongoClient(uri)
  try {
    await client.db().dropDatabase()
  } finally {
    await client.close()
  }
}

/** The run's set, where tap has started one; a file that is run alone starts its own, which ends with it. */
async function serverUri(): Promise<string> {
  if (process.env.MONGODB_URI) return process.env.MONGODB_URI

  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const held =
    (await heldReplicaSet(process.ppid)) ?? (await holdReplicaSet(process.pid, { env: process.env, say }))
  return held.uri
}

/** By hand, because a URL can't have several hosts. */
function withDatabase(uri: string, name: string): string {
  const [, server = '', database = '', query = ''] =
    /^(\w+(?:\+srv)?:\/\/[^/?]+)\/?([^?]*)\??(.*)$/.exec(uri) ?? []
  const options = new URLSearchParams(query)
  // Whoever logs in does so in the database that the address named, or in admin.
  if (server.includes('@') && !options.has('authSource')) options.set('authSource', database || 'admin')
  return `${server}/${name}${options.size > 0 ? `?${options}` : ''}`
}
