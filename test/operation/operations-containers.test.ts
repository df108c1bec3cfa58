import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Copy, DockerfileParser, type Instruction, type JSONInstruction } from 'dockerfile-ast'
import { validate } from 'dockerfile-utils'
import t from 'tap'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config.ts'
import { importsOf, parsed } from '../support/imports.ts'
import { root } from '../support/root.ts'
import { startService } from '../support/service.ts'

// No container engine is needed here: what the files say is held against what they speak of.

const read = (path: string) => readFile(join(root, path), 'utf8')
const packageJson = JSON.parse(await read('package.json'))

const text = await read('Dockerfile')
const dockerfile = DockerfileParser.parse(text)
const froms = dockerfile.getFROMs()
const last = text.split('\n').slice(froms.at(-1)?.getRange()?.start.line)
const final = DockerfileParser.parse(last.join('\n')).getInstructions()

const named = (instructions: Instruction[], name: string): Instruction[] =>
  instructions.filter((each) => each.getKeyword() === name)
const only = (name: string): string | null | undefined => named(final, name).at(-1)?.getArgumentsContent()
const stringsOf = (instruction: Instruction | undefined): string[] =>
  (instruction as JSONInstruction).getJSONStrings().map((each) => each.getJSONValue())

t.test('the Dockerfile is one, without a warning', async (t) => {
  t.strictSame(validate(text), [])
})

t.test('three stages run on one image of Node 24, and only the last one is kept', async (t) => {
  t.strictSame(
    froms.map((from) => [from.getImage(), from.getBuildStage()]),
    ['build', 'dependencies', 'service'].map((stage) => [`\${NODE_IMAGE}`, stage]),
  )
  t.match(dockerfile.getInitialARGs()[0]?.getArgumentsContent(), /^NODE_IMAGE=node:24\.\d+-bookworm-slim$/)
})

t.test(
  'it runs without rights, as npm start does, and stops by the signal that the service knows',
  async (t) => {
    t.equal(only('USER'), 'node')
    t.equal(only('STOPSIGNAL'), 'SIGTERM')
    t.equal(stringsOf(named(final, 'CMD')[0]).join(' '), packageJson.scripts.start)
    t.match(only('ENV'), /NODE_ENV=production/)
    t.match(only('ENV'), /HOST=0\.0\.0\.0/)
    t.notMatch(only('LABEL'), /author|vendor/i)
    t.strictSame(
      named(final, 'LABEL').map((label) => label.getArgumentsContent()?.includes(packageJson.license)),
      [true],
    )
  },
)

t.test('everything that is copied is there, and not ignored', async (t) => {
  const ignore = (await read('.dockerignore')).split('\n').filter((line) => line && !line.startsWith('#'))
  const allowed = ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
  const copies = named(dockerfile.getInstructions(), 'COPY') as Copy[]
  const sources = copies
    .filter((copy) => copy.getFromFlag() === null)
    .flatMap((copy) =>
      copy
        .getArguments()
        .slice(0, -1)
        .map((each) => each.getValue().replace('./', '')),
    )
  const stages = copies.flatMap((copy) => copy.getFromFlag()?.getValue() ?? [])

  t.ok(sources.length >= 8)
  t.strictSame(
    sources.filter((source) => !existsSync(join(root, source)) || !allowed.includes(source)),
    [],
  )
  t.strictSame(
    ignore.filter((line) => !line.startsWith('!')),
    ['*', 'src/dev'],
  )
  t.strictSame(
    stages.filter((stage) => !froms.some((from) => from.getBuildStage() === stage)),
    [],
  )
})

t.test('what the build takes holds all that it compiles, and it compiles nothing of src/dev', async (t) => {
  const { include, exclude } = parse(await read('tsconfig.json'))
  t.strictSame([include, exclude], [['src', 'schemas'], ['src/dev']])
  t.match(text, /npm run build/)
  t.equal(packageJson.scripts.build, 'tsc -p tsconfig.json')
})

t.test('every package that the built code imports is a dependency of production', async (t) => {
  const imported = new Set<string>()
  for (const file of await builtFiles()) {
    for (const { to, isOurs, isTypeOnly } of importsOf(file, parsed(file, await read(file)))) {
      const name = to
        .split('/')
        .slice(0, to.startsWith('@') ? 2 : 1)
        .join('/')
      if (!isTypeOnly && !isOurs && !to.startsWith('node:')) imported.add(name)
    }
  }
  t.ok(imported.has('fastify') && imported.has('@opentelemetry/sdk-trace'))
  t.strictSame(
    [...imported].filter((name) => !(name in packageJson.dependencies)),
    [],
  )
})

async function builtFiles(): Promise<string[]> {
  const files = await Promise.all(
    ['src', 'schemas'].map(async (folder) =>
      (await readdir(join(root, folder), { recursive: true })).map((path) => join(folder, path)),
    ),
  )
  return files.flat().filter((path) => path.endsWith('.ts') && !path.startsWith(join('src', 'dev')))
}

/** Runs the very command of the image. */
async function healthOf(port: number): Promise<number | null> {
  const [command = '', ...args] = stringsOfHealthcheck()
  t.equal(command, 'node')
  const child = spawn(process.execPath, args, { env: { PORT: String(port) }, stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  return code
}

function stringsOfHealthcheck(): string[] {
  const [, command = '[]'] = /^.*?CMD\s+(\[.*\])$/s.exec(only('HEALTHCHECK') ?? '') ?? []
  return JSON.parse(command)
}

t.test('the health check ends with 0 while the service lives, else with 1', async (t) => {
  const service = await startService(t)
  const port = Number(new URL(service.url).port)
  const ill = createServer((_request, response) => void response.writeHead(503).end())
  await once(ill.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => ill.close())

  const alive = await healthOf(port)
  const unwell = await healthOf((ill.address() as AddressInfo).port)
  await service.app.close()
  const dead = await healthOf(port)

  t.strictSame([alive, unwell, dead], [0, 1, 1])
})

interface ComposeService {
  image?: string
  build?: { context: string }
  command?: string[]
  environment?: Record<string, string>
  depends_on?: string[] | Record<string, { condition: string }>
  healthcheck?: { test: string[] }
  networks: string[]
  ports?: string[]
  volumes?: string[]
  stop_grace_period?: string
}

interface Compose {
  services: Record<string, ComposeService>
  networks: Record<string, { internal?: boolean } | null>
  volumes: Record<string, unknown>
}

const compose: Compose = parse(await read('ops/compose.yaml'), { merge: true })
const { services } = compose
const instances = Object.entries(services).filter(([name]) => name.startsWith('messages-'))
const members = Object.entries(services).filter(([name]) => /^mongo-\d$/.test(name))
const example = Object.fromEntries(
  (await read('ops/example.env'))
    .split('\n')
    .flatMap((line) => [...line.matchAll(/^(\w+)=(.*)$/g)].map(([, name, value]) => [name, value])),
)

/** `${NAME:-default}` and `${NAME:?what it is}`, with the values of the example. */
function interpolated(value: string): string {
  return value.replace(/\$\{(\w+):([-?])([^}]*)\}/g, (_all, name, kind, rest) => {
    if (kind === '?' && !(name in example)) throw new Error(`${name} is not in the example`)
    return example[name] ?? rest
  })
}

t.test(
  'two instances have every variable that the service requires, and none that it does not know',
  async (t) => {
    const files = ['config', 'token-config', 'tracing-config']
    const text = (await Promise.all(files.map((name) => read(`src/${name}.ts`)))).join('')
    const known = new Set(text.match(/\b[A-Z]{2,}(?:_[A-Z]+)*\b/g))
    t.equal(instances.length, 2)
    for (const [, { environment = {}, build }] of instances) {
      const entries = Object.entries(environment).map(([name, value]) => [name, interpolated(value)])
      t.strictSame(
        Object.keys(environment).filter((name) => !known.has(name)),
        [],
      )
      t.match(loadConfig(Object.fromEntries(entries)), {
        http: { trustProxy: 'uniquelocal' },
        mongodb: { databaseName: 'messages' },
        token: { keys: { kind: 'jwks' } },
      })
      t.ok(build && existsSync(join(root, 'ops', build.context, 'Dockerfile')))
    }
  },
)

t.test('a stop of an instance is waited for', async (t) => {
  const waits = [...instances, ['proxy', services.proxy] as const].map(([, service]) =>
    Number.parseInt(service?.stop_grace_period ?? '0', 10),
  )
  t.ok(waits.every((seconds) => seconds >= 25))
})

t.test(
  'three members make the set that the address names, and give up a transaction after 10 s',
  async (t) => {
    const hosts = members.map(([name]) => `${name}:27017`)
    const uri = instances[0]?.[1].environment?.MONGODB_URI ?? ''
    const initiation = services['mongo-initiation']?.command?.join(' ') ?? ''

    t.equal(members.length, 3)
    t.equal(uri, `mongodb://${hosts.join(',')}/messages?replicaSet=messages`)
    t.ok(hosts.every((host) => initiation.includes(`'${host}'`)))
    t.match(initiation, "_id: 'messages'")
    for (const [, { command = [], healthcheck }] of members) {
      t.match(command.join(' '), /--replSet messages .*--setParameter transactionLifetimeLimitSeconds=10/)
      t.ok(healthcheck)
    }
  },
)

t.test('what a service names is there', async (t) => {
  for (const [name, service] of Object.entries(services)) {
    const needs = Array.isArray(service.depends_on)
      ? service.depends_on
      : Object.keys(service.depends_on ?? {})
    const volumes = (service.volumes ?? []).map((volume) => volume.split(':')[0] ?? '')
    t.strictSame(
      needs.filter((each) => !(each in services)),
      [],
      name,
    )
    t.strictSame(
      service.networks.filter((each) => !(each in compose.networks)),
      [],
      name,
    )
    t.strictSame(
      volumes.filter((each) => !(each in compose.volumes || existsSync(join(root, 'ops', each)))),
      [],
      name,
    )
  }
})

t.test('only the proxy is reached from outside, and only the service reaches the database', async (t) => {
  const isInternal = ({ networks }: ComposeService) =>
    networks.every((name) => compose.networks[name]?.internal)
  t.strictSame(
    Object.keys(services).filter((name) => services[name]?.ports),
    ['proxy'],
  )
  t.strictSame(services.proxy?.networks, ['front'])
  t.ok(members.every(([, member]) => isInternal(member)))
})

t.test(
  'the proxy balances over the instances, asks whether they are ready, and hides what is inside',
  async (t) => {
    const caddyfile = await read('ops/Caddyfile')
    const [, upstreams = ''] = /reverse_proxy (.*) \{/.exec(caddyfile) ?? []
    const [, shown = ''] = /@public path (.*)/.exec(caddyfile) ?? []
    const variables = [...caddyfile.matchAll(/\{\$(\w+)/g)].map(([, name]) => String(name))

    t.strictSame(
      upstreams.split(' '),
      instances.map(([name]) => `${name}:3000`),
    )
    t.match(only('ENV'), /PORT=3000/)
    t.match(caddyfile, /health_uri \/health\/ready/)
    t.strictSame(shown.split(' '), ['/message/send/*', '/openapi.json', '/openapi.yaml', '/docs', '/docs/*'])
    t.strictSame(
      variables.filter((name) => !(name in (services.proxy?.environment ?? {}))),
      [],
    )
  },
)
