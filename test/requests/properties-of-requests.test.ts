import fc from 'fast-check'
import t from 'tap'
import { alwaysRefused, anyNumber, anyText, operators, refusedAsItShould } from '../support/properties.ts'
import { jwtSecret, startService } from '../support/service.ts'
import { claimsOf, hmac, jws } from '../support/tokens.ts'
import { createWire, requestBytes } from '../support/wire.ts'

// fast-check prints the seed and the path of a failure; `fc.assert(property, { seed, path })` repeats it.
const service = await startService(t, { env: { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'error' } })
const wire = createWire(t, service)
const [alice, bob] = [await service.person(), await service.person()]
const bobId = bob.id.toHexString()
const text = { content: 'hi', type: 'text' }

t.test('any token but a signed one is refused', async (t) => {
  const json = fc.oneof(fc.jsonValue(), operators, anyNumber, anyText)
  const claims = fc
    .record({ sub: json, deviceId: json, exp: json, nbf: json, iss: json, aud: json }, { requiredKeys: [] })
    .map((changes) => ({ ...claimsOf(alice), sub: 'x', ...changes }))
  const header = fc.record(
    { alg: fc.oneof(json, fc.constantFrom('none', 'HS256', 'RS256')), typ: json, kid: json, crit: json },
    { requiredKeys: [] },
  )
  const token = fc.oneof(
    fc.string({ unit: fc.constantFrom('.', 'e', 'y', 'J', '-', '_', '=', '0'), minLength: 1, maxLength: 60 }),
    fc.tuple(header, claims).map(([header, claims]) => jws(header, claims, hmac('x'))),
    claims.map((claims) => jws({ alg: 'HS256' }, claims, hmac(jwtSecret))),
    header.map((header) => jws(header, { ...claimsOf(alice), sub: 'x' }, hmac(jwtSecret))),
  )

  await alwaysRefused(
    t,
    { service, wire },
    token,
    (token) => wire.post(alice, bobId, text, { authorization: `Bearer ${token}` }),
    200,
  )
})

t.test('any id, key, type or encoding but the right ones is refused', async (t) => {
  const isVisible = (value: string): boolean => /^[!-~]{1,255}$/.test(value)
  const target = fc.string({ unit: fc.constantFrom(...'%0aAfF.:*$~!()&;=@2E#-_zZ'), maxLength: 60 })
  const latin1 = fc.string({ unit: fc.constantFrom(...' \t!~aé\u00ff,;"'), maxLength: 300 })
  const wrong = fc.oneof(
    target.filter((id) => !/^[0-9a-f]{24}$/i.test(id)).map((userId) => ({ userId, headers: {} })),
    latin1
      .filter((key) => !isVisible(key.trim()))
      .map((key) => ({ userId: bobId, headers: { 'idempotency-key': key } })),
    latin1.map((type) => ({ userId: bobId, headers: { 'content-type': `application/json${type}x` } })),
    latin1.map((encoding) => ({ userId: bobId, headers: { 'content-encoding': encoding } })),
  )

  await alwaysRefused(
    t,
    { service, wire },
    wrong,
    ({ userId, headers }) => wire.post(alice, userId, text, headers),
    200,
  )
})

t.test('a media reference to anything but an own upload is refused', async (t) => {
  const own = `temp/user_${alice.id.toHexString()}/`
  const piece = fc.constantFrom(
    '..',
    '.',
    '/',
    '//',
    'a',
    '%2e',
    '\\',
    '?',
    '#',
    '\u0000',
    '\u0085',
    ' ',
    '\ud800',
  )
  const publicId = fc.oneof(
    anyText,
    fc.array(piece, { maxLength: 6 }).map((pieces) => `temp/user_${bobId}/${pieces.join('')}`),
    fc
      .tuple(fc.array(piece), fc.constantFrom('/..', '/.', '//', '%', '\\', '\u0000', '\n', ' '))
      .map(([pieces, bad]) => `${own}${pieces.join('')}${bad}`),
    fc.constantFrom(own, own.slice(0, -1), `${own.toUpperCase()}a`, `/${own}a`, `messages/user_${bobId}/a`),
  )
  const media = fc.uniqueArray(publicId, { minLength: 1, maxLength: 10 })

  await alwaysRefused(
    t,
    { service, wire },
    media,
    (ids) => wire.post(alice, bobId, { ...text, media: ids.map((publicId) => ({ publicId })) }),
    100,
  )
})

t.test('any bytes on a connection are answered by refusals, or by nothing', async (t) => {
  const right = requestBytes({
    line: `POST /message/send/${alice.id.toHexString()} HTTP/1.1`,
    token: alice.token,
  })
  const piece = fc.constantFrom(
    '\r\n',
    '\r\n\r\n',
    ' ',
    ':',
    '\0',
    'HTTP/1.1',
    'POST /',
    'Host: x',
    'chunked',
    '\n',
  )
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 100 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.array(piece, { minLength: 1 }).map((pieces) => pieces.join('')),
    fc
      .tuple(fc.nat(right.length), piece, fc.nat(8))
      .map(([at, piece, cut]) => right.slice(0, at) + piece + right.slice(at + cut)),
  )
  const before = await wire.stored()

  const property = fc.asyncProperty(bytes, async (bytes) => {
    // Two line ends and a closing request: whatever the bytes have begun is over with it.
    const { answers } = await wire.talk(`${bytes}\r\n\r\nend\r\n\r\n`, { halfCloses: true })
    answers.forEach(refusedAsItShould)
  })
  await fc.assert(property, { numRuns: 150 })

  t.same(await wire.stored(), before)
  t.same(service.logs, [])
})
