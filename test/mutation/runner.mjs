import { register } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { INSTRUMENTER_CONSTANTS } from '@stryker-mutator/api/core'
import { declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin'
import {
  DryRunStatus,
  determineHitLimitReached,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner'

/**
 * Runs tap's test files in Stryker's own process, again and again: a process a file, as Stryker's runner for tap has it,
 * spends two seconds on loading what is then used for a tenth of one. Only the test file itself is loaded anew; its
 * `import t from 'tap'` gets a subtest of one run. What a mutant has changed while it was loaded (a constant) needs a
 * process of its own, which Stryker starts where `reloadEnvironment` is false.
 */
const testFiles = process.env.MUTATION_TESTS?.split(',') ?? []
const mutated = process.env.MUTATE?.split(',') ?? []
const runTimeoutMs = 60_000

const namespace = INSTRUMENTER_CONSTANTS.NAMESPACE
globalThis[namespace] ??= {}
const stryker = globalThis[namespace]

/** The subtests that test files get for `tap`, by the number of the run. */
globalThis.tapOfRun = new Map()

const hooks = `
export async function resolve(specifier, context, next) {
  const run = specifier === 'tap' && /[?&]run=(\\d+)/.exec(context.parentURL ?? '')
  return run ? { url: 'tap-of-run:' + run[1], shortCircuit: true } : next(specifier, context)
}
export async function load(url, context, next) {
  if (!url.startsWith('tap-of-run:')) return next(url, context)
  const source = 'export default globalThis.tapOfRun.get(' + url.slice('tap-of-run:'.length) + ')'
  return { format: 'module', source, shortCircuit: true }
}`

class InProcessRunner {
  #runs = 0
  #tap

  capabilities() {
    return { reloadEnvironment: false }
  }

  async init() {
    process.env.TAP_TIMEOUT = '0'
    // tap takes the parent for its own runner. Stryker's messages are texts.
    const send = process.send?.bind(process)
    if (send) process.send = (message, ...rest) => typeof message === 'string' && send(message, ...rest)
    register(`data:text/javascript,${encodeURIComponent(hooks)}`)
  }

  async dryRun() {
    // Loaded before any test, so that what runs at loading is counted for none.
    for (const file of mutated) await import(pathToFileURL(resolve(file)).href)
    const tests = []
    for (const file of testFiles) {
      stryker.currentTestId = file
      tests.push(await this.#run(file))
    }
    stryker.currentTestId = undefined
    return { status: DryRunStatus.Complete, tests, mutantCoverage: stryker.mutantCoverage }
  }

  async mutantRun({ activeMutant, testFilter, hitLimit, disableBail }) {
    stryker.activeMutant = activeMutant.id
    stryker.hitLimit = hitLimit
    stryker.hitCount = hitLimit === undefined ? undefined : 0
    const tests = []
    for (const file of testFilter ?? testFiles) {
      tests.push(await this.#run(file))
      const limit = determineHitLimitReached(stryker.hitCount, hitLimit)
      if (limit) return limit
      if (!disableBail && tests.at(-1).status === TestStatus.Failed) break
    }
    return toMutantRunResult({ status: DryRunStatus.Complete, tests })
  }

  async #run(file) {
    this.#tap ??= (await import('tap')).default
    const run = ++this.#runs
    const began = performance.now()
    let failed
    const results = await this.#tap.test(`${file}, run ${run}`, { timeout: runTimeoutMs }, async (t) => {
      const test = async (name, ...rest) => {
        // The first failure is enough.
        if (failed !== undefined) return
        const result = await t.test(name, ...rest)
        if (result?.ok === false) failed ??= name
      }
      const own = new Proxy(t, {
        get(target, key) {
          if (key === 'test') return test
          const value = target[key]
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
      globalThis.tapOfRun.set(run, own)
      await import(`${pathToFileURL(resolve(file)).href}?run=${run}`)
      globalThis.tapOfRun.delete(run)
    })
    const test = { id: file, name: file, fileName: file, timeSpentMs: performance.now() - began }
    return results?.ok
      ? { ...test, status: TestStatus.Success }
      : {
          ...test,
          status: TestStatus.Failed,
          failureMessage: failed ?? JSON.stringify(results?.failures?.[0]?.name ?? 'the file itself'),
        }
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'in-process', InProcessRunner)]
