import t, { type Test } from 'tap'
import { openDocsPage } from '../../src/dev/demo/docs-page.ts'
import type { Person as DemoPerson } from '../../src/dev/demo/people.ts'
import { type Browser, openBrowser, type Visit, withChromium } from '../support/client/browser.ts'
import { hardToRead } from '../support/client/contrast.ts'
import type { Person } from '../support/people.ts'
import { startService } from '../support/service.ts'

// The page at /docs, as a browser has it. What needs no browser is looked at without one.

const docsPage = openDocsPage()
const service = await startService(t)
const plain = await startService(t)
const alice = await plain.person()
const bob = await plain.person()

const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }
const desk = { viewport: { width: 1280, height: 900 } }
const sendCall = '#operations-messages-sendPrivateMessage'

t.test('the page and its files name no file of another address', async (t) => {
  const page = await fetch(`${plain.url}/docs`)
  const html = await page.text()
  const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = '']) => new URL(path, page.url))
  const answers = await Promise.all(files.map((file) => fetch(file)))
  const styles = answers.filter(({ url }) => url.endsWith('.css')).map((answer) => answer.text())
  const loaded = (await Promise.all(styles)).flatMap(
    (text) => text.match(/(?:@import|url\()[^)]{0,40}/g) ?? [],
  )

  t.equal(files.length, 8)
  t.strictSame(new Set(files.map(({ origin }) => origin)), new Set([plain.url]))
  t.strictSame(new Set(answers.map(({ status }) => status)), new Set([200]))
  t.strictSame(
    loaded.filter((each) => !/^url\(["']?data:/.test(each)),
    [],
  )
  t.match(page.headers.get('content-security-policy'), "default-src 'none'; script-src 'self';")
  t.notMatch(page.headers.get('content-security-policy'), /unsafe-eval|https?:|\*/)
})

t.test('a file of the page is given as it is, and what is none is not found', async (t) => {
  const statusOf = async (path: string, headers: Record<string, string> = {}): Promise<number> =>
    (await fetch(`${plain.url}/docs/static/${path}`, { headers })).status

  const file = await fetch(`${plain.url}/docs/static/oauth2-redirect.html`)
  const text = await file.text()
  const statuses = {
    folder: await statusOf(''),
    'two slashes': await statusOf('/x'),
    'U+0000': await statusOf('a%00b'),
    'a long name': await statusOf('a'.repeat(300)),
    'out of the folder': await statusOf('..%2f..%2fpackage.json'),
  }
  const parts = {
    'a part that is not there': await statusOf('swagger-ui.css', { range: 'bytes=999999999-' }),
    'if it is another': await statusOf('swagger-ui.css', { 'if-match': '"x"' }),
  }

  t.match(text, '<script src="oauth2-redirect.js">')
  t.same(statuses, {
    folder: 200,
    'two slashes': 404,
    'U+0000': 404,
    'a long name': 404,
    'out of the folder': 404,
  })
  t.same(parts, { 'a part that is not there': 200, 'if it is another': 200 })
  t.notMatch(plain.logs.join(''), 'defect')
})

t.test('nothing of the demo is in the service itself', async (t) => {
  const [html, document, script] = await Promise.all(
    ['/docs', '/docs/json', '/docs/people.js'].map((path) => fetch(plain.url + path)),
  )

  t.notMatch(await html?.text(), 'people.js')
  t.strictSame(await document?.json(), await (await fetch(`${plain.url}/openapi.json`)).json())
  t.equal(script?.status, 404)
})

t.test('a token is entered, a message sent and its answer shown', withChromium, async (t) => {
  const browser = await openBrowser(t)
  const visit = await browser.visit(`${plain.url}/docs`, desk)
  const { page, complaints, requested } = visit

  await page.click('.auth-wrapper .btn.authorize')
  await page.fill('.auth-container input', alice.token)
  await page.click('.auth-container button[type=submit]')
  await page.click('.auth-container .btn-done')
  await tryOut(visit)
  await page.fill(`${sendCall} [data-param-name=userId] input`, bob.id.toHexString())
  await page.fill(`${sendCall} .body-param__text`, '{ "content": "Sent from the page", "type": "text" }')
  const answer = await execute(visit)

  t.strictSame(
    (await alice.sentTo(bob)).map(({ content }) => content),
    ['Sent from the page'],
  )
  t.match(answer, { status: '200', text: 'Sent from the page' })
  t.strictSame(complaints, [])
  t.strictSame(new Set(requested.map((url) => new URL(url).origin)), new Set([plain.url]))
})

t.test('it can be read by day and by night, at a desk and on a phone', withChromium, async (t) => {
  const browser = await openBrowser(t)

  await looksRight(t, browser, { ...desk, colorScheme: 'light' })
  await looksRight(t, browser, { ...desk, colorScheme: 'dark' })
  await looksRight(t, browser, { ...phone, colorScheme: 'light' })
  await looksRight(t, browser, { ...phone, colorScheme: 'dark' })
})

t.test('in the demo its people are a click away, and the call is filled in', withChromium, async (t) => {
  const [sender, receiver, dave] = [
    await service.person(),
    await service.person(),
    await service.person({ status: 'suspended' }),
  ]
  const cast = {
    alice: demoPerson('alice', sender),
    bob: demoPerson('bob', receiver),
    carol: demoPerson('carol', await service.person()),
    dave: demoPerson('dave', dave),
    tabletToken: sender.token,
  }
  const uploads = { picture: '', video: '', file: '', spare: sender.uploads('image'), bobsPicture: '' }
  docsPage.show({ ...cast, uploads })
  const browser = await openBrowser(t)

  const visit = await browser.visit(`${service.url}/docs`, { ...phone, colorScheme: 'dark' })
  await visit.page.locator('.people button[aria-pressed=true]').waitFor()
  await tryOut(visit)
  const first = await execute(visit)
  await visit.page.selectOption(`${sendCall} .examples-select-element`, 'picture')
  const second = await execute(visit)
  await visit.page.click('.people button:text-is("Be dave")')
  const third = await execute(visit)

  t.match([first, second, third], [{ status: '200' }, { status: '200' }, { status: '401' }])
  t.match(third.text, 'ACCOUNT_SUSPENDED')
  t.strictSame(
    (await sender.sentTo(receiver)).map(({ type }) => type),
    ['text', 'image'],
  )
  t.strictSame(
    visit.complaints.filter((text) => !text.includes('401')),
    [],
  )
  t.strictSame(await hardToRead(visit.page), [])
  t.ok(await fits(visit))
})

async function tryOut({ page }: Visit): Promise<void> {
  await page.click(`${sendCall} .opblock-summary-control`)
  await page.click(`${sendCall} .try-out__btn`)
}

/** What the page shows of the answer to a press of "Execute". */
async function execute({ page }: Visit): Promise<{ status: string; text: string }> {
  const answered = page.waitForResponse((response) => response.request().method() === 'POST')
  await page.click(`${sendCall} .execute`)
  const { requestId = '', data } = await (await answered).json()
  const live = page.locator(`${sendCall} .live-responses-table .response`)
  await live.filter({ hasText: data?._id ?? requestId }).waitFor()
  const status = await live.locator('.response-col_status').first().innerText()
  return { status: status.trim().slice(0, 3), text: await live.innerText() }
}

async function looksRight(
  t: Test,
  browser: Browser,
  options: Parameters<Browser['visit']>[1] & object,
): Promise<void> {
  const visit = await browser.visit(`${plain.url}/docs`, options)
  const { page } = visit
  const name = `${options.colorScheme}, ${options.viewport?.width} wide`
  await page.click('.auth-wrapper .btn.authorize')
  const dialog = await page.locator('.modal-ux').boundingBox()
  await page.click('.auth-container .btn-done')
  await tryOut(visit)

  t.equal(await page.evaluate("document.documentElement.classList.contains('dark-mode')"), /^dark/.test(name))
  t.strictSame(await hardToRead(page), [], name)
  t.ok(
    dialog && dialog.x >= 0 && dialog.x + dialog.width <= (options.viewport?.width ?? 0),
    `${name}: dialog`,
  )
  t.ok(await fits(visit), `${name}: nothing is wider than the page`)
  t.strictSame(visit.complaints, [])
}

/** Laid out for the width that there is, and not wider. */
async function fits({ page }: Visit): Promise<boolean> {
  const [needed, has] = await page.evaluate<[number, number]>(
    '[document.documentElement.scrollWidth, window.innerWidth]',
  )
  return needed <= has && has === page.viewportSize()?.width
}

function demoPerson(name: string, { id, token }: Person): DemoPerson {
  return { name, token, userId: id.toHexString(), about: `is ${name}` }
}
