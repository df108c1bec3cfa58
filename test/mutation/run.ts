import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { MongoClient } from 'mongodb'
import { findMongod } from '../../src/dev/mongod.ts'
import { isAlive } from '../../src/dev/processes.ts'
import { startReplicaSet } from '../../src/dev/replica-set.ts'
import { coveredBy } from './covered-by.ts'

// `npm run mutation`, or `npm run mutation -- src/send-message/judge.ts …`: changes the code in small ways, one at a time,
// and sees whether a test fails. One database for all; one run of Stryker for each file, kept under coverage/mutation.

const sweepEveryMs = 5_000
const detected = ['Killed', 'Timeout']

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const named = process.argv.slice(2)
const files = named.length > 0 ? named : Object.keys(coveredBy)

const binary = await findMongod({ env: process.env, say })
const { uri, stop } = await startReplicaSet({ binary, testCommands: true })
const client = new MongoClient(uri(''))
const sweep = setInterval(() => void dropAbandoned().catch(() => {}), sweepEveryMs)
try {
  for (const file of files) say(await mutate(file))
} finally {
  clearInterval(sweep)
  await client.close()
  await stop()
}

/** A line of the table. */
async function mutate(file: string): Promise<string> {
  const report = `coverage/mutation/${basename(file, '.ts')}.json`
  const tests = (coveredBy[file] ?? []).map((name) => `test/${name}.test.ts`)
  const env = {
    ...process.env,
    MONGODB_URI: uri(''),
    MUTATE: file,
    MUTATION_TESTS: tests.join(),
    MUTATION_REPORT: report,
    MUTATION_INCREMENTAL: report.replace('.json', '.incremental.json'),
  }
  const began = performance.now()
  const child = spawn('npx', ['stryker', 'run', 'test/mutation/stryker.config.mjs'], {
    env,
    stdio: 'inherit',
  })
  const [exitCode] = await once(child, 'exit')
  if (exitCode !== 0) return `${file}: Stryker ended with ${exitCode}`

  const { files } = JSON.parse(await readFile(report, 'utf8')) as Report
  const mutants = files[file]?.mutants ?? []
  const counts = new Map<string, number>()
  for (const { status } of mutants) counts.set(status, (counts.get(status) ?? 0) + 1)
  const of = (statuses: readonly string[]): number =>
    statuses.reduce((sum, status) => sum + (counts.get(status) ?? 0), 0)
  const valid = of([...detected, 'Survived', 'NoCoverage'])
  const seconds = Math.round((performance.now() - began) / 1000)
  const told = [...counts].map(([status, count]) => `${count} ${status}`).join(', ')
  return `${file}: ${of(detected)} of ${valid} (${told}) in ${seconds} s`
}

interface Report {
  files: Record<string, { mutants: { status: string }[] }>
}

/** A test file that failed early was ended without its own clean-up, and databases of thousands of those would fill the set. */
async function dropAbandoned(): Promise<void> {
  const { databases } = await client.db().admin().listDatabases({ nameOnly: true })
  for (const { name } of databases) {
    const [, pid] = /^test_(\d+)_/.exec(name) ?? []
    if (pid !== undefined && !isAlive(Number(pid))) await client.db(name).dropDatabase()
  }
}
