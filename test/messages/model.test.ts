import fc from 'fast-check'
import t from 'tap'
import { singleCommands } from '../support/model/commands.ts'
import { commandsOfPeople } from '../support/model/people.ts'
import { commandsAtOnce } from '../support/model/races.ts'
import { newPeople } from '../support/model/service.ts'
import { newModel } from '../support/model/state.ts'
import { commandsOfSweepers } from '../support/model/sweepers.ts'
import { startService, withoutSweeps } from '../support/service.ts'

// `MODEL_RUNS=500` looks longer. A failure is replayed with the seed and the path that it prints: `MODEL_SEED=… MODEL_PATH=…`.
const { MODEL_RUNS = '40', MODEL_SEED, MODEL_PATH } = process.env
const replay = {
  ...(MODEL_SEED === undefined ? {} : { seed: Number(MODEL_SEED) }),
  ...(MODEL_PATH === undefined ? {} : { path: MODEL_PATH }),
}

// What the storage refuses is logged as a warning; an error is a defect.
const env = { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'error' }
const options = { ...withoutSweeps, env }
const service = await startService(t, options)
const { mongodbUri, storage } = service
const other = await startService(t, { ...options, mongodbUri, storage })

t.test('two instances do what a simple model of them does', { timeout: 3_600_000 }, async (t) => {
  const all = [...singleCommands, ...commandsOfPeople, ...commandsAtOnce, ...commandsOfSweepers]
  const histories = fc.commands(all, { maxCommands: 40, size: 'max' })
  const property = fc.asyncProperty(histories, async (commands) => {
    const model = newModel()
    const real = await newPeople([service, other], model)
    await fc.asyncModelRun(() => ({ model, real }), commands)
  })

  await fc.assert(property, { numRuns: Number(MODEL_RUNS), ...replay })

  t.strictSame([...service.logs, ...other.logs], [])
})
