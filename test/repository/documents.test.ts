import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { root } from '../support/root.ts'

// A link that leads nowhere makes a reader doubt the rest: what a document points at is there.

const { stdout } = await promisify(execFile)('git', ['ls-files'], { cwd: root })
const tracked = stdout.trim().split('\n')
const names = tracked.filter((file) => file.endsWith('.md'))
const texts = await Promise.all(names.map((file) => readFile(join(root, file), 'utf8')))
const pages = new Map(names.map((file, index) => [file, (texts[index] ?? '').replace(/^```.*?^```/gms, '')]))

function linksIn(page: string): string[] {
  const links = [...page.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  return links.filter((link) => !/^[a-z]+:/.test(link))
}

/** Also a folder is there when it has a file. */
function isThere(path: string): boolean {
  return tracked.some((file) => file === path || file.startsWith(`${path}/`))
}

/** As GitHub makes them of headings. */
function anchorsIn(page: string): string[] {
  const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading.toLowerCase())
  return headings.map((heading) => heading.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-'))
}

function leadsSomewhere(from: string, link: string): boolean {
  const [to = '', anchor] = link.split('#')
  const path = to === '' ? from : normalize(join(dirname(from), to)).replace(/\/$/, '')
  return isThere(path) && (anchor === undefined || anchorsIn(pages.get(path) ?? '').includes(anchor))
}

t.test('every link to a file or a heading leads to one', async (t) => {
  const links = [...pages].flatMap(([from, page]) => linksIn(page).map((link) => ({ from, link })))

  t.strictSame(
    links.filter(({ from, link }) => !leadsSomewhere(from, link)),
    [],
  )
  t.ok(links.length > 100)
})

t.test('every file that is named in a document is there', async (t) => {
  const path = /`((?:\.ci|bench|docs|examples|ops|schemas|src|test)\/[\w./-]+\.\w+)`/g
  const named = [...pages].flatMap(([from, page]) =>
    [...page.matchAll(path)].map(([, file = '']) => ({ from, file })),
  )

  t.strictSame(
    named.filter(({ file }) => !isThere(file)),
    [],
  )
  t.ok(named.length > 20)
})

/** Of a row of a table: the links in its first cell, and the number in its second. */
function sizesIn(page: string): { links: string[]; told: number }[] {
  const rows = [...page.matchAll(/^\| ([^|]+) \| (\d+) \|/gm)]
  return rows.map(([, part = '', lines]) => ({ links: linksIn(part), told: Number(lines) }))
}

async function linesOf(links: readonly string[]): Promise<number> {
  const paths = links.map((link) => normalize(join('docs', link)))
  const files = tracked.filter((file) => paths.some((path) => file === path || file.startsWith(`${path}/`)))
  const contents = await Promise.all(files.map((file) => readFile(join(root, file), 'utf8')))
  return contents.reduce((sum, text) => sum + text.trimEnd().split('\n').length, 0)
}

t.test('what is written by hand is about as long as it is said to be', async (t) => {
  const parts = sizesIn(pages.get('docs/hand-written.md') ?? '')
  const actual = await Promise.all(parts.map(({ links }) => linesOf(links)))

  t.strictSame(
    parts.filter(({ told }, index) => Math.abs(told - (actual[index] ?? 0)) > Math.max(20, told / 4)),
    [],
  )
  t.ok(parts.length > 20)
})

t.test('every dependency has its place among the libraries', async (t) => {
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const [, libraries = ''] = (pages.get('docs/hand-written.md') ?? '').split('## Libraries')

  const named = [...libraries.matchAll(/`([^`]+)`/g)].map(([, name]) => name)

  t.strictSame(named.sort(), Object.keys({ ...dependencies, ...devDependencies }).sort())
})

t.test('a link that leads nowhere is found', async (t) => {
  const page =
    '[a](../README.md#measured) [b](../README.md#no-such) [c](../src) [d](missing.md) [e](https://e.org)'

  const links = linksIn(page)

  t.strictSame(
    links.filter((link) => !leadsSomewhere('docs/a.md', link)),
    ['../README.md#no-such', 'missing.md'],
  )
  t.equal(links.length, 4)
})
