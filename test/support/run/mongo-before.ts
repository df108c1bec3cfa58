import { holdReplicaSet } from '../../../src/dev/held-replica-set.ts'
import { MongodNotFound } from '../../../src/dev/mongod.ts'

// tap runs this once, before the first test file, as a child of the runner, with which the set ends.
// With MONGODB_URI the tests use that server, and nothing is started.
if (!process.env.MONGODB_URI) {
  await holdReplicaSet(process.ppid, { env: process.env, say }).catch((error: unknown) => {
    if (!(error instanceof MongodNotFound)) throw error
    say(error.message)
    process.exitCode = 1
  })
}

/** Not to stdout, which is the report's. */
function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
