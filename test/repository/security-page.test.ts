import { readdir, readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { root } from '../support/root.ts'

// A promise that no test holds is a wish: each row of these tables names a file and a title that exist.

const files = (await readdir(`${root}test`, { recursive: true })).filter((file) => file.endsWith('.test.ts'))
const titles = new Map<string, Set<string>>(
  await Promise.all(
    files.map(
      async (file) => [`test/${file}`, titlesIn(await readFile(`${root}test/${file}`, 'utf8'))] as const,
    ),
  ),
)

/** What stands first in a `….test(…)`. A title that is put together stays as it is written. */
function titlesIn(text: string): Set<string> {
  const found = new Set<string>()
  const look = (node: ts.Node): void => {
    const called =
      ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression) ? node : undefined
    const isTest = called && (called.expression as ts.PropertyAccessExpression).name.text === 'test'
    const title = isTest ? called.arguments[0] : undefined
    if (title && ts.isStringLiteralLike(title)) found.add(title.text)
    else if (title && ts.isTemplateExpression(title)) found.add(title.getText().slice(1, -1))
    ts.forEachChild(node, look)
  }
  look(ts.createSourceFile('', text, ts.ScriptTarget.Latest, true))
  return found
}

/** The rows of the tables whose last column is headed so, as cells. */
function rowsUnder(page: string, heading: string): string[][] {
  const rows: string[][] = []
  let isInside = false
  for (const line of page.split('\n')) {
    const cells = line.startsWith('|') ? line.slice(1, line.lastIndexOf('|')).split('|') : []
    const trimmed = cells.map((cell) => cell.trim())
    if (cells.length === 0) isInside = false
    else if (trimmed.at(-1) === heading) isInside = true
    else if (isInside && !/^-+$/.test(trimmed[0] ?? '')) rows.push(trimmed)
  }
  return rows
}

/** Of each row what is wrong with it: nothing named, or something that is not there. */
function unheld(rows: readonly string[][]): string[] {
  return rows.flatMap((cells) => {
    const named = (cells.at(-1) ?? '').split(' · ').map((each) => /^`([^`]+)`: (.+)$/.exec(each))
    return named.flatMap((match) => {
      const [, file = '', title = ''] = match ?? []
      return titles.get(file)?.has(title) ? [] : [`${cells[0]}: ${file || 'no test'}: ${title}`]
    })
  })
}

async function rowsOf(t: Test, path: string, heading: string): Promise<string[][]> {
  const rows = rowsUnder(await readFile(`${root}${path}`, 'utf8'), heading)
  t.strictSame(
    rows.filter((cells) => cells.some((cell) => cell === '')),
    [],
  )
  return rows
}

t.test('every promise of SECURITY.md is held by a test that exists', async (t) => {
  const rows = await rowsOf(t, 'SECURITY.md', 'held by')

  t.strictSame(unheld(rows), [])
  t.ok(rows.length >= 30)
  t.equal(new Set(rows.map(([promise]) => promise)).size, rows.length)
})

t.test('every point of the OWASP API Security Top 10 has its tests', async (t) => {
  const rows = await rowsOf(t, 'docs/owasp-api-top-ten.md', 'covered by')

  t.strictSame(unheld(rows), [])
  t.strictSame(
    rows.map(([point]) => point?.split(' ')[0]),
    Array.from({ length: 10 }, (_, index) => `API${index + 1}`),
  )
})

t.test('every test in test/requests/security.test.ts holds a promise', async (t) => {
  const page = await readFile(`${root}SECURITY.md`, 'utf8')
  const own = [...(titles.get('test/requests/security.test.ts') ?? [])]

  t.strictSame(
    own.filter((title) => !page.includes(`\`test/requests/security.test.ts\`: ${title}`)),
    [],
  )
  t.ok(own.length > 5)
})

t.test('a row without a test, or with one that is not there, is found', async (t) => {
  const page = [
    '| promise | held by |',
    '|---|---|',
    '| right | `test/repository/security-page.test.ts`: a row without a test, or with one that is not there, is found |',
    '| no test | it is so |',
    '| no file | `test/missing.test.ts`: a title |',
    '| no title | `test/repository/security-page.test.ts`: a title |',
    '',
    '| another | table |',
  ]

  const rows = rowsUnder(page.join('\n'), 'held by')

  t.strictSame(unheld(rows), [
    'no test: no test: ',
    'no file: test/missing.test.ts: a title',
    'no title: test/repository/security-page.test.ts: a title',
  ])
  t.equal(rows.length, 4)
})
