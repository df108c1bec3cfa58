import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

// It calls home otherwise, at every start, and a network that is closed makes it wait.
const quietly = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

// A bundle of 2 MB is parsed, on a machine that is busy with something else.
const stepTimeoutMs = 60_000

/** The first of the usual names on the PATH; none is fetched for the tests. */
export function findChromium(path: string = process.env.PATH ?? ''): string | undefined {
  return path
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find(isExecutable)
}

/** For `t.test`: the reason why it cannot run here, or `false`. */
export const withChromium = { skip: findChromium() ? false : 'there is no Chromium on the PATH' }

export interface Visit {
  page: Page
  /** What the page complained about: errors and warnings in its console, and exceptions. */
  complaints: string[]
  /** Every address that it asked for. */
  requested: string[]
}

export interface Browser {
  visit(url: string, options?: BrowserContextOptions): Promise<Visit>
}

/** One for a test; it ends with it. Each visit has a profile of its own. */
export async function openBrowser(t: Test): Promise<Browser> {
  const executablePath = findChromium() ?? ''
  const browser = await chromium.launch({ executablePath, args: quietly, timeout: stepTimeoutMs })
  t.teardown(() => browser.close())

  return {
    async visit(url, options = {}) {
      const context: BrowserContext = await browser.newContext(options)
      context.setDefaultTimeout(stepTimeoutMs)
      const page = await context.newPage()
      const visit: Visit = { page, complaints: [], requested: [] }
      page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) visit.complaints.push(message.text())
      })
      page.on('pageerror', ({ message }) => visit.complaints.push(message))
      page.on('request', (request) => visit.requested.push(request.url()))
      await page.goto(url)
      await page.locator('.opblock').first().waitFor()
      return visit
    },
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
