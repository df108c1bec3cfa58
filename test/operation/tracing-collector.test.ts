import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { ConfigError, loadConfig } from '../../src/config.ts'
import { startCollector } from '../support/collector.ts'
import { databaseUri, dropDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { picture } from '../support/media.ts'
import { startProcess } from '../support/process.ts'
import { isRequest, spanId, startTraced, traceId, traceparent } from '../support/traced.ts'

// Whether there are traces, and how they come to a collector. What they tell is in tracing.test.ts.

t.test(
  'whoever called decides whether there is a trace, and what is no traceparent begins one',
  async (t) => {
    const { collector, service } = await startTraced(t)
    const [alice, bob] = [await service.person(), await service.person()]

    await alice.sends(bob, 'unsampled', { headers: { traceparent: `00-${traceId}-${spanId}-00` } })
    await alice.sends(bob, 'malformed', { headers: { traceparent: `00-${'0'.repeat(32)}-${spanId}-01` } })
    await service.app.close()

    const [request, ...others] = collector.spans.filter(isRequest)
    t.equal(others.length, 0)
    t.match(request, { parentSpanId: undefined, traceId: /^[0-9a-f]{32}$/ })
    t.not(request?.traceId, traceId)
  },
)

t.test('with a sampler that keeps none, nothing is sent', async (t) => {
  const { collector, service } = await startTraced(t, { env: { OTEL_TRACES_SAMPLER: 'always_off' } })
  const [alice, bob] = [await service.person(), await service.person()]

  const answer = await alice.sends(bob, picture(alice.uploads('image')), { headers: { traceparent } })
  await service.app.close()

  t.equal(answer.code, 'OK')
  t.strictSame(collector.requests, [])
})

t.test('the collector gets the headers and the name that it was told to get', async (t) => {
  const { collector, service } = await startTraced(t, {
    env: { OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20b, x-other = c', OTEL_SERVICE_NAME: 'chat' },
  })
  const [alice, bob] = [await service.person(), await service.person()]

  await alice.sends(bob, 'Hello')
  await service.app.close()

  t.match(collector.requests, [
    { path: '/v1/traces', headers: { 'x-key': 'a b', 'x-other': 'c', 'content-type': 'application/json' } },
  ])
  t.match(collector.resource, { 'service.name': 'chat', 'service.instance.id': /^[0-9a-f-]{36}$/ })
})

t.test('a collector that does not answer delays neither an answer nor the stop', async (t) => {
  const { collector, service } = await startTraced(t)
  const [alice, bob] = [await service.person(), await service.person()]
  collector.answers(undefined)

  const first = await alice.sends(bob, 'one')
  await eventually(() => collector.waiting === 1)
  const second = await alice.sends(bob, 'two')
  await service.app.close()

  t.strictSame([first.code, second.code], ['OK', 'OK'])
  // Its senders had not given up when the stop was over.
  t.equal(collector.waiting, 2)
})

t.test('a collector that refuses is told of once, and once more when it takes traces again', async (t) => {
  const { collector, service } = await startTraced(t)
  const [alice, bob] = [await service.person(), await service.person()]
  const toldOf = () => service.logs.map((line) => JSON.parse(line)).filter(({ msg }) => /collector/.test(msg))
  const refusedAfter = async (text: string, status: number): Promise<void> => {
    const before = collector.requests.length
    collector.answers(status)
    await alice.sends(bob, text)
    await eventually(() => collector.requests.length > before)
  }

  await refusedAfter('one', 400)
  await refusedAfter('two', 400)
  await refusedAfter('three', 200)
  await eventually(() => toldOf().length > 1)
  await refusedAfter('four', 401)
  await service.app.close()

  t.match(toldOf(), [
    { level: 40, msg: 'the collector does not take traces', err: { name: 'OTLPExporterError', code: 400 } },
    { level: 30, msg: 'the collector takes traces again' },
    { level: 40, msg: 'the collector does not take traces' },
  ])
})

/** Writes at its process's end which modules were loaded; those of OpenTelemetry are all CommonJS. */
const tellLoaded = `
  import { writeFileSync } from 'node:fs'
  import { createRequire } from 'node:module'
  const { cache } = createRequire(import.meta.url)
  process.on('exit', () => writeFileSync(new URL('loaded.json', import.meta.url), JSON.stringify(Object.keys(cache))))
`

interface Ran {
  code: number | null
  /** The packages of OpenTelemetry that it has loaded. */
  packages: string[]
}

/** Starts the service as its operator does, sends it one request, and stops it. */
async function run(t: Test, env: Record<string, string>): Promise<Ran> {
  const folder = t.testdir({ 'tell-loaded.mjs': tellLoaded })
  const NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import=${pathToFileURL(join(folder, 'tell-loaded.mjs'))}`
  const mongodbUri = await databaseUri('_process')
  t.teardown(() => dropDatabase(mongodbUri))
  const service = startProcess(t, { MONGODB_URI: mongodbUri, NODE_OPTIONS, ...env })
  await fetch(`${await service.url}/message/send/x`, { method: 'POST', headers: { traceparent } })
  service.kill('SIGTERM')
  const { code } = await service.exit

  const loaded: string[] = JSON.parse(await readFile(join(folder, 'loaded.json'), 'utf8'))
  const names = loaded.flatMap((path) => /node_modules\/@opentelemetry\/([\w-]+)/.exec(path)?.[1] ?? [])
  return { code, packages: [...new Set(names)].sort() }
}

t.test('without an endpoint nothing of it is loaded, but for what prom-client needs', async (t) => {
  const { code, packages } = await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_SERVICE_NAME: 'chat' })

  t.equal(code, 0)
  t.strictSame(packages, ['api'])
})

t.test('a process that is told to stop sends what it has, and ends with 0', async (t) => {
  const collector = await startCollector(t)

  const { code, packages } = await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })

  t.equal(code, 0)
  t.match(collector.spans.filter(isRequest), [{ traceId, attributes: { 'refusal.code': 'TOKEN_MISSING' } }])
  t.ok(packages.includes('sdk-trace'))
})

t.test('a collector that hangs does not keep a process from its end', async (t) => {
  const collector = await startCollector(t)
  collector.answers(undefined)

  const { code } = await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })

  t.equal(code, 0)
  t.equal(collector.bodies.length, 1)
})

const required = {
  MONGODB_URI: 'mongodb://127.0.0.1:27017/messages',
  CLOUDINARY_URL: 'cloudinary://key:shh@cloud',
  JWT_SECRET: 'a secret of the tests that has over 32 bytes',
}
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

function tracingOf(env: Record<string, string>): unknown {
  return loadConfig({ ...required, ...env }).tracing
}

t.test('an endpoint is enough, and the rest has the defaults of the specification', async (t) => {
  t.strictSame(tracingOf(endpoint), {
    url: 'http://collector:4318/v1/traces',
    headers: {},
    serviceName: 'private-message-service',
    sampler: { ratio: 1, parentBased: true },
  })
  t.match(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector/otlp/' }), {
    url: 'https://collector/otlp/v1/traces',
  })
})

t.test('without an endpoint, or where the specification says off, there are no traces', async (t) => {
  t.equal(tracingOf({ OTEL_TRACES_SAMPLER: 'xray', OTEL_EXPORTER_OTLP_HEADERS: 'bad' }), undefined)
  t.equal(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: '' }), undefined)
  t.equal(tracingOf({ ...endpoint, OTEL_SDK_DISABLED: 'TRUE' }), undefined)
  t.ok(tracingOf({ ...endpoint, OTEL_SDK_DISABLED: 'false' }))
})

t.test('the samplers of the specification are taken, and a ratio for those that have one', async (t) => {
  const samplerOf = (OTEL_TRACES_SAMPLER: string) => {
    const env = { ...endpoint, OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG: '0.25' }
    return (tracingOf(env) as { sampler: unknown }).sampler
  }
  t.strictSame(samplerOf('always_on'), { ratio: 1, parentBased: false })
  t.strictSame(samplerOf('always_off'), { ratio: 0, parentBased: false })
  t.strictSame(samplerOf('traceidratio'), { ratio: 0.25, parentBased: false })
  t.strictSame(samplerOf('parentbased_always_on'), { ratio: 1, parentBased: true })
  t.strictSame(samplerOf('parentbased_always_off'), { ratio: 0, parentBased: true })
  t.strictSame(samplerOf('parentbased_traceidratio'), { ratio: 0.25, parentBased: true })
})

t.test('every bad variable of the traces is named at once, and no value is shown', async (t) => {
  const bad = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'bad-value:4317',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key: bad-value',
    OTEL_TRACES_SAMPLER: 'bad-value',
    OTEL_TRACES_SAMPLER_ARG: 'bad-value',
  }
  const error = t.throws(() => tracingOf(bad)) as unknown as ConfigError
  t.ok(error instanceof ConfigError)
  t.strictSame(
    error.faults.map((fault) => fault.split(' ')[0]),
    Object.keys(bad),
  )
  t.notMatch(error.message, 'bad-value')
})

t.test('a header needs a name and a value, without a line end', async (t) => {
  const isTaken = (OTEL_EXPORTER_OTLP_HEADERS: string): boolean => {
    try {
      tracingOf({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS })
      return true
    } catch {
      return false
    }
  }
  const good = ['a=b', 'a=b=c,d=e', ' a = b , ', 'authorization=Basic%20dXNlcjpwYXNz']
  const bad = ['a', '=b', 'a=', 'a=%0d%0ab', 'a b=c', 'a=%zz']
  t.strictSame([...good, ...bad].filter(isTaken), good)
})

t.test('a ratio is a number from 0 to 1', async (t) => {
  const isTaken = (OTEL_TRACES_SAMPLER_ARG: string): boolean => {
    try {
      tracingOf({ ...endpoint, OTEL_TRACES_SAMPLER_ARG })
      return true
    } catch {
      return false
    }
  }
  t.strictSame(['0', '1', '0.001', '1.0', '1.1', '2', '-0.1', '1e-3', '.5'].filter(isTaken), [
    '0',
    '1',
    '0.001',
    '1.0',
  ])
})
