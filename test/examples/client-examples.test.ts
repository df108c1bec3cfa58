import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { type Code, createSender, type Outcome, repeatedCodes, type Service } from '../../examples/client.ts'
import { refusalCodes, refusals } from '../../schemas/refusal.ts'
import { picturePng, textFile, tinyVideo } from '../../src/dev/media-samples.ts'
import { type ClientProxy, startClientProxy } from '../support/client/proxy.ts'
import { type Person, tokenOf } from '../support/people.ts'
import { rootUrl } from '../support/root.ts'
import { startService } from '../support/service.ts'

// What people copy: examples/client.ts and examples/upload.ts, against a real service behind faults.

const service = await startService(t)
// Not before the service: the SDK looks at the environment when it is first loaded, and the service sets it.
const { signUpload, upload } = await import('../../examples/upload.ts')

const text = (content: string) => ({ content, type: 'text' as const })
const proxyPage = { kind: 'answer', status: 502, body: '<html>Bad gateway</html>' } as const

interface Client {
  send(content: string, options?: { deadlineMs?: number; key?: string }): Promise<Outcome>
  /** How long it has waited before each repeat. */
  waits: number[]
  proxy: ClientProxy
  alice: Person
  bob: Person
}

/** Alice's, to Bob, by a proxy. Its clock goes only while it waits, which takes no time, but for what `onWait` does. */
async function startClient(t: Test, overrides: Partial<Service> = {}, via = service): Promise<Client> {
  const [alice, bob] = [await via.person(), await via.person()]
  const proxy = await startClientProxy(t, via.url)
  const waits: number[] = []
  const send = createSender({
    baseUrl: proxy.url,
    token: async () => alice.token,
    now: () => waits.reduce((sum, ms) => sum + ms, 0),
    random: () => 1,
    ...overrides,
    wait: async (ms) => {
      waits.push(ms)
      await overrides.wait?.(ms)
    },
  })
  return {
    send: (content, { deadlineMs = 60_000, key = 'key-of-this-message' } = {}) =>
      send({ to: bob.id.toHexString(), draft: text(content), key, deadlineMs }),
    waits,
    proxy,
    alice,
    bob,
  }
}

t.test('it repeats what the document says may be repeated', async (t) => {
  const document = await readFile(new URL('openapi.yaml', rootUrl), 'utf8')
  const [, said = ''] = /You may repeat, unchanged,\*\*([^.]*)\./s.exec(document) ?? []
  const statuses = [...said.matchAll(/`(\d{3})`/g)].map(([, status]) => Number(status))

  t.strictSame(statuses, [408, 409, 429, 500, 503])
  t.strictSame(
    [...repeatedCodes].sort(),
    refusalCodes.filter((code) => statuses.includes(refusals[code].status)).sort(),
  )
})

t.test('it waits longer from one try to the next while nobody is there', async (t) => {
  const wait = async (): Promise<void> => {
    if (client.waits.length === 3) await client.proxy.open()
  }
  const client = await startClient(t, { wait })
  await client.proxy.close()

  const outcome = await client.send('Are you there?')

  t.match(outcome, { kind: 'sent', replayed: false, message: { content: 'Are you there?' } })
  t.strictSame(client.waits, [250, 500, 1000])
  t.equal((await client.alice.sentTo(client.bob)).length, 1)
})

t.test('chance takes up to half of a wait away', async (t) => {
  const client = await startClient(t, { random: () => 0 })
  client.proxy.next(proxyPage, proxyPage)

  await client.send('Hello')

  t.strictSame(client.waits, [125, 250])
})

t.test('a connection is cut after the message was stored: it is there once', async (t) => {
  const client = await startClient(t)
  client.proxy.next({ kind: 'cut', when: 'before' }, { kind: 'cut', when: 'after' }, { kind: 'half' })

  const outcome = await client.send('Once')

  const [stored, ...others] = await client.alice.sentTo(client.bob)
  t.strictSame(others, [])
  t.match(outcome, { kind: 'sent', replayed: true, message: { _id: stored?._id.toHexString() } })
  t.strictSame(client.proxy.keys, Array(4).fill('key-of-this-message'))
})

t.test('the limit of the service is waited for, as long as its 429 says', async (t) => {
  const limited = await startService(t, { env: { RATE_LIMIT_MAX: '1', RATE_LIMIT_WINDOW_MS: '60000' } })
  const client = await startClient(t, { wait: movesClock(t) }, limited)
  await client.send('The first', { key: '1' })

  const outcome = await client.send('The second', { key: '2', deadlineMs: 120_000 })

  t.match(outcome, { kind: 'sent', message: { content: 'The second' } })
  t.strictSame(client.waits, [60_250])
})

/** A wait that takes no time, but for the limiter's clock, which otherwise stands still. */
function movesClock(t: Test): (ms: number) => Promise<void> {
  let now = Date.now()
  t.intercept(Date, 'now', { value: () => now, configurable: true, writable: true })
  return async (ms) => {
    now += ms
  }
}

t.test('Retry-After counts for a proxy, too, and a date there is passed over', async (t) => {
  const client = await startClient(t)
  const busy = { kind: 'answer', status: 503, body: 'busy' } as const
  client.proxy.next({ ...busy, headers: { 'retry-after': '7' } })
  client.proxy.next({ ...busy, headers: { 'retry-after': 'Fri, 06 Feb 2026 12:37:51 GMT' } })

  const outcome = await client.send('Hello')

  t.equal(outcome.kind, 'sent')
  t.strictSame(client.waits, [7250, 500])
})

t.test('an expired token is renewed once, and no more', async (t) => {
  const states: string[] = []
  const expired = tokenOf({ sub: '0123456789abcdef01234567', deviceId: '0123456789abcdef01234567', exp: 1 })
  const fresh: string[] = []
  const token = async (state: string): Promise<string> => {
    states.push(state)
    return (state === 'expired' && fresh[0]) || expired
  }
  const client = await startClient(t, { token })

  const before = await client.send('Too late')
  fresh.push(client.alice.token)
  const after = await client.send('In time')

  t.match(before, { kind: 'refused', status: 401, refusal: { code: 'TOKEN_EXPIRED' } })
  t.match(after, { kind: 'sent', message: { content: 'In time' } })
  t.strictSame(states, ['current', 'expired', 'current', 'expired'])
  t.strictSame(client.waits, [])
})

t.test('what would be refused again is tried once', async (t) => {
  const client = await startClient(t)
  await client.bob.blocks(client.alice)
  client.proxy.next({ kind: 'answer', status: 403, body: '<html>Forbidden</html>' })

  const byProxy = await client.send('Hello')
  const byService = await client.send('Hello')

  t.match(byProxy, { kind: 'refused', status: 403, refusal: undefined })
  t.match(byService, {
    kind: 'refused',
    status: 400,
    refusal: { code: 'BLOCKED_RELATIONSHIP' satisfies Code },
  })
  t.equal(client.proxy.keys.length, 2)
})

t.test('at the deadline it says that it does not know, and later finds out', async (t) => {
  const client = await startClient(t)
  const unavailable = { success: false, code: 'DATABASE_UNAVAILABLE' satisfies Code }
  client.proxy.next({ kind: 'answer', status: 503, body: JSON.stringify(unavailable) })
  client.proxy.next(...Array(4).fill(proxyPage), { kind: 'cut', when: 'after' })

  const outcome = await client.send('Hello', { deadlineMs: 8000 })
  const later = await client.send('Hello')

  t.match(outcome, { kind: 'unknown', last: { code: 'DATABASE_UNAVAILABLE' } })
  t.strictSame(client.waits, [250, 500, 1000, 2000, 4000])
  t.match(later, { kind: 'sent', replayed: true })
  t.equal((await client.alice.sentTo(client.bob)).length, 1)
})

t.test('no wait of its own is longer than 15 s', async (t) => {
  const client = await startClient(t)
  client.proxy.next(...Array(8).fill(proxyPage))

  const outcome = await client.send('At last', { deadlineMs: 600_000 })

  t.equal(outcome.kind, 'sent')
  t.strictSame(client.waits.slice(-3), [8000, 15_000, 15_000])
})

t.test('what is uploaded by a signature can be sent', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  const { username, password, hostname, searchParams } = new URL(service.storage.cloudinaryUrl)
  const cloud = {
    cloudName: hostname,
    apiKey: username,
    apiSecret: password,
    uploadPrefix: searchParams.get('upload_prefix') ?? '',
  }
  const userId = alice.id.toHexString().toUpperCase()
  const signed = {
    image: signUpload(cloud, userId, 'image'),
    video: signUpload(cloud, userId, 'video'),
    file: signUpload(cloud, userId, 'file', '.txt'),
  }

  const publicIds = [
    await upload(signed.image, new Blob([picturePng(60, 40)]), 'view & more.png'),
    await upload(signed.image, new Blob([picturePng(10, 10)]), 'sent again.png'),
    await upload(signed.video, new Blob([tinyVideo()]), 'clip.mp4'),
    await upload(signed.file, new Blob([textFile()]), 'list.txt'),
  ]
  const media = [...new Set(publicIds)].map((publicId) => ({ publicId }))
  const answer = await alice.sends(bob, { content: 'Look', type: 'image', media })

  t.equal(answer.code, 'OK')
  t.match(answer.body.data.media, [
    { type: 'image', width: 60 },
    { type: 'video' },
    { type: 'file', publicId: /\.txt$/ },
  ])
  t.notMatch(JSON.stringify(signed), password)
})

t.test('a signature is for one name: with another it is refused', async (t) => {
  const { username: apiKey, hostname: cloudName, searchParams } = new URL(service.storage.cloudinaryUrl)
  const uploadPrefix = searchParams.get('upload_prefix') ?? ''
  const signed = signUpload({ cloudName, apiKey, apiSecret: 'secret', uploadPrefix }, 'a'.repeat(24), 'image')
  const other = { ...signed, fields: { ...signed.fields, public_id: `temp/user_${'b'.repeat(24)}/x` } }

  await t.rejects(upload(other, new Blob([picturePng(1, 1)]), 'x.png'), { message: /401/ })
})
