import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import ts from 'typescript'
import { type Import, importsOf, parsed, visit } from '../support/imports.ts'
import { root } from '../support/root.ts'

// The house's rules that no linter has. Each test gives the places that break one.

const run = promisify(execFile)

/** Our files may import what these begin with; packages are not looked at here. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'src/server.ts': ['src/app.ts', 'src/config.ts', 'src/plugins/'],
  'src/app.ts': ['src/config.ts', 'src/plugins/', 'src/send-message/'],
  'src/config.ts': ['src/environment.ts', 'src/token-config.ts', 'src/tracing-config.ts'],
  'src/token-config.ts': ['src/environment.ts'],
  'src/tracing-config.ts': ['src/environment.ts'],
  'src/environment.ts': [],
  'src/errors.ts': ['schemas/'],
  'src/collections.ts': ['schemas/'],
  'src/asset-storage.ts': [],
  'src/plugins/': [
    'schemas/',
    'src/asset-storage.ts',
    'src/config.ts',
    'src/collections.ts',
    'src/errors.ts',
    'src/lib/',
    'src/plugins/',
  ],
  'src/send-message/': [
    'schemas/',
    'src/asset-storage.ts',
    'src/collections.ts',
    'src/errors.ts',
    'src/lib/',
    'src/send-message/',
  ],
  'src/lib/': ['src/lib/'],
  'schemas/': ['schemas/'],
  'src/dev/': ['src/', 'schemas/'],
  'test/': ['src/', 'schemas/', 'test/', 'bench/', 'examples/'],
  'bench/': ['src/', 'schemas/', 'bench/'],
  // What people copy: it knows the service by its document and its collections.
  'examples/': ['examples/'],
}

/** About 200 lines; what is longer is one thing that would be harder to read in two places. */
const linesMax = 200
const longLinesMax = 260
const longFiles: Readonly<Record<string, string>> = {
  'schemas/refusal.ts': 'a table: every code with its status, message and meaning',
  'src/send-message/commit.ts': 'one rule: what a batch does when a part of it fails',
}

/** Of comments and strings, which the formatter leaves alone: one of 110 columns may end in a long word. */
const columnsMax = 140

const tracked = (await run('git', ['ls-files'], { cwd: root })).stdout.trim().split('\n')
const texts = new Map(
  await Promise.all(
    tracked.map(async (file) => [file, await readFile(join(root, file), 'utf8').catch(() => '')] as const),
  ),
)
const code = new Map(
  [...texts].filter(([file]) => /^(src|schemas|test|bench|examples)\/.*(?<!\.d)\.ts$/.test(file)),
)
const sources = new Map([...code].map(([file, text]) => [file, parsed(file, text)]))
const imports = [...sources].flatMap(([file, source]) => importsOf(file, source))

function ruleFor<R>(rules: Readonly<Record<string, R>>, file: string): R | undefined {
  return rules[Object.keys(rules).find((start) => file.startsWith(start)) ?? '']
}

function isAllowed({ from, to }: Import): boolean {
  if (to.startsWith('src/dev/') && !/^(src\/dev|test|bench)\//.test(from)) return false
  return ruleFor(mayImport, from)?.some((start) => to.startsWith(start)) ?? false
}

function told({ from, to }: Import): string {
  return `${from} imports ${to}`
}

t.test('a file imports only what is below it', async (t) => {
  t.strictSame(imports.filter((each) => each.isOurs && !isAllowed(each)).map(told), [])
  t.ok(imports.length > 200)
})

t.test('lib needs nothing but Node, and schemas nothing but TypeBox', async (t) => {
  const packages = imports.filter(({ isOurs }) => !isOurs)
  const ofLib = packages.filter(({ from, to }) => from.startsWith('src/lib/') && !to.startsWith('node:'))
  const ofSchemas = packages.filter(
    ({ from, to }) => from.startsWith('schemas/') && to !== '@sinclair/typebox',
  )
  t.strictSame([...ofLib, ...ofSchemas].map(told), [])
})

t.test('of the feature only its plugin and its route know Fastify', async (t) => {
  const fastify = imports.filter(({ from, to }) => from.startsWith('src/send-message/') && /fastify/.test(to))
  const files = new Set(fastify.map(({ from }) => from))
  t.strictSame([...files].sort(), ['src/send-message/index.ts', 'src/send-message/route.ts'])
})

t.test('only the process reads the environment', async (t) => {
  const readers = [...code].filter(
    ([file, text]) => /^src\/(?!dev\/)|^schemas/.test(file) && /\bprocess\.\w/.test(text),
  )
  t.strictSame(
    readers.map(([file]) => file),
    ['src/server.ts'],
  )
})

t.test('files are short, but for those with a reason', async (t) => {
  const own = [...code].filter(([file]) => /^(src|schemas|examples)\//.test(file))
  const long = own.filter(
    ([file, text]) => linesOf(text).length > (file in longFiles ? longLinesMax : linesMax),
  )
  t.strictSame(
    long.map(([file]) => file),
    [],
  )
})

t.test('lines are short; Biome breaks those of code', async (t) => {
  const long = [...code].flatMap(([file, text]) =>
    linesOf(text).flatMap((line, index) => ([...line].length > columnsMax ? [`${file}:${index + 1}`] : [])),
  )
  t.match(JSON.parse(texts.get('biome.json') ?? ''), { formatter: { lineWidth: 110 } })
  t.strictSame(long, [])
})

function linesOf(text: string): string[] {
  return text.trimEnd().split('\n')
}

t.test('nothing writes to the console, and nothing is claimed to be there', async (t) => {
  const found: string[] = []
  for (const [file, source] of sources) {
    visit(source, (node) => {
      const isConsole =
        ts.isIdentifier(node) && node.text === 'console' && ts.isPropertyAccessExpression(node.parent)
      if (isConsole || ts.isNonNullExpression(node))
        found.push(`${file}: ${node.parent.getText().slice(0, 60)}`)
    })
  }
  t.strictSame(found, [])
})

t.test(
  'what lib and the feature offer is explained, at the function or at the type that it gives',
  async (t) => {
    const files = [...sources].filter(([file]) => /^src\/(lib|send-message)\//.test(file))
    const silent = files.flatMap(([file, source]) => {
      const explained = source.statements.filter(
        (each) => ts.getLeadingCommentRanges(source.text, each.pos) !== undefined,
      )
      const types = explained.filter(
        (each) => ts.isInterfaceDeclaration(each) || ts.isTypeAliasDeclaration(each),
      )
      const names = types.map(({ name }) => name.text)
      return source.statements
        .filter(ts.isFunctionDeclaration)
        .filter((each) => each.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword))
        .filter((each) => each.parameters.length > 0 && !explained.includes(each))
        .filter((each) => !names.includes(each.type?.getText() ?? ''))
        .map(({ name }) => `${file}: ${name?.text}`)
    })
    t.strictSame(silent, [])
  },
)

t.test('no file names a registry or a path of the machine that it was written on', async (t) => {
  const registry = (await run('npm', ['config', 'get', 'registry'], { cwd: root })).stdout.trim()
  const host = new URL(registry).host
  const named = (pattern: RegExp) => [...texts].filter(([, text]) => pattern.test(text)).map(([file]) => file)
  t.strictSame(
    [...texts].filter(([, text]) => text.includes(host)).map(([file]) => file),
    [],
  )
  t.strictSame(named(/\bregistry\.[a-z]+\.(?:org|com|net|io)\b/), [])
  t.strictSame(named(/(?:^|[^.\w-])\/(?:work|farm|root|home|Users)\//m), [])
  t.notMatch(texts.get('package-lock.json'), '"resolved":')
})
