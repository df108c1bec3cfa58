import t from 'tap'
import { eventually } from '../support/eventually.ts'
import type { Answer } from '../support/people.ts'
import { startService } from '../support/service.ts'
import { createWire, each, json, outcomes, talking } from '../support/wire.ts'

const service = await startService(t)
const wire = createWire(t, service)
const [alice, bob] = [await service.person(), await service.person()]
const path = `/message/send/${bob.id.toHexString()}`

const { bytes, talk, talks } = talking(wire, { path, token: alice.token })

t.test('what is no acceptable HTTP is refused, and the connection closed', async (t) => {
  const before = await wire.stored()

  const answers = await talks({
    garbage: 'garbage\r\n\r\n',
    TLS: Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
    'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'HTTP/2.0 in the old form': bytes({ line: `POST ${path} HTTP/2.0` }),
    'HTTP/0.9': bytes({ line: `POST ${path} HTTP/0.9` }),
    'no version': bytes({ line: `POST ${path}` }),
    'HTTP/3.0': bytes({ line: `POST ${path} HTTP/3.0` }),
    'an unknown method': bytes({ line: `SEND ${path} HTTP/1.1` }),
    'a method in lower case': bytes({ line: `post ${path} HTTP/1.1` }),
    'a space in the target': bytes({ line: 'POST /message/send/a b HTTP/1.1' }),
    'a target that is not ASCII': bytes({ line: 'POST /message/send/é HTTP/1.1' }),
    'a target without a slash': bytes({ line: 'POST message/send/x HTTP/1.1' }),
    'no Host': bytes({ host: [] }),
    'two Hosts': bytes({ host: ['Host: a', 'host: b'] }),
    'a header without a colon': bytes({ more: ['nonsense'] }),
    'a space before the colon': bytes({ more: ['X : y'] }),
    'a folded header': bytes({ more: ['X: a', ' b'] }),
    'U+0000 in a header': bytes({ more: ['X: a\0b'] }),
    'bare line feeds': bytes().replaceAll('\r\n', '\n'),
    'two lengths': bytes({ more: ['Content-Length: 3'] }),
    'a negative length': bytes({ length: ['Content-Length: -1'] }),
    'a length of letters': bytes({ length: ['Content-Length: x'] }),
    'a length beyond all numbers': bytes({ length: [`Content-Length: ${'9'.repeat(30)}`] }),
    'a length and chunks': bytes({ more: ['Transfer-Encoding: chunked'] }),
    'an unknown transfer encoding': bytes({ length: ['Transfer-Encoding: gzip'] }),
    'a chunk of no size': bytes({ length: ['Transfer-Encoding: chunked'], body: 'zz\r\n' }),
    CONNECT: 'CONNECT service:80 HTTP/1.1\r\nHost: service\r\n\r\n',
  })

  t.same(answers, each(answers, '400 MALFORMED_REQUEST, closed'))
  t.same(await wire.stored(), before)
})

t.test('an Expect that is not 100-continue is refused', async (t) => {
  const before = await wire.stored()

  const answers = await talks({
    another: bytes({ more: ['Expect: x'] }),
    empty: bytes({ more: ['Expect:'] }),
    'more than that': bytes({ more: ['Expect: 100-continue, x'] }),
    'without a token, at no path': 'GET /x HTTP/1.1\r\nHost: service\r\nExpect: x\r\n\r\n',
  })

  t.same(answers, each(answers, '417 EXPECTATION_FAILED, closed'))
  t.same(await wire.stored(), before)
})

t.test('headers over 16 KiB are refused, and the answer reaches who is still sending', async (t) => {
  const before = await wire.stored()
  const line = `X: ${'a'.repeat(8_000)}\r\n`

  const short = await talk(`GET / HTTP/1.1\r\n${line.repeat(3)}\r\n`, { readsLate: true })
  const long = await talk(`GET / HTTP/1.1\r\n${line.repeat(600)}\r\n`, { readsLate: true })
  const target = await talk(`GET /${'a'.repeat(17_000)} HTTP/1.1\r\n\r\n`)

  t.same(new Set([short, long, target]), new Set(['431 HEADERS_TOO_LARGE, closed']))
  t.same(await wire.stored(), before)
})

t.test('64 KiB of body are taken, and a byte more is refused', async (t) => {
  const before = await wire.stored()
  const [most, tooMuch] = [json.padEnd(65_536), json.padEnd(65_537)]
  const chunked = { 'transfer-encoding': 'chunked' }

  const answers = await outcomes({
    most: wire.post(alice, alice.id.toHexString(), most),
    'most, in chunks': wire.post(alice, alice.id.toHexString(), most, chunked),
    'too much': wire.post(alice, alice.id.toHexString(), tooMuch),
    'too much, in chunks': wire.post(alice, alice.id.toHexString(), tooMuch, chunked),
  })

  const taken = { most: '400 MESSAGE_TO_SELF', 'most, in chunks': '400 MESSAGE_TO_SELF' }
  t.same(answers, each(answers, '413 BODY_TOO_LARGE', taken))
  t.same(await wire.stored(), before)
})

t.test('HTTP that is unusual but right is taken', async (t) => {
  const before = await wire.stored()
  const close = ['Connection: close']
  const chunks = `${json.length.toString(16)};x=y\r\n${json}\r\n0\r\nX: y\r\n\r\n`

  const answers = await talks({
    '100-continue': bytes({ more: [...close, 'Expect: 100-Continue'] }),
    'HTTP/1.0 without a Host': bytes({ line: `POST ${path} HTTP/1.0`, host: [] }),
    'an absolute target': bytes({ line: `POST HTTP://other:1${path}?x HTTP/1.1`, more: close }),
    'chunks, an extension and a trailer': bytes({
      length: ['Transfer-Encoding: chunked'],
      body: chunks,
      more: close,
    }),
    'an upgrade that is not known': bytes({ more: ['Connection: close, Upgrade', 'Upgrade: h2c'] }),
  })

  t.same(answers, each(answers, '200 OK, closed'))
  t.equal((await wire.stored()).messages, before.messages + 5)
})

t.test('the request id is the service’s own, in the body, in the header and in the log', async (t) => {
  const before = await wire.stored()
  const own = { 'x-request-id': 'mine', 'request-id': 'mine' }

  const answers = [
    await wire.post(alice, bob.id.toHexString(), json, own),
    await wire.post(alice, '%zz', json, own),
    await wire.ask({ path: '/x', headers: own }),
    ...(await wire.talk('garbage\r\n\r\n')).answers,
    ...(await wire.talk(bytes({ more: ['Expect: x', 'X-Request-Id: mine'] }))).answers,
  ]

  const ids = answers.map(({ headers }) => headers.get('x-request-id') ?? '')
  t.equal(new Set(ids).size, 5)
  t.same(
    answers.slice(1).map(({ body }) => body.requestId),
    ids.slice(1),
  )
  await eventually(() => ids.every((id) => service.logs.join('').includes(`"requestId":"${id}"`)))
  t.equal((await wire.stored()).messages, before.messages + 1)
})

t.test('paths and methods that are not there are told, without a token', async (t) => {
  const before = await wire.stored()
  const ask = (method: string, path: string): Promise<Answer> => wire.ask({ method, path })
  const allowed = async (method: string, path: string): Promise<string> => {
    const { status, headers } = await ask(method, path)
    return `${status} ${headers.get('allow')}`
  }

  const missing = await outcomes({
    root: ask('GET', '/'),
    'a trailing slash': ask('POST', `${path}/`),
    'a trailing slash after GET': ask('GET', '/health/live/'),
    'no userId and no slash': ask('POST', '/message/send'),
    'two slashes': ask('POST', '//message/send/x'),
    'a dot that is none': ask('GET', '/openapiXjson'),
    'other letters': ask('POST', path.replace('send', 'Send')),
    'more path': ask('POST', `${path}/x`),
    'a path that cannot be decoded': ask('GET', '/%zz'),
    everything: ask('OPTIONS', '*'),
    'another scheme': ask('POST', `ftp://service${path}`),
    'an origin alone': ask('GET', 'http://service'),
    'no file of the page': ask('GET', '/docs/static/x'),
  })
  t.same(missing, each(missing, '404 ROUTE_NOT_FOUND'))

  const others = ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']
  const sending = await Promise.all(others.map((method) => allowed(method, path)))
  t.same(new Set(sending), new Set(['405 POST']))
  t.equal(await allowed('GET', path.replace('send', '%73end')), '405 POST')
  t.equal(await allowed('GET', `${path}?q=%zz`), '405 POST')
  t.equal(await allowed('GET', `${path}%2F`), '405 POST')
  t.equal(await allowed('GET', '/message/send/'), '405 POST')
  t.equal(await allowed('POST', '/health/live'), '405 GET, HEAD')
  t.equal(await allowed('OPTIONS', '/openapi.json'), '405 GET, HEAD')
  t.equal((await ask('HEAD', '/health/live')).status, 200)
  t.same(await wire.stored(), before)
})

t.test('headers count behind however many others', async (t) => {
  const before = await wire.stored()
  const key = `${'a:1\r\n'.repeat(1_500)}Idempotency-Key: a b`

  t.equal(await talk(bytes({ more: [key] })), '400 INVALID_IDEMPOTENCY_KEY, closed')
  t.same(await wire.stored(), before)
})

t.test('what only looks like a path of the service is none', async (t) => {
  const before = await wire.stored()
  const at = (target: string): string => bytes({ line: `POST ${target} HTTP/1.1` })
  const probe = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: service\r\n\r\n`

  const answers = await talks({
    'a star for the slash': at(path.replace('/', '*')),
    'the path as a query': at(`http://service?${path.slice(1)}`),
    'a query alone': at('http://service?x=%ff'),
    'a star for a probe': probe('*health/live'),
    'a probe as a query': probe('http://service?health/live'),
    'a probe with a fragment': probe('/health/live#x'),
    'the server itself': 'OPTIONS * HTTP/1.1\r\nHost: service\r\n\r\n',
  })
  const fragment = await talk(at(`${path}#x`))
  const encoded = await talk(at('/message/%73end/%zz'))

  t.same(answers, each(answers, '404 ROUTE_NOT_FOUND, closed'))
  t.equal(fragment, '400 INVALID_USER_ID, closed')
  t.equal(encoded, '400 INVALID_USER_ID, closed')
  t.same(await wire.stored(), before)
})

t.test('a userId that is no id is refused, whatever it is made of', async (t) => {
  const before = await wire.stored()
  const bobId = bob.id.toHexString()
  const userId = (userId: string): Promise<Answer> => wire.post(alice, userId, json)

  const answers = await outcomes({
    empty: userId(''),
    short: userId(bobId.slice(1)),
    long: userId(`${bobId}0`),
    'another letter': userId(`${bobId.slice(1)}g`),
    '12 characters': userId('twelve-bytes'),
    '10,000 characters': userId('a'.repeat(10_000)),
    '10,000 characters, encoded': userId('%61'.repeat(3_333)),
    'a dot': userId('.'),
    'two dots': userId('..'),
    'two dots, encoded': userId('%2e%2e'),
    'a slash, encoded': userId(`${bobId}%2F`),
    'a line end after it': userId(`${bobId}%0A`),
    'a space before it': userId(`%20${bobId}`),
    'U+0000': userId('%00'),
    'an emoji': userId('%F0%9F%98%80'),
    'a cut character': userId('%F0%9F'),
    'no hexadecimal digits': userId('%zz'),
    'a lone percent sign': userId(`${bobId}%`),
    'a colon': userId(':userId'),
    'an operator': userId('[$ne]=x'),
    'a query without an id': userId('?userId=x'),
  })

  t.same(answers, each(answers, '400 INVALID_USER_ID'))
  t.same(await wire.stored(), before)
})
