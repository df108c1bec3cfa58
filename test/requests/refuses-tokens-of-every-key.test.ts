import { constants, createHmac, type SigningOptions, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { Answer } from '../support/people.ts'
import { jwtSecret, startService } from '../support/service.ts'
import { claimsOf, hmac, jws, keyPair, type Signer, secondsFromNow } from '../support/tokens.ts'
import { createWire, each, json, outcomes } from '../support/wire.ts'

// What is asked of a token does not depend on where its key comes from: a secret, a public key, or an address of keys.

const first = await startService(t)
const { mongodbUri } = first
const alice = await first.person()
const key = keyPair('RS256')
const rightful = { iss: 'https://issuer.example', aud: 'messages', ...claimsOf(alice) }
const issued = { JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'messages' }

/** Past the token, a message to herself is refused: nothing is stored. */
const accepted = '400 MESSAGE_TO_SELF'

type Sends = (claims: unknown, header?: object, signer?: Signer) => Promise<Answer>

async function sender(
  t: Test,
  env: Record<string, string>,
  { alg, signer }: { alg: string; signer: Signer },
): Promise<Sends> {
  const wire = createWire(t, await startService(t, { env: { ...issued, ...env }, mongodbUri }))
  return (claims, header = {}, by = signer) => {
    const authorization = `Bearer ${jws({ alg, ...header }, claims, by)}`
    return wire.post(alice, alice.id.toHexString(), json, { authorization })
  }
}

async function claimOutcomes(sends: Sends): Promise<Record<string, string>> {
  const { sub, deviceId } = claimsOf(alice)
  const without = (name: string): object => ({ ...rightful, [name]: undefined })
  return await outcomes({
    right: sends(rightful),
    'one of several audiences': sends({ ...rightful, aud: ['x', 'messages'] }),
    'expired a second ago': sends({ ...rightful, exp: secondsFromNow(-1) }),
    'no exp': sends(without('exp')),
    'exp as text': sends({ ...rightful, exp: String(secondsFromNow(60)) }),
    'valid in a minute': sends({ ...rightful, nbf: secondsFromNow(60) }),
    'no sub': sends(without('sub')),
    'no deviceId': sends(without('deviceId')),
    'sub in an array': sends({ ...rightful, sub: [sub] }),
    'deviceId in an array': sends({ ...rightful, deviceId: [deviceId] }),
    'no id in sub': sends({ ...rightful, sub: 'alice' }),
    'no iss': sends(without('iss')),
    'another iss': sends({ ...rightful, iss: 'https://issuer.example/' }),
    'no aud': sends(without('aud')),
    'another aud': sends({ ...rightful, aud: 'messages2' }),
  })
}

const rightOnly = {
  right: accepted,
  'one of several audiences': accepted,
  'expired a second ago': '401 TOKEN_EXPIRED',
}

t.test('a token by a secret has every claim that is asked for', async (t) => {
  const sends = await sender(t, {}, { alg: 'HS256', signer: hmac(jwtSecret) })

  const answers = await claimOutcomes(sends)

  t.same(answers, each(answers, '401 TOKEN_INVALID', rightOnly))
})

/** What a secret may look like, and is not taken for. */
const keyLike = {
  'a private key': key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  'a private key of a curve': keyPair('ES256').privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
  'a private JWK': JSON.stringify(key.privateKey.export({ format: 'jwk' })),
  'a PEM of nothing': `-----BEGIN SECRET-----\n${'A'.repeat(32)}\n-----END SECRET-----\n`,
}

t.test('a secret that looks like a private key is the bytes that it is', async (t) => {
  const outcomesOf = async (secret: string): Promise<Record<string, string>> => {
    const sends = await sender(t, { JWT_SECRET: secret }, { alg: 'HS256', signer: hmac(secret) })
    return await outcomes({
      'its bytes': sends(rightful),
      'less its last byte': sends(rightful, {}, hmac(secret.slice(0, -1))),
      'as a key': sends(rightful, { alg: 'RS256' }, key.signer),
    })
  }

  const answers = await Promise.all(Object.values(keyLike).map(outcomesOf))

  const expected = {
    'its bytes': accepted,
    'less its last byte': '401 TOKEN_INVALID',
    'as a key': '401 TOKEN_INVALID',
  }
  t.same(
    answers,
    answers.map(() => expected),
  )
})

t.test('a token by a public key has every claim that is asked for', async (t) => {
  const env = { JWT_SECRET: '', JWT_PUBLIC_KEY: key.pem }
  const sends = await sender(t, env, { alg: 'RS256', signer: key.signer })

  const answers = await claimOutcomes(sends)

  t.same(answers, each(answers, '401 TOKEN_INVALID', rightOnly))
})

t.test('a token by a key at the address has every claim that is asked for', async (t) => {
  const env = { JWT_SECRET: '', JWT_JWKS_URL: await addressOfKeys(t) }
  const sends = await sender(t, env, { alg: 'RS256', signer: key.signer })

  const answers = await claimOutcomes(sends)

  t.same(answers, each(answers, '401 TOKEN_INVALID', rightOnly))
})

/** By the right key, in every way but the one that is configured. */
async function algorithmOutcomes(sends: Sends): Promise<Record<string, string>> {
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
  const by = (hash: string, options: SigningOptions = {}): Signer => {
    return (input) => sign(hash, Buffer.from(input), { key: key.privateKey, ...options })
  }
  return await outcomes({
    RS256: sends(rightful),
    RS384: sends(rightful, { alg: 'RS384' }, by('sha384')),
    RS512: sends(rightful, { alg: 'RS512' }, by('sha512')),
    PS256: sends(rightful, { alg: 'PS256' }, by('sha256', pss)),
    PS512: sends(rightful, { alg: 'PS512' }, by('sha512', pss)),
    'its PEM as a secret': sends(rightful, { alg: 'HS256' }, hmac(key.pem)),
    'its bytes as a secret': sends(rightful, { alg: 'HS256' }, (input) =>
      createHmac('sha256', key.publicKey.export({ type: 'spki', format: 'der' }))
        .update(input)
        .digest(),
    ),
  })
}

t.test('a public RSA key takes no other hash or padding', async (t) => {
  const env = { JWT_SECRET: '', JWT_PUBLIC_KEY: key.pem }

  const answers = await algorithmOutcomes(await sender(t, env, { alg: 'RS256', signer: key.signer }))

  t.same(answers, each(answers, '401 TOKEN_INVALID', { RS256: accepted }))
})

t.test('an RSA key at the address takes no other hash or padding', async (t) => {
  const env = { JWT_SECRET: '', JWT_JWKS_URL: await addressOfKeys(t) }

  const answers = await algorithmOutcomes(await sender(t, env, { alg: 'RS256', signer: key.signer }))

  t.same(answers, each(answers, '401 TOKEN_INVALID', { RS256: accepted }))
})

async function addressOfKeys(t: Test): Promise<string> {
  const keys = JSON.stringify({ keys: [key.publicKey.export({ format: 'jwk' })] })
  const server = createServer((_request, response) => response.end(keys))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
}
