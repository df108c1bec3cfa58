import { readdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { failed, type Row, reportOf } from './report.ts'
import type { Outcome, Scenario } from './scenario.ts'
import { layFloor } from './support/floor.ts'
import { startProgress } from './support/progress.ts'
import { openStage, type RunDeps } from './support/stage.ts'

/** `npm run faults`: every scenario, one after another, on three real members and real processes of the service. */
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: '20' },
    json: { type: 'string' },
  },
})
const only = new RegExp(values.only)
const seconds = Number(values.seconds)
const scenarioTimeoutMs = 300_000
const folder = fileURLToPath(new URL('.', import.meta.url))

async function main(): Promise<void> {
  const progress = startProgress()
  const scenarios = (await findScenarios()).filter(({ name }) => only.test(name))
  if (scenarios.length === 0) throw new Error(`no scenario's name matches ${only}`)
  const { members, services, clear: clearAll } = await layFloor(progress)
  try {
    const deps: RunDeps = { members, services, progress, seconds }
    const rows: Row[] = []
    for (const scenario of scenarios) {
      progress.say(`${rows.length + 1} of ${scenarios.length}: ${scenario.name}`)
      const outcome = await play(deps, scenario, rows.length)
      for (const sentence of outcome.broken) progress.say(`  BROKEN: ${sentence}`)
      rows.push({ name: scenario.name, outcome })
    }
    await report(rows)
  } finally {
    await clearAll()
  }
}

/** Every `*.scenario.ts` below this folder, in the order of their paths. */
async function findScenarios(): Promise<Scenario[]> {
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.scenario.ts'))
  const modules = await Promise.all(
    files.sort().map((file) => import(pathToFileURL(join(folder, file)).href)),
  )
  return modules.flatMap(({ scenarios }) => scenarios)
}

async function play(deps: RunDeps, scenario: Scenario, index: number): Promise<Outcome> {
  const { stage, clear } = await openStage(deps, `faults_${index}`)
  const outcome = await Promise.race([
    scenario.run(stage),
    tooLate(scenario.timeoutMs ?? scenarioTimeoutMs),
  ]).catch(failed)
  await clear().catch((error: unknown) =>
    outcome.broken.push(`what was left could not be cleared away: ${error}`),
  )
  return outcome
}

function tooLate(timeoutMs: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`it did not end within ${timeoutMs / 1000} s`)), timeoutMs).unref()
  })
}

async function report(rows: readonly Row[]): Promise<void> {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}, three members`
  process.stdout.write(`\n${machine}\n\n${reportOf(rows)}\n`)
  if (values.json) await writeFile(values.json, `${JSON.stringify({ machine, seconds, rows }, null, 2)}\n`)
  const broken = rows.filter(({ outcome }) => outcome.broken.length > 0)
  process.stdout.write(`\n${rows.length - broken.length} held, ${broken.length} broken\n`)
  if (broken.length > 0) process.exitCode = 1
}

await main()
// What a scenario that failed has left open must not keep the process.
process.exit()
