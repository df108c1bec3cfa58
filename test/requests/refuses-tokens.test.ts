import t from 'tap'
import type { Answer } from '../support/people.ts'
import { jwtSecret, startService } from '../support/service.ts'
import { claimsOf, hmac, jws, keyPair, secondsFromNow } from '../support/tokens.ts'
import { createWire, each, outcomes } from '../support/wire.ts'

const service = await startService(t)
const wire = createWire(t, service)
const [alice, bob] = [await service.person(), await service.person()]
const claims = claimsOf(alice)
const hs256 = { alg: 'HS256', typ: 'JWT' }
const valid = jws(hs256, claims, hmac(jwtSecret))

const withToken = (token: string): Promise<Answer> =>
  wire.post(
    alice,
    bob.id.toHexString(),
    { content: 'hi', type: 'text' },
    { authorization: `Bearer ${token}` },
  )
const withClaims = (changes: object): Promise<Answer> =>
  withToken(jws(hs256, { ...claims, ...changes }, hmac(jwtSecret)))
const withHeader = (authorization: unknown): Promise<Answer> =>
  wire.post(alice, bob.id.toHexString(), { content: 'hi', type: 'text' }, { authorization })

t.test('a token that is not signed by the secret with HS256 is invalid', async (t) => {
  const before = await wire.stored()
  const { pem, signer } = keyPair('RS256')

  const answers = await outcomes({
    none: withToken(jws({ alg: 'none' }, claims, () => Buffer.alloc(0))),
    'none in other letters': withToken(jws({ alg: 'nOnE' }, claims, () => Buffer.alloc(0))),
    'no signature': withToken(`${valid.split('.', 2).join('.')}.`),
    'another secret': withToken(jws(hs256, claims, hmac(`${jwtSecret}!`))),
    'an empty secret': withToken(jws(hs256, claims, hmac(''))),
    'the public key of nobody as secret': withToken(jws(hs256, claims, hmac(pem))),
    HS384: withToken(jws({ alg: 'HS384' }, claims, hmac(jwtSecret, 'sha384'))),
    HS512: withToken(jws({ alg: 'HS512' }, claims, hmac(jwtSecret, 'sha512'))),
    RS256: withToken(jws({ alg: 'RS256' }, claims, signer)),
    'an unknown alg': withToken(jws({ alg: 'XX' }, claims, hmac(jwtSecret))),
    'an alg of another type': withToken(jws({ alg: ['HS256'] }, claims, hmac(jwtSecret))),
    'no alg': withToken(jws({}, claims, hmac(jwtSecret))),
    'a critical extension': withToken(jws({ ...hs256, crit: ['x'], x: 1 }, claims, hmac(jwtSecret))),
    'a claim changed afterwards': withToken(
      [
        valid.split('.')[0],
        jws(hs256, { ...claims, sub: bob.id }, hmac('')).split('.')[1],
        valid.split('.')[2],
      ].join('.'),
    ),
  })

  t.same(answers, each(answers, '401 TOKEN_INVALID'))
  t.same(await wire.stored(), before)
})

t.test('what is no token at all is invalid', async (t) => {
  const before = await wire.stored()
  const [header = '', payload = '', signature = ''] = valid.split('.')

  const answers = await outcomes({
    'one part': withToken(header),
    'two parts': withToken(`${header}.${payload}`),
    'four parts': withToken(`${valid}.${signature}`),
    dots: withToken('..'),
    'no base64url': withToken(`${header}.${payload}.${signature}!`),
    padding: withToken(`${header}.${payload}.${signature}=`),
    'a header that is no JSON': withToken(jws('{', claims, hmac(jwtSecret))),
    'a header that is an array': withToken(jws('[]', claims, hmac(jwtSecret))),
    'a header that is null': withToken(jws('null', claims, hmac(jwtSecret))),
    'claims that are no JSON': withToken(jws(hs256, '{', hmac(jwtSecret))),
    'claims in an array': withToken(jws(hs256, [claims], hmac(jwtSecret))),
    'claims that are null': withToken(jws(hs256, 'null', hmac(jwtSecret))),
    'claims that are a string': withToken(jws(hs256, '"sub deviceId exp"', hmac(jwtSecret))),
    '12,000 characters': withToken('a'.repeat(12_000)),
    '12,000 dots': withToken('.'.repeat(12_000)),
    'two tokens': withToken(`${valid} ${valid}`),
  })

  t.same(answers, each(answers, '401 TOKEN_INVALID'))
  t.same(await wire.stored(), before)
})

t.test('the times in a token are kept to the second', async (t) => {
  const before = await wire.stored()

  const answers = await outcomes({
    'expired a second ago': withClaims({ exp: secondsFromNow(-1) }),
    'expired long ago': withClaims({ exp: 0 }),
    'expired and not yet valid': withClaims({ exp: secondsFromNow(-1), nbf: secondsFromNow(60) }),
    'expired, forged': withToken(jws(hs256, { ...claims, exp: 0 }, hmac('x'))),
    'valid in two seconds': withClaims({ nbf: secondsFromNow(2) }),
    'an nbf beyond all dates': withClaims({ nbf: 1e300 }),
    'an nbf as text': withClaims({ nbf: '0' }),
    'no exp': withClaims({ exp: undefined }),
    'exp null': withClaims({ exp: null }),
    'exp as text': withClaims({ exp: String(secondsFromNow(60)) }),
    'exp in an array': withClaims({ exp: [secondsFromNow(60)] }),
    'exp an object': withClaims({ exp: {} }),
    'exp true': withClaims({ exp: true }),
  })

  const others = {
    'expired a second ago': '401 TOKEN_EXPIRED',
    'expired long ago': '401 TOKEN_EXPIRED',
  }
  t.same(answers, each(answers, '401 TOKEN_INVALID', others))
  t.same(await wire.stored(), before)
})

t.test('sub and deviceId are ids, or the token is invalid', async (t) => {
  const before = await wire.stored()
  const id = bob.id.toHexString()

  const answers = await outcomes({
    'no sub': withClaims({ sub: undefined }),
    'no deviceId': withClaims({ deviceId: undefined }),
    'sub null': withClaims({ sub: null }),
    'sub an object': withClaims({ sub: { $ne: null } }),
    'sub in an array': withClaims({ sub: [id] }),
    'sub a number': withClaims({ sub: 123456789012 }),
    'sub empty': withClaims({ sub: '' }),
    'sub too short': withClaims({ sub: id.slice(1) }),
    'sub too long': withClaims({ sub: `${id}0` }),
    'sub of 12 bytes': withClaims({ sub: 'twelve bytes' }),
    'sub with a line end': withClaims({ sub: `${id}\n` }),
    'sub of other digits': withClaims({ sub: `${id.slice(1)}g` }),
    'deviceId an object': withClaims({ deviceId: { $gt: '' } }),
    'deviceId in an array': withClaims({ deviceId: [id] }),
    'deviceId too short': withClaims({ deviceId: id.slice(1) }),
    'deviceId with a space': withClaims({ deviceId: ` ${id}` }),
  })

  t.same(answers, each(answers, '401 TOKEN_INVALID'))
  t.same(await wire.stored(), before)
})

t.test('without a Bearer token the challenge names no error', async (t) => {
  const before = await wire.stored()

  const answers = await Promise.all([
    withHeader(undefined),
    withHeader(''),
    withHeader(valid),
    withHeader('Bearer'),
    withHeader(`Basic ${valid}`),
    withHeader(`Token ${valid}`),
    withHeader(`BearerX ${valid}`),
    withHeader(`Bearer, ${valid}`),
  ])

  t.same(new Set(answers.map(({ status, code }) => `${status} ${code}`)), new Set(['401 TOKEN_MISSING']))
  t.same(
    new Set(answers.map(({ headers }) => headers.get('www-authenticate'))),
    new Set(['Bearer realm="messages"']),
  )
  t.same(await wire.stored(), before)
})

t.test('with a bad token the challenge says invalid_token', async (t) => {
  const before = await wire.stored()

  const invalid = await withToken('x')
  const expired = await withClaims({ exp: 0 })

  t.match(invalid.headers.get('www-authenticate'), /^Bearer realm="messages", error="invalid_token", /)
  t.match(expired.headers.get('www-authenticate'), /^Bearer realm="messages", error="invalid_token", /)
  t.same(await wire.stored(), before)
})

t.test('the token is checked before anything else of the request is looked at', async (t) => {
  const before = await wire.stored()
  const bad = { authorization: 'Bearer x', 'content-type': 'text/plain', 'content-encoding': 'gzip' }

  const answer = await wire.post(alice, '%zz', '{', { ...bad, 'idempotency-key': '' })

  t.equal(answer.code, 'TOKEN_INVALID')
  t.same(await wire.stored(), before)
})

t.test('issuer and audience are required as they are configured', async (t) => {
  const before = await wire.stored()
  const env = { JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'chat' }
  const strict = createWire(t, await startService(t, { env, mongodbUri: service.mongodbUri }))
  const right = { iss: env.JWT_ISSUER, aud: env.JWT_AUDIENCE }
  const sends = (changes: object): Promise<Answer> => {
    const token = jws(hs256, { ...claims, ...changes }, hmac(jwtSecret))
    // To herself: what is past the token is told by it, and nothing is stored.
    return strict.post(
      alice,
      alice.id.toHexString(),
      { content: 'hi', type: 'text' },
      { authorization: `Bearer ${token}` },
    )
  }

  const answers = await outcomes({
    right: sends(right),
    'right among others': sends({ ...right, aud: ['mail', 'chat'] }),
    neither: sends({}),
    'no iss': sends({ aud: right.aud }),
    'no aud': sends({ iss: right.iss }),
    'another iss': sends({ ...right, iss: 'https://issuer.example/' }),
    'an iss that begins so': sends({ ...right, iss: 'https://issuer.example.evil' }),
    'iss in an array': sends({ ...right, iss: [right.iss] }),
    'another aud': sends({ ...right, aud: 'mail' }),
    'only other audiences': sends({ ...right, aud: ['mail', 'chats'] }),
    'no audiences': sends({ ...right, aud: [] }),
    'aud an object': sends({ ...right, aud: { chat: true } }),
  })

  const others = {
    right: '400 MESSAGE_TO_SELF',
    'right among others': '400 MESSAGE_TO_SELF',
  }
  t.same(answers, each(answers, '401 TOKEN_INVALID', others))
  t.same(await wire.stored(), before)
})

t.test('a right token is taken in any case of the scheme and of its ids', async (t) => {
  const upper = {
    sub: alice.id.toHexString().toUpperCase(),
    deviceId: alice.deviceId.toHexString().toUpperCase(),
  }

  const answers = await outcomes({
    bearer: withHeader(`bearer ${valid}`),
    BEARER: withHeader(`BEARER ${valid}`),
    'two spaces': withHeader(`Bearer  ${valid}`),
    'upper case ids': withClaims(upper),
    'issued in the future': withClaims({ iat: secondsFromNow(3600) }),
    'a fraction of a second': withClaims({ exp: secondsFromNow(60) + 0.5 }),
    'an issuer that nobody asked for': withClaims({ iss: 'anybody', aud: 'anything' }),
  })

  t.same(answers, each(answers, '200 OK'))
  t.equal((await alice.sentTo(bob)).length, 7)
})
