import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { eventually } from '../support/eventually.ts'
import type { Answer } from '../support/people.ts'
import { type Service, startService } from '../support/service.ts'
import {
  type Algorithm,
  claimsOf,
  hmac,
  jws,
  type KeyPair,
  keyPair,
  secondsFromNow,
} from '../support/tokens.ts'
import { createWire, each, outcomes, type Wire } from '../support/wire.ts'

const first = await startService(t)
const { mongodbUri } = first
const alice = await first.person()
const claims = claimsOf(alice)

/** To herself: what is past the token is told by it, and nothing is stored. */
const accepted = '400 MESSAGE_TO_SELF'
const sends = (wire: Wire, token: string): Promise<Answer> =>
  wire.post(
    alice,
    alice.id.toHexString(),
    { content: 'hi', type: 'text' },
    { authorization: `Bearer ${token}` },
  )

async function publicKeyOutcomes(t: Test, algorithm: Algorithm): Promise<Record<string, string>> {
  const key = keyPair(algorithm)
  // As environment files have it: with `\n` for the ends of lines.
  const env = { JWT_SECRET: '', JWT_PUBLIC_KEY: key.pem.replaceAll('\n', '\\n') }
  const wire = createWire(t, await startService(t, { env, mongodbUri }))
  const right = jws({ alg: algorithm }, claims, key.signer)

  return await outcomes({
    right: sends(wire, right),
    'right, again from the cache': sends(wire, right).then(() => sends(wire, right)),
    expired: sends(wire, jws({ alg: algorithm }, { ...claims, exp: 0 }, key.signer)),
    'the public key as HS256 secret': sends(wire, jws({ alg: 'HS256' }, claims, hmac(key.pem))),
    'the same without its last line end': sends(wire, jws({ alg: 'HS256' }, claims, hmac(key.pem.trim()))),
    "another's key": sends(wire, jws({ alg: algorithm }, claims, keyPair(algorithm).signer)),
    none: sends(
      wire,
      jws({ alg: 'none' }, claims, () => Buffer.alloc(0)),
    ),
    'no signature': sends(
      wire,
      jws({ alg: algorithm }, claims, () => Buffer.alloc(0)),
    ),
    'no sub': sends(wire, jws({ alg: algorithm }, { ...claims, sub: undefined }, key.signer)),
    'not yet valid': sends(wire, jws({ alg: algorithm }, { ...claims, nbf: secondsFromNow(60) }, key.signer)),
  })
}

const rightOnly = { right: accepted, 'right, again from the cache': accepted, expired: '401 TOKEN_EXPIRED' }

t.test('a public RSA key takes RS256 and nothing else', async (t) => {
  const answers = await publicKeyOutcomes(t, 'RS256')

  t.same(answers, each(answers, '401 TOKEN_INVALID', rightOnly))
})

t.test('a public P-256 key takes ES256 and nothing else', async (t) => {
  const answers = await publicKeyOutcomes(t, 'ES256')

  t.same(answers, each(answers, '401 TOKEN_INVALID', rightOnly))
})

t.test('a public Ed25519 key takes EdDSA and nothing else', async (t) => {
  const answers = await publicKeyOutcomes(t, 'EdDSA')

  t.same(answers, each(answers, '401 TOKEN_INVALID', rightOnly))
})

/** An address of keys that answers as it is told to, and counts who looks. */
interface KeyAddress {
  url: string
  looks: number
  answers(response: ServerResponse): void
  has(...keys: { kid: string; key: KeyPair }[]): void
}

async function keyAddress(t: Test): Promise<KeyAddress> {
  const server = createServer((_request, response) => {
    address.looks += 1
    address.answers(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  const address: KeyAddress = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    looks: 0,
    answers: (response) => response.end('{"keys":[]}'),
    has(...keys) {
      const jwks = keys.map(({ kid, key }) => ({ ...key.publicKey.export({ format: 'jwk' }), kid }))
      address.answers = (response) => response.end(JSON.stringify({ keys: jwks }))
    },
  }
  return address
}

async function wireFor(t: Test, { url }: KeyAddress): Promise<Wire & { service: Service }> {
  const service = await startService(t, { env: { JWT_SECRET: '', JWT_JWKS_URL: url }, mongodbUri })
  return { service, ...createWire(t, service) }
}

const tokenOf = (kid: string, key: KeyPair, alg: string = key.algorithm): string =>
  jws({ alg, kid }, claims, key.signer)

/** The clock that looks are spaced by: ahead of the real one by what it was moved. */
function movableClock(t: Test): { move(ms: number): void } {
  const real = performance.now.bind(performance)
  let ahead = 0
  t.intercept(performance, 'now', { value: () => real() + ahead, configurable: true, writable: true })
  return {
    move(ms) {
      ahead += ms
    },
  }
}

t.test('each key at the address takes its own algorithm and nothing else', async (t) => {
  const [rsa, ec, ed] = [keyPair('RS256'), keyPair('ES256'), keyPair('EdDSA')]
  const address = await keyAddress(t)
  address.has({ kid: 'rsa', key: rsa }, { kid: 'ec', key: ec }, { kid: 'ed', key: ed })
  const wire = await wireFor(t, address)

  const answers = await outcomes({
    RS256: sends(wire, tokenOf('rsa', rsa)),
    ES256: sends(wire, tokenOf('ec', ec)),
    EdDSA: sends(wire, tokenOf('ed', ed)),
    'the only RSA key, without a kid': sends(wire, jws({ alg: 'RS256' }, claims, rsa.signer)),
    'RS256 by the key for EdDSA': sends(wire, tokenOf('ed', rsa)),
    'ES256 by the RSA key': sends(wire, tokenOf('rsa', ec)),
    PS256: sends(wire, tokenOf('rsa', rsa, 'PS256')),
    RS512: sends(wire, tokenOf('rsa', rsa, 'RS512')),
    'HS256 by the public key': sends(wire, jws({ alg: 'HS256', kid: 'rsa' }, claims, hmac(rsa.pem))),
    none: sends(
      wire,
      jws({ alg: 'none', kid: 'rsa' }, claims, () => Buffer.alloc(0)),
    ),
    'no alg': sends(wire, jws({ kid: 'rsa' }, claims, rsa.signer)),
    'a kid of another type': sends(wire, jws({ alg: 'RS256', kid: {} }, claims, rsa.signer)),
    "another's key": sends(wire, tokenOf('rsa', keyPair('RS256'))),
    expired: sends(wire, jws({ alg: 'RS256', kid: 'rsa' }, { ...claims, exp: 0 }, rsa.signer)),
    'no token': sends(wire, ''),
    'two parts': sends(wire, 'a.b'),
  })

  const others = {
    RS256: accepted,
    ES256: accepted,
    EdDSA: accepted,
    'the only RSA key, without a kid': accepted,
    expired: '401 TOKEN_EXPIRED',
    'no token': '401 TOKEN_MISSING',
  }
  t.same(answers, each(answers, '401 TOKEN_INVALID', others))
})

t.test('a new key is found at once, and a removed one is refused from then on', async (t) => {
  const [old, young] = [keyPair('RS256'), keyPair('RS256')]
  const address = await keyAddress(t)
  address.has({ kid: 'old', key: old })
  const wire = await wireFor(t, address)
  const before = await sends(wire, tokenOf('old', old))
  address.has({ kid: 'young', key: young })

  const rotated = await sends(wire, tokenOf('young', young))

  const removed = await sends(wire, tokenOf('old', old))
  t.same([before.code, rotated.code, removed.code], ['MESSAGE_TO_SELF', 'MESSAGE_TO_SELF', 'TOKEN_INVALID'])
  t.equal(address.looks, 2)
})

t.test('made-up kids cost the address one look in 30 s', async (t) => {
  const clock = movableClock(t)
  const key = keyPair('EdDSA')
  const address = await keyAddress(t)
  address.has({ kid: 'real', key })
  const wire = await wireFor(t, address)
  await sends(wire, tokenOf('real', key))
  const flood = (): Promise<Answer[]> =>
    Promise.all(Array.from({ length: 20 }, (_, index) => sends(wire, tokenOf(`made-up ${index}`, key))))

  const answers = await flood()
  clock.move(29_000)
  await flood()
  const looksWithin30s = address.looks
  clock.move(2_000)
  await flood()

  t.ok(answers.every(({ code }) => code === 'TOKEN_INVALID'))
  t.equal(looksWithin30s, 2, 'the first for the first token, the second for the unknown ones')
  t.equal(address.looks, 3)
})

t.test('with an address out of order, keys that are known stay good', async (t) => {
  const key = keyPair('ES256')
  const address = await keyAddress(t)
  address.has({ kid: 'known', key })
  const wire = await wireFor(t, address)
  await sends(wire, tokenOf('known', key))
  address.answers = (response) => response.writeHead(500).end()

  const known = await sends(wire, tokenOf('known', key))
  const unknown = await sends(wire, tokenOf('unknown', key))

  t.equal(known.code, 'MESSAGE_TO_SELF')
  t.equal(unknown.code, 'TOKEN_KEYS_UNAVAILABLE')
})

t.test('with an address out of order, made-up tokens cost it a look in half a minute', async (t) => {
  const clock = movableClock(t)
  const key = keyPair('ES256')
  const address = await keyAddress(t)
  address.has({ kid: 'known', key })
  const wire = await wireFor(t, address)
  await sends(wire, tokenOf('known', key))
  address.answers = (response) => response.writeHead(500).end()
  const looks = address.looks

  const unsigned = await sends(
    wire,
    jws({ alg: 'none', kid: 'known' }, claims, () => Buffer.alloc(0)),
  )
  const another = await sends(wire, jws({ alg: 'HS256', kid: 'made-up' }, claims, hmac('x')))
  const looksForAlgorithms = address.looks
  const codes = []
  for (const kid of ['one', 'two', 'three']) {
    codes.push((await sends(wire, tokenOf(kid, key))).code)
    clock.move(5_000)
  }

  t.same([unsigned.code, another.code], ['TOKEN_INVALID', 'TOKEN_INVALID'])
  t.equal(looksForAlgorithms, looks)
  t.same(codes, ['TOKEN_KEYS_UNAVAILABLE', 'TOKEN_KEYS_UNAVAILABLE', 'TOKEN_KEYS_UNAVAILABLE'])
  t.equal(address.looks, looks + 1)
})

t.test('without keys the answer is 503, one look a second, until the address is mended', async (t) => {
  const clock = movableClock(t)
  const key = keyPair('ES256')
  const address = await keyAddress(t)
  address.answers = (response) => response.writeHead(500).end('{"keys":[]}')
  const wire = await wireFor(t, address)

  const start = performance.now()
  const broken = await sends(wire, tokenOf('kid', key))
  await Promise.all(Array.from({ length: 20 }, () => sends(wire, tokenOf('kid', key))))
  const looksWhileBroken = address.looks
  const secondsWhileBroken = (performance.now() - start) / 1000
  address.has({ kid: 'kid', key })
  clock.move(1_000)
  const mended = await sends(wire, tokenOf('kid', key))

  t.equal(broken.status, 503)
  t.equal(broken.code, 'TOKEN_KEYS_UNAVAILABLE')
  t.equal(broken.headers.get('retry-after'), '1')
  t.ok(looksWhileBroken >= 1 && looksWhileBroken <= 1 + secondsWhileBroken)
  t.equal(mended.code, 'MESSAGE_TO_SELF')
  t.match(wire.service.logs.join(''), 'token keys could not be fetched')
})

t.test(
  'the address is looked at when the service starts, and what is wrong with it is in the log',
  async (t) => {
    const address = await keyAddress(t)
    address.answers = (response) => response.writeHead(500).end()
    const { service } = await wireFor(t, address)
    const warnings = () => service.logs.filter((line) => line.includes('token keys could not be fetched'))
    await eventually(() => warnings().length > 0)

    t.match(warnings().join(), '"err":{"name":"Error"')
  },
)

t.test('an address that hangs, or answers with something else than keys, is out of order', async (t) => {
  const key = keyPair('ES256')
  const answers: ((response: ServerResponse) => void)[] = [
    () => {},
    (response) => response.write('{"keys":['),
    (response) => response.end('{"keys":'),
    (response) => response.end('{"keys":{}}'),
    (response) => response.end('null'),
    (response) => response.writeHead(404).end('{"keys":[]}'),
    (response) => response.writeHead(302, { location: '/keys' }).end(),
    (response) => response.destroy(),
  ]
  const wires = await Promise.all(
    answers.map(async (answer) => {
      const address = await keyAddress(t)
      address.answers = answer
      return await wireFor(t, address)
    }),
  )

  const refused = await Promise.all(wires.map((wire) => sends(wire, tokenOf('kid', key))))

  t.same(new Set(refused.map(({ code }) => code)), new Set(['TOKEN_KEYS_UNAVAILABLE']))
})

t.test('an address that points to other keys does not choose whose tokens count', async (t) => {
  const key = keyPair('ES256')
  const other = await keyAddress(t)
  other.has({ kid: 'other', key })
  const address = await keyAddress(t)
  address.answers = (response) => response.writeHead(302, { location: other.url }).end()
  const wire = await wireFor(t, address)

  const answer = await sends(wire, tokenOf('other', key))

  t.equal(answer.code, 'TOKEN_KEYS_UNAVAILABLE')
  t.equal(other.looks, 0)
})
