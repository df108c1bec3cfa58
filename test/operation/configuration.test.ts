import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import fastify from 'fastify'
import t from 'tap'
import { ConfigError, loadConfig } from '../../src/config.ts'

const secret = 'a secret of the tests that has over 32 bytes'
const required = {
  MONGODB_URI: 'mongodb://127.0.0.1:27017/messages',
  CLOUDINARY_URL: 'cloudinary://key:shh@cloud',
  JWT_SECRET: secret,
}
const { JWT_SECRET: _, ...withoutKeys } = required

/** Every fault of the environment, or none. */
function faultsOf(environment: Record<string, string | undefined>): readonly string[] {
  try {
    loadConfig(environment)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

/** Those of the values that are taken; the others are refused for the variable's sake alone. */
function takenOf(
  name: string,
  values: readonly string[],
  others: Record<string, string> = required,
): string[] {
  return values.filter((value) => {
    const faults = faultsOf({ ...others, [name]: value })
    assert(faults.every((fault) => fault.startsWith(name)))
    return faults.length === 0
  })
}

function isTakenByFastify(trustProxy: string): boolean {
  try {
    return Boolean(fastify({ trustProxy }))
  } catch {
    return false
  }
}

function publicPem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString()
}

t.test('three variables are enough, and the rest has defaults', async (t) => {
  t.strictSame(loadConfig(required), {
    http: { host: '127.0.0.1', port: 3000, trustProxy: false },
    mongodb: { uri: required.MONGODB_URI, databaseName: 'messages' },
    cloudinary: {
      cloudName: 'cloud',
      apiKey: 'key',
      apiSecret: 'shh',
      uploadPrefix: 'https://api.cloudinary.com',
    },
    token: { keys: { kind: 'secret', secret } },
    rateLimit: { max: 600, windowMs: 60_000 },
    log: { level: 'info' },
  })
})

t.test('every variable has its place', async (t) => {
  const config = loadConfig({
    ...required,
    HOST: '0.0.0.0',
    PORT: '0',
    JWT_ISSUER: 'https://issuer.example',
    JWT_AUDIENCE: 'messages',
    RATE_LIMIT_MAX: '0',
    RATE_LIMIT_WINDOW_MS: '1000',
    TRUST_PROXY: 'loopback',
    LOG_LEVEL: 'silent',
  })
  t.match(config, {
    http: { host: '0.0.0.0', port: 0, trustProxy: 'loopback' },
    token: { issuer: 'https://issuer.example', audience: 'messages' },
    rateLimit: { max: 0, windowMs: 1000 },
    log: { level: 'silent' },
  })
})

t.test('the configuration cannot be changed, at any depth', async (t) => {
  const config = loadConfig(required)
  t.throws(() => Object.assign(config.http, { port: 1 }), TypeError)
  t.throws(() => Object.assign(config.token.keys, { secret: '' }), TypeError)
})

t.test('an empty variable counts as unset', async (t) => {
  t.equal(loadConfig({ ...required, PORT: '', JWT_PUBLIC_KEY: '', TRUST_PROXY: '' }).http.port, 3000)
  t.strictSame(faultsOf({ ...required, MONGODB_URI: '' }), ['MONGODB_URI is required'])
})

t.test('an empty environment names all that is required', async (t) => {
  t.strictSame(faultsOf({}), [
    'MONGODB_URI is required',
    'CLOUDINARY_URL is required',
    'one of JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL is required',
  ])
})

t.test('every bad variable is named at once, and no value is shown', async (t) => {
  const bad = {
    HOST: 'bad-value-0!',
    PORT: 'bad-value-1',
    MONGODB_URI: 'http://user:bad-value-2@host/db',
    CLOUDINARY_URL: 'https://key:bad-value-3@cloud',
    JWT_SECRET: 'bad-value-4',
    JWT_PUBLIC_KEY: 'bad-value-5',
    JWT_JWKS_URL: 'bad-value-6',
    RATE_LIMIT_MAX: 'bad-value-7',
    RATE_LIMIT_WINDOW_MS: 'bad-value-8',
    TRUST_PROXY: 'bad-value-9',
    LOG_LEVEL: 'bad-value-10',
  }
  const error = t.throws(() => loadConfig(bad)) as unknown as ConfigError
  t.strictSame(
    Object.keys(bad).filter((name) => !error.message.includes(name)),
    [],
  )
  t.notMatch(error.message, 'bad-value')
  t.equal(error.message, `configuration is not valid: ${error.faults.join('; ')}`)
})

t.test('a host is an address or a name', async (t) => {
  const good = ['0.0.0.0', '::', 'fe80::1%eth0', 'localhost', 'node_1.a-b.example.']
  const bad = ['a b', '[::1]', 'a..b', '-', 'a:1', '/x', '*']
  t.strictSame(takenOf('HOST', [...good, ...bad]), good)
})

t.test('a number is a whole one within its bounds', async (t) => {
  t.strictSame(takenOf('PORT', ['0', '65535', '-1', '65536', '3000.5', '0x10', ' 1', '1e3']), ['0', '65535'])
  t.strictSame(takenOf('RATE_LIMIT_MAX', ['0', '1000000000', '-1', '1000000001']), ['0', '1000000000'])
  t.strictSame(takenOf('RATE_LIMIT_WINDOW_MS', ['1', '86400000', '0', '86400001']), ['1', '86400000'])
  t.strictSame(faultsOf({ ...required, PORT: 'x' }), ['PORT must be a whole number from 0 to 65535'])
})

t.test('a log level is one of pino', async (t) => {
  const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
  t.strictSame(takenOf('LOG_LEVEL', [...levels, 'INFO', 'all', 'constructor']), levels)
})

t.test('TRUST_PROXY takes what Fastify takes', async (t) => {
  const trustOf = (TRUST_PROXY: string) => loadConfig({ ...required, TRUST_PROXY }).http.trustProxy
  t.equal(trustOf('true'), true)
  t.equal(trustOf('false'), false)
  t.equal(trustOf('2'), 2)
  t.equal(trustOf('10.0.0.0/8, ::1'), '10.0.0.0/8, ::1')
})

t.test('TRUST_PROXY takes no name, address or subnet that there is not', async (t) => {
  const good = [
    'loopback',
    'linklocal,uniquelocal',
    '192.168.1.7',
    '10.0.0.0/32',
    'fd00::/128',
    '10.0.0.1,::1',
    '10.0.0.0/255.0.0.0',
    '10.1.2.3/255.255.255.255',
    '10.0.0.0/255.254.0.0, ::1',
  ]
  const bad = [
    'yes',
    '10.0.0.0/33',
    '10.0.0.0/0',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fd00::/129',
    '10.0.0.1,',
    '-1',
    '10.0.0.0/0.0.0.0',
    '10.0.0.0/255.0.255.0',
    '10.0.0.0/0.255.255.255',
    'fd00::/255.0.0.0',
    '10.0.0.0/ffff::',
    'fe80::1%eth-0',
  ]
  t.strictSame(takenOf('TRUST_PROXY', [...good, ...bad]), good)
  t.strictSame([...good, ...bad].filter(isTakenByFastify), good)
})

t.test('two sources of token keys are both named', async (t) => {
  const jwks = 'https://issuer.example/jwks.json'
  t.strictSame(faultsOf({ ...required, JWT_JWKS_URL: jwks }), [
    'only one of JWT_SECRET and JWT_JWKS_URL may be set',
  ])
})

t.test('a secret has at least 32 bytes, counted in UTF-8', async (t) => {
  t.strictSame(faultsOf({ ...required, JWT_SECRET: 'x'.repeat(31) }), [
    'JWT_SECRET must have at least 32 bytes',
  ])
  t.strictSame(faultsOf({ ...required, JWT_SECRET: 'x'.repeat(32) }), [])
  t.strictSame(faultsOf({ ...required, JWT_SECRET: 'ü'.repeat(16) }), [])
})

t.test('a secret that anybody may know is refused', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = publicPem(publicKey)
  const jwk = publicKey.export({ format: 'jwk' })
  const edwards = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const bad = [
    pem,
    pem.replaceAll('\n', '\\n'),
    ` "${pem}"`,
    publicKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    `-----BEGIN CERTIFICATE-----\n${'A'.repeat(64)}\n-----END CERTIFICATE-----`,
    ...[jwk, edwards, [jwk], { keys: [jwk, edwards] }].map((each) => JSON.stringify(each)),
    JSON.stringify(jwk, undefined, 2).replaceAll('"', '\\"'),
  ]
  const secrets = [
    privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    `-----BEGIN SECRET-----\n${'A'.repeat(32)}`,
    JSON.stringify(privateKey.export({ format: 'jwk' })),
    JSON.stringify({ kty: 'oct', k: 'A'.repeat(43) }),
    '{ no JSON, and yet of more than 32 bytes',
  ]
  t.strictSame(takenOf('JWT_SECRET', [...bad, ...secrets]), secrets)
  t.strictSame(faultsOf({ ...required, JWT_SECRET: pem }), [
    'JWT_SECRET must be secret: a public key belongs into JWT_PUBLIC_KEY, or behind JWT_JWKS_URL',
  ])
})

t.test('a JWKS address is http or https, and has no password', async (t) => {
  const url = 'http://127.0.0.1:8080/jwks.json'
  const bad = ['jwks.json', 'file:///jwks.json', 'https://user:shh@issuer.example/']
  t.strictSame(loadConfig({ ...withoutKeys, JWT_JWKS_URL: url }).token.keys, { kind: 'jwks', url })
  t.strictSame(takenOf('JWT_JWKS_URL', [...bad, 'http://:shh@issuer.example/'], withoutKeys), [])
})

t.test('a public key decides the algorithm, with real line ends or with \\n', async (t) => {
  const keysOf = (JWT_PUBLIC_KEY: string) => loadConfig({ ...withoutKeys, JWT_PUBLIC_KEY }).token.keys
  const rsa = publicPem(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey)
  const ec = publicPem(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey)
  const edwards = publicPem(generateKeyPairSync('ed25519').publicKey)

  t.strictSame(keysOf(rsa), { kind: 'public-key', pem: rsa, algorithm: 'RS256' })
  t.strictSame(keysOf(ec), { kind: 'public-key', pem: ec, algorithm: 'ES256' })
  t.strictSame(keysOf(edwards), { kind: 'public-key', pem: edwards, algorithm: 'EdDSA' })
  t.strictSame(keysOf(rsa.replaceAll('\n', '\\n')), keysOf(rsa))
})

t.test('an RSA key in PKCS #1 is taken, too', async (t) => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = publicKey.export({ type: 'pkcs1', format: 'pem' }).toString()
  t.match(loadConfig({ ...withoutKeys, JWT_PUBLIC_KEY: pem }).token.keys, {
    algorithm: 'RS256',
    pem: publicPem(publicKey),
  })
})

t.test('a private, weak or unknown key is refused', async (t) => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  const curve = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).publicKey
  const privateKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  const bad = [publicPem(weak), publicPem(curve), privateKey.toString(), 'no key']
  t.strictSame(takenOf('JWT_PUBLIC_KEY', bad, withoutKeys), [])
})

t.test('CLOUDINARY_URL takes another base address, and a secret that is percent-encoded', async (t) => {
  const url = 'cloudinary://k%40y:s%2Fhh@cloud?upload_prefix=http://127.0.0.1:8080/'
  t.strictSame(loadConfig({ ...required, CLOUDINARY_URL: url }).cloudinary, {
    cloudName: 'cloud',
    apiKey: 'k@y',
    apiSecret: 's/hh',
    uploadPrefix: 'http://127.0.0.1:8080',
  })
})

t.test('a CLOUDINARY_URL that lacks a part is refused', async (t) => {
  const bad = [
    'cloudinary://cloud',
    'cloudinary://key@cloud',
    'cloudinary://key:shh@',
    'key:shh@cloud',
    'cloud',
  ]
  t.strictSame(takenOf('CLOUDINARY_URL', bad), [])
  t.strictSame(takenOf('CLOUDINARY_URL', ['cloudinary://key:shh@cloud?upload_prefix=ftp://host']), [])
})

t.test('a CLOUDINARY_URL whose key or secret cannot be decoded is refused', async (t) => {
  const bad = ['cloudinary://key:s%zz@cloud', 'cloudinary://k%zz:shh@cloud', 'cloudinary://key:%ff@cloud']
  t.strictSame(takenOf('CLOUDINARY_URL', bad), [])
  t.strictSame(faultsOf({ ...required, CLOUDINARY_URL: 'cloudinary://key:s%zz@cloud' }), [
    'CLOUDINARY_URL must be cloudinary://key:secret@cloud',
  ])
})

t.test('an upload_prefix is written as the SDK tells http from https', async (t) => {
  const bad = ['HTTP://host', 'Https://host', '%20http://host', '+http://host', 'http:host', 'https:/host']
  const urls = bad.map((prefix) => `cloudinary://key:shh@cloud?upload_prefix=${prefix}`)
  t.strictSame(takenOf('CLOUDINARY_URL', urls), [])
})

t.test('MONGODB_URI takes every form of the address', async (t) => {
  const databaseOf = (MONGODB_URI: string) => loadConfig({ ...required, MONGODB_URI }).mongodb.databaseName
  t.equal(databaseOf('mongodb://a:27017,b:27017,[::1]:27018/chat?replicaSet=rs'), 'chat')
  t.equal(databaseOf('mongodb+srv://cluster.example/chat'), 'chat')
  t.equal(databaseOf('mongodb://user:p%40ss@host/chat?authSource=admin'), 'chat')
  t.equal(databaseOf('mongodb://host/caf%C3%A9'), 'café')
})

t.test('a MONGODB_URI without a usable database or options is refused', async (t) => {
  const bad = [
    'mongodb://host',
    'mongodb://host/',
    'mongodb://host/?replicaSet=rs',
    'mongodb:///chat',
    'host/chat',
  ]
  const names = ['a.b', 'a%2Fb', 'a%20b', 'a$b', '%', 'x'.repeat(64)].map((name) => `mongodb://host/${name}`)
  const options = ['madeUp=1', 'maxPoolSize=many', 'tls=perhaps'].map(
    (option) => `mongodb://host/db?${option}`,
  )
  t.strictSame(takenOf('MONGODB_URI', [...bad, ...names, ...options]), [])
  t.strictSame(faultsOf({ ...required, MONGODB_URI: 'mongodb://host/db?madeUp=1' }), [
    'MONGODB_URI has options that the driver refuses',
  ])
})
