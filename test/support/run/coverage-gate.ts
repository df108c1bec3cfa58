import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { root } from '../root.ts'

// The part of the gate that tap does not have: every file of the service itself is covered whole. For all files together
// tap has its own threshold, in .taprc. Runs after tap, on the report that it has written.

type Measure = 'lines' | 'functions' | 'branches'
type Summary = Record<string, Record<Measure, { total: number; covered: number; pct: number }>>

const coveredWhole = /^(schemas|src\/plugins|src\/send-message)\//
const measures: readonly Measure[] = ['lines', 'functions', 'branches']

/** What no test can reach, in branches. */
const outOfReach: Readonly<Record<string, number>> = {
  // A cluster, twice (there is no mongos to be had), an error of the server without a name, and a close that fails.
  'src/plugins/mongodb.ts': 4,
}

const summary: Summary = JSON.parse(await readFile(`${root}.tap/report/coverage-summary.json`, 'utf8'))
const files = Object.entries(summary).filter(([path]) => path !== 'total')

for (const [path, covered] of files) {
  const file = relative(root, path).replaceAll('\\', '/')
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n').length
  if (covered.lines.total < lines - 1) {
    fail(
      `${file}: the figures are of ${covered.lines.total} of ${lines} lines: another loader has compiled it, too`,
    )
  }
  for (const measure of coveredWhole.test(file) ? measures : []) {
    const { total, covered: count, pct } = covered[measure]
    const missing = total - count - (measure === 'branches' ? (outOfReach[file] ?? 0) : 0)
    if (missing > 0) fail(`${file}: ${pct} % of the ${measure} are covered, not 100 %`)
  }
}

const whole = files.filter(([path]) => coveredWhole.test(relative(root, path)))
if (whole.length === 0) fail('nothing that must be covered whole was loaded by any test')

function fail(reason: string): void {
  process.stderr.write(`${reason}\n`)
  process.exitCode = 1
}
