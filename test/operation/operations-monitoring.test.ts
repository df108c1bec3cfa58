import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { refusals } from '../../schemas/refusal.ts'
import { eventually } from '../support/eventually.ts'
import { picture } from '../support/media.ts'
import { type Exposed, exposedIn, queryOf } from '../support/promql.ts'
import { rootUrl } from '../support/root.ts'
import { startService } from '../support/service.ts'

// The dashboard and the alerts, against what a real service tells of itself.

interface Panel {
  id: number
  type: string
  title: string
  datasource?: { type: string; uid: string }
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { refId: string; expr: string; datasource: { type: string; uid: string } }[]
}

interface Dashboard {
  uid: string
  title: string
  schemaVersion: number
  panels: Panel[]
  templating: { list: { name: string; type: string; query: string | { query: string } }[] }
}

interface Rule {
  alert: string
  expr: string
  for: string
  labels: { severity: string }
  annotations: { summary: string; description: string }
}

const readOps = (name: string) => readFile(new URL(`ops/${name}`, rootUrl), 'utf8')
const dashboard: Dashboard = JSON.parse(await readOps('grafana-dashboard.json'))
const { groups }: { groups: { name: string; rules: Rule[] }[] } = parse(await readOps('alerts.yaml'))
const rules = groups.flatMap((group) => group.rules)

/** Grafana puts its own words in before it asks. */
function asAsked(expression: string): string {
  return expression.replaceAll('$__rate_interval', '5m').replaceAll('$job', 'a').replaceAll('$instance', 'a')
}

const expressions = [
  ...rules.map(({ expr }) => expr),
  ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => asAsked(expr))),
]

/** After a message with media, one that was swept, and a garbage collection: every metric has been counted once. */
async function everythingExposed(t: Test): Promise<Map<string, Exposed>> {
  const service = await startService(t)
  const [alice, bob] = [await service.person(), await service.person()]
  await alice.sends(bob, picture(alice.uploads('image')))
  await alice.sends(bob, picture(`temp/user_${alice.id.toHexString()}/nothing`))
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const read = async () => exposedIn(await (await fetch(`${service.url}/metrics`)).text())
  await eventually(async () => (await read()).has('nodejs_gc_duration_seconds_sum'))
  return await read()
}

t.test('each expression asks for metrics and labels that the service has', async (t) => {
  const exposed = await everythingExposed(t)
  // Counted by the sweeper alone, whose first run is later than this test; `operation.test.ts` has its counts.
  exposed.set('media_swept_total', exposed.get('media_swept_total') ?? (await sweptTotal()))
  // Prometheus' own.
  exposed.set('up', { labels: new Set(), help: '' })
  const ofScrape = ['job', 'instance']

  t.ok(expressions.length > 30)
  for (const expression of expressions) {
    const { selectors, groupings } = queryOf(expression)
    t.ok(selectors.length > 0, expression)
    const known = new Set(ofScrape)
    for (const { metric, matchers } of selectors) {
      const { labels } = exposed.get(metric) ?? {}
      t.ok(labels, `${metric} is told by the service`)
      for (const label of labels ?? []) known.add(label)
      const unknown = matchers.filter(({ label }) => ![...(labels ?? []), ...ofScrape].includes(label))
      t.strictSame(unknown, [], `${metric} has these labels`)
      t.ok(
        matchers.some(({ label }) => label === 'job'),
        `${metric} is asked of this job alone`,
      )
    }
    t.strictSame(
      groupings.filter((label) => !known.has(label)),
      [],
    )
  }
})

/** As `meters.ts` describes it. */
async function sweptTotal(): Promise<Exposed> {
  const { createMeters } = await import('../../src/send-message/meters.ts')
  const { Registry } = await import('prom-client')
  const registry = new Registry()
  createMeters(registry, { waiting: 0 }).onSweep({ undone: 1, closed: 1, failed: 1 })
  const exposed = exposedIn(await registry.metrics()).get('media_swept_total')
  assert(exposed)
  return exposed
}

t.test('each value that is asked for can occur', async (t) => {
  const exposed = await everythingExposed(t)
  const matchers = expressions.flatMap((expression) =>
    queryOf(expression).selectors.flatMap((selector) =>
      selector.matchers.map((matcher) => ({ ...matcher, metric: selector.metric })),
    ),
  )
  const valuesOf = (wanted: string) =>
    matchers.filter(({ label }) => label === wanted).flatMap(({ value }) => value.split('|'))
  const codes = ['OK', ...Object.keys(refusals)]

  t.strictSame(
    valuesOf('code').filter((code) => !codes.includes(code)),
    [],
  )
  t.ok(valuesOf('code').includes('INTERNAL_ERROR'))
  for (const { metric, value } of matchers.filter(({ label }) => label === 'outcome')) {
    const words: string[] = exposed.get(metric)?.help.match(/\w+/g) ?? []
    t.strictSame(
      value.split('|').filter((each) => !words.includes(each)),
      [],
    )
  }
  t.ok([1, 2, 4, 8, 16, 32, 64, 128, 256].includes(Number(valuesOf('le')[0])))
})

t.test('each alert says who is to be told, and what to do', async (t) => {
  t.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const { alert, labels, annotations } of rules) {
    t.match(labels.severity, /^(page|ticket)$/, alert)
    t.ok(annotations.summary.length > 10, alert)
    t.ok(annotations.description.length > 80, alert)
  }
  const described = await readFile(new URL('docs/operating.md', rootUrl), 'utf8')
  t.strictSame(
    rules.map(({ alert }) => alert).filter((alert) => !described.includes(`\`${alert}\``)),
    [],
  )
})

t.test('the dashboard is one that Grafana takes', async (t) => {
  const { panels, templating } = dashboard
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
  )
  t.ok(dashboard.uid && dashboard.title)
  t.ok(dashboard.schemaVersion >= 36)
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  t.equal(new Set(cells).size, cells.length)
  t.ok(panels.every(({ gridPos }) => gridPos.x + gridPos.w <= 24))

  const variables = templating.list.map(({ name }) => name)
  t.strictSame(variables, ['datasource', 'job', 'instance'])
  for (const { type, title, datasource, targets = [] } of panels.filter((panel) => panel.type !== 'row')) {
    t.equal(type, 'timeseries', title)
    t.equal(datasource?.uid, `\${datasource}`, title)
    t.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length)
    t.ok(targets.length > 0 && targets.every((target) => target.datasource.uid === `\${datasource}`))
    const used = targets.flatMap(({ expr }) => [...expr.matchAll(/\$(?!__)(\w+)/g)].map(([, name]) => name))
    t.strictSame(
      used.filter((name) => !variables.includes(String(name))),
      [],
    )
  }
})
