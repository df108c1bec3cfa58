import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { crc32, inflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { Fault } from '../../src/dev/cloudinary/faults.ts'
import { startCloudinary } from '../../src/dev/cloudinary/server.ts'
import { picturePng, textFile } from '../../src/dev/media-samples.ts'
import { root } from '../support/root.ts'
import { dataUri, post, refusal, signed, start } from '../support/stand-in.ts'

// What is no call of the interface, what fails on purpose, and what the stand-in tells of its calls and of itself.

// The SDK reads its address, and takes http for it, when it is loaded and never again; an agent of the right
// kind, passed with a call, overrules that. So the other stand-ins are reached by options.
const global = await startCloudinary()
process.env.CLOUDINARY_URL = global.cloudinaryUrl
const { api, uploader } = (await import('cloudinary')).v2
t.teardown(() => global.close())

const video = { resource_type: 'video' } as const
const raw = { resource_type: 'raw' } as const

t.test('what is no call of the interface is refused', async (t) => {
  const { standIn } = await start(t)
  const url = `${standIn.baseUrl}/v1_1/demo/image`
  const file = dataUri(picturePng(1, 1))

  const unknown = await fetch(`${url}/explode`, { method: 'POST' })
  const noForm = await fetch(`${url}/destroy`, { method: 'POST', body: '{}' })
  const inParts = await fetch(`${url}/upload`, {
    ...signed({ file }),
    headers: { 'content-range': 'bytes 0-1/4' },
  })
  const noEncoding = await fetch(`${standIn.baseUrl}/demo/image/upload/%zz`)
  const byAddress = await post(standIn, 'raw/upload', { file: `${standIn.baseUrl}/demo/raw/upload/a` })

  t.same(
    [unknown, noForm, inParts, noEncoding].map(({ status }) => status),
    [404, 400, 400, 400],
  )
  t.match(byAddress, { status: 400, body: { error: { message: /takes bytes or a data: URI only/ } } })
  t.match(standIn.requests, [{ action: 'unknown' }], 'and the address was not opened')
  t.same(standIn.list(), [])
})

for (const boundary of ['a', ''])
  t.test(`a boundary of ${boundary.length} letters, which is also in the values, parts a form`, async (t) => {
    const { standIn } = await start(t)
    const { body } = signed({ public_id: 'banana', file: dataUri(textFile('a --a b')) })
    const parts = [...body].map(
      ([name, value]) =>
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    )

    const response = await fetch(`${standIn.baseUrl}/v1_1/demo/raw/upload`, {
      method: 'POST',
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
      body: `${parts.join('')}--${boundary}--`,
    })

    t.equal(response.status, 200)
    t.equal(String(standIn.list()[0]?.bytes), 'a --a b')
  })

t.test('faults', async (t) => {
  t.test('answer another status, done or not', async (t) => {
    const body = { error: { message: 'slow' } }
    const untouched = await renameUnder(t, { kind: 'status', status: 429, body })
    const done = await renameUnder(t, { kind: 'status', status: 503, when: 'after' })

    t.match(untouched, { error: { http_code: 429, message: 'slow', name: 'Error' }, moved: false })
    t.match(done, { error: { http_code: 503, name: 'UnexpectedResponse' }, moved: true })
  })

  t.test('answer what is no JSON, or not what was expected', async (t) => {
    const noJson = await renameUnder(t, { kind: 'invalid-json' })
    const wrong = await renameUnder(t, { kind: 'wrong-answer', body: { error: 'odd' } })

    t.match(noJson, { error: { http_code: 200, message: /invalid JSON/ }, moved: false })
    t.match(wrong, { error: 'odd', moved: false })
  })

  t.test('reset the connection, before or after', async (t) => {
    const before = await renameUnder(t, { kind: 'reset-before' })
    const after = await renameUnder(t, { kind: 'reset-after' })

    t.match(before, { error: { error: { code: 'ECONNRESET' } }, moved: false })
    t.match(after, { error: { error: { code: 'ECONNRESET' } }, moved: true })
  })

  t.test('never answer, before or after, though other calls are; close cuts the connection', async (t) => {
    const before = await renamePending(t, { kind: 'hang' })
    const after = await renamePending(t, { kind: 'hang-after' })
    t.equal(before.standIn.openSockets(), 2)
    await Promise.all([before.standIn.close(), after.standIn.close()])

    t.match(await before.settled, { error: { code: 'ECONNRESET' } })
    t.match(await after.settled, { error: { code: 'ECONNRESET' } })
    t.same([before.moved, after.moved, before.answered, after.answered], [false, true, false, false])
    t.equal(before.standIn.openSockets(), 0)
  })

  t.test('drip the answer', async (t) => {
    const { standIn } = await start(t)
    standIn.put({ publicId: 'temp/a', resourceType: 'image' })
    standIn.faults.on(({ action }) => action === 'rename', { kind: 'drip', everyMs: 1 })

    const params = { from_public_id: 'temp/a', to_public_id: 'messages/a' }
    const response = await fetch(`${standIn.baseUrl}/v1_1/demo/image/rename`, signed(params))
    const reader = response.body?.getReader()
    const first = await reader?.read()
    await reader?.cancel()

    t.equal(response.status, 200)
    t.equal(Buffer.from(first?.value ?? []).toString(), '{')
    t.equal(standIn.has('image', 'messages/a'), true)
  })

  t.test('hold a call until it is let go, before or after', async (t) => {
    const [first, second] = [gate(), gate()]
    const before = await renamePending(t, { kind: 'hold', until: first.opened, when: 'before' })
    const after = await renamePending(t, { kind: 'hold', until: second.opened, when: 'after' })
    first.open()
    second.open()

    t.same([before.moved, after.moved, before.answered, after.answered], [false, true, false, false])
    t.match(await before.settled, { public_id: 'messages/a' })
    t.match(await after.settled, { public_id: 'messages/a' })
    t.equal(before.standIn.has('image', 'messages/a'), true)
  })

  t.test('a held call lands although its client has left', async (t) => {
    const { opened, open } = gate()
    const held: Fault = { kind: 'hold', until: opened, when: 'before' }
    const { account, settled, standIn } = await renamePending(t, held)
    account.agent.destroy()
    t.match(await settled, { error: { code: 'ECONNRESET' } })
    t.equal(standIn.has('image', 'messages/a'), false)

    open()
    await setImmediate()

    t.equal(standIn.has('image', 'messages/a'), true)
  })

  t.test('strike as often as told, in the order set, until removed', async (t) => {
    const { account, standIn } = await start(t)
    const status = async () => (await refusal(uploader.rename('a', 'b', account))).http_code
    standIn.faults.on(({ publicId }) => publicId === 'a', { kind: 'status', status: 420 }, { times: 1 })
    const remove = standIn.faults.on(({ toPublicId }) => toPublicId === 'b', { kind: 'status', status: 429 })
    standIn.faults.on(({ resourceType }) => resourceType === 'image', { kind: 'status', status: 401 })
    standIn.faults.on(({ resourceType }) => resourceType === 'raw', { kind: 'hang' })

    const seen = [await status(), await status(), await status()]
    remove()
    seen.push(await status())
    standIn.faults.clear()
    seen.push(await status())

    t.same(seen, [420, 429, 429, 401, 404])
  })
})

t.test('each request is logged, and announced to who waits for it', async (t) => {
  const now = new Date()
  const { account, standIn } = await start(t, { now: () => now })
  const waiting = standIn.nextRequest(({ action }) => action === 'explicit')

  await uploader.destroy('x', { ...account, ...video })
  await refusal(uploader.rename('a b', 'c', { ...account, ...raw }))
  await refusal(uploader.explicit('y', { ...account, type: 'upload' }))
  await refusal(api.resource('p/q', account))
  await fetch(`${standIn.baseUrl}/demo/raw/upload/v1/p/q.txt?download=1`)

  const [destroyed, renamed, explicit, read, delivered] = standIn.requests
  const method = 'POST'
  const toPublicId = undefined
  const path = '/v1_1/demo/raw/rename'
  const subject = { action: 'rename', resourceType: 'raw', publicId: 'a b', toPublicId: 'c' }
  t.strictSame(renamed, { method, path, ...subject, at: now })
  t.match(destroyed, { action: 'destroy', resourceType: 'video', publicId: 'x', toPublicId })
  t.match(read, { method: 'GET', action: 'resource', resourceType: 'image', publicId: 'p/q', toPublicId })
  t.match(delivered, {
    action: 'deliver',
    path: /^\/demo\/raw\/upload\/v1\/p\/q\.txt$/,
    publicId: /^p\/q\.txt$/,
  })
  t.equal(await waiting, explicit)
})

t.test('the sample picture is a whole PNG', async (t) => {
  const png = picturePng(5, 4, { from: [200, 100, 0], to: [0, 0, 0] })
  const dataBytes = png.readUInt32BE(33)
  const data = png.subarray(41, 41 + dataBytes)
  const pixels = inflateSync(data)

  t.equal(png.readUInt32BE(41 + dataBytes), crc32(Buffer.concat([Buffer.from('IDAT'), data])))
  t.equal(pixels.length, (1 + 5 * 3) * 4)
  t.same([...pixels.subarray(0, 4)], [0, 200, 100, 0])
  t.throws(() => picturePng(0, 1), /sides are/)
})

t.test('as a process of its own it tells its address, and ends when asked to', async (t) => {
  const main = join(root, 'src/dev/cloudinary/main.ts')
  const child = spawn(process.execPath, [...process.execArgv, main, '--cloud-name', 'bench'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout, 'data')
  const { baseUrl, cloudinaryUrl } = JSON.parse(String(line))
  const answer = await fetch(`${baseUrl}/bench/raw/upload/none`)

  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')

  t.equal(cloudinaryUrl, `cloudinary://key:secret@bench?upload_prefix=${baseUrl}`)
  t.same([answer.status, code], [404, 0])
})

t.test('an answer that drips before the deed never ends, and nothing is done', async (t) => {
  const standIn = await startCloudinary()
  t.teardown(() => standIn.close())
  standIn.put({ publicId: 'temp/a', resourceType: 'image' })
  standIn.faults.on(() => true, { kind: 'drip', everyMs: 1, when: 'before' })

  const form = new URLSearchParams({ from_public_id: 'temp/a', to_public_id: 'messages/a' })
  const response = await fetch(`${standIn.baseUrl}/v1_1/demo/image/rename`, { method: 'POST', body: form })
  const bytes: number[] = []
  for await (const chunk of response.body ?? []) {
    bytes.push(...chunk)
    // More than any answer has.
    if (bytes.length > 1_000) break
  }

  t.equal(response.status, 200)
  t.ok(bytes.length > 1_000)
  t.strictSame([...new Set(bytes)], [0x20])
  t.strictSame(
    standIn.list().map(({ publicId }) => publicId),
    ['temp/a'],
  )
})

// A rename under a fault that rejects it: the rejection, and whether the asset has moved.
async function renameUnder(t: Test, fault: Fault) {
  const { account, standIn } = await start(t)
  standIn.put({ publicId: 'temp/a', resourceType: 'image' })
  standIn.faults.on(({ action }) => action === 'rename', fault)
  const error = await refusal(uploader.rename('temp/a', 'messages/a', account))
  return { error, moved: standIn.has('image', 'messages/a') }
}

// A rename under a fault that leaves it open, looked at once another call, sent later, has been answered.
async function renamePending(t: Test, fault: Fault) {
  const { account, standIn } = await start(t)
  standIn.put({ publicId: 'temp/a', resourceType: 'image' })
  standIn.faults.on(({ action }) => action === 'rename', fault)
  const arrived = standIn.nextRequest(({ action }) => action === 'rename')
  let answered = false
  const settled = uploader
    .rename('temp/a', 'messages/a', account)
    .catch((error: unknown) => error)
    .finally(() => {
      answered = true
    })
  await arrived
  await uploader.destroy('other', account)
  return { account, standIn, settled, answered, moved: standIn.has('image', 'messages/a') }
}

function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
