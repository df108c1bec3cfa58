import { isIP } from 'node:net'
import { MongoClient } from 'mongodb'
import { attempt, decoded, type Environment, type Fail, isHttpUrl } from './environment.ts'
import { type TokenKeys, tokenKeys } from './token-config.ts'
import { type TracingConfig, tracing } from './tracing-config.ts'

export type { TokenKeys, TracingConfig }

export interface Config {
  http: { host: string; port: number; trustProxy: boolean | number | string }
  mongodb: { uri: string; databaseName: string }
  cloudinary: { cloudName: string; apiKey: string; apiSecret: string; uploadPrefix: string }
  token: { keys: TokenKeys; issuer?: string; audience?: string }
  rateLimit: { max: number; windowMs: number }
  log: { level: string }
  tracing?: TracingConfig
}

/** Every wrong variable at once, by name and without its value: values can be secrets. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  constructor(readonly faults: readonly string[]) {
    super(`configuration is not valid: ${faults.join('; ')}`)
  }
}

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

/** Reads the environment once. An empty variable counts as unset. Throws `ConfigError`. */
export function loadConfig(environment: Environment): Config {
  const faults: string[] = []
  const fail: Fail = (fault) => void faults.push(fault)
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))

  const config: Config = {
    http: {
      // Loopback: what is reachable from elsewhere is the operator's decision.
      host: host(env.HOST ?? '127.0.0.1', fail),
      port: integer(env, 'PORT', 3000, { min: 0, max: 65_535 }, fail),
      trustProxy: trustProxy(env.TRUST_PROXY, fail),
    },
    mongodb: mongodb(env.MONGODB_URI, fail),
    cloudinary: cloudinary(env.CLOUDINARY_URL, fail),
    token: {
      keys: tokenKeys(env, fail),
      ...(env.JWT_ISSUER === undefined ? {} : { issuer: env.JWT_ISSUER }),
      ...(env.JWT_AUDIENCE === undefined ? {} : { audience: env.JWT_AUDIENCE }),
    },
    rateLimit: {
      // 10 a second for a minute: far above any person, far below a runaway client.
      max: integer(env, 'RATE_LIMIT_MAX', 600, { min: 0, max: 1_000_000_000 }, fail),
      // A day at most: counts live in memory and are gone with the instance.
      windowMs: integer(env, 'RATE_LIMIT_WINDOW_MS', 60_000, { min: 1, max: 86_400_000 }, fail),
    },
    log: { level: logLevel(env.LOG_LEVEL ?? 'info', fail) },
    ...tracing(env, fail),
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return freeze(config)
}

/** What can be told without a look at the network; whether it is this machine's is seen when it listens. */
function host(name: string, fail: Fail): string {
  if (isIP(name) === 0 && !/^\w[\w-]*(\.\w[\w-]*)*\.?$/.test(name))
    fail('HOST must be an address or a host name')
  return name
}

function integer(
  env: Environment,
  name: string,
  fallback: number,
  { min, max }: { min: number; max: number },
  fail: Fail,
): number {
  const text = env[name]
  if (text === undefined) return fallback
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max)) fail(`${name} must be a whole number from ${min} to ${max}`)
  return value
}

function logLevel(level: string, fail: Fail): string {
  if (!logLevels.includes(level)) fail(`LOG_LEVEL must be one of ${logLevels.join(', ')}`)
  return level
}

function trustProxy(text: string | undefined, fail: Fail): boolean | number | string {
  if (text === undefined || text === 'false' || text === 'true') return text === 'true'
  if (/^\d{1,3}$/.test(text)) return Number(text)
  const names = ['loopback', 'linklocal', 'uniquelocal']
  const known = (part: string) => names.includes(part) || isSubnet(part)
  if (!text.split(',').every((part) => known(part.trim()))) {
    fail('TRUST_PROXY must be true, false, a number of hops, or addresses and subnets with commas between')
  }
  return text
}

function isSubnet(text: string): boolean {
  const [address = '', range, ...rest] = text.split('/')
  const family = isIP(address)
  // Fastify's parser throws on a zone of more than letters and digits, and on /0 (`true` says the same).
  if (family === 0 || rest.length > 0 || /%.*[^\da-z]/i.test(address)) return false
  const isLength = (bits: string) => /^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)
  return range === undefined || isLength(range) || (family === 4 && isNetmask(range))
}

function isNetmask(text: string): boolean {
  const bits = text.split('.').map((byte) => Number(byte).toString(2).padStart(8, '0'))
  return isIP(text) === 4 && /^1+0*$/.test(bits.join(''))
}

function mongodb(uri: string | undefined, fail: Fail): Config['mongodb'] {
  // The hosts, after any credentials, then the path: the database's name, which must not have what MongoDB forbids.
  const match = /^mongodb(?:\+srv)?:\/\/(?:[^@/]*@)?[^@/?]+\/([^/?]+)(?:\?.*)?$/.exec(uri ?? '')
  const databaseName = decoded(match?.[1] ?? '')
  if (uri === undefined) fail('MONGODB_URI is required')
  else if (!match) fail('MONGODB_URI must be mongodb://host/database or mongodb+srv://host/database')
  else if (databaseName === '' || databaseName.length > 63 || /[/\\. "$*<>:|?\0]/.test(databaseName)) {
    fail('MONGODB_URI must name a database that MongoDB accepts in its path')
  } else if (!attempt(() => new MongoClient(uri))) fail('MONGODB_URI has options that the driver refuses')
  return { uri: uri ?? '', databaseName }
}

function cloudinary(text: string | undefined, fail: Fail): Config['cloudinary'] {
  const url = text !== undefined && URL.canParse(text) ? new URL(text) : undefined
  const [apiKey, apiSecret] = [decoded(url?.username ?? ''), decoded(url?.password ?? '')]
  const uploadPrefix = url?.searchParams.get('upload_prefix') ?? 'https://api.cloudinary.com'
  if (text === undefined) fail('CLOUDINARY_URL is required')
  else if (url?.protocol !== 'cloudinary:' || !url.hostname || !apiKey || !apiSecret) {
    fail('CLOUDINARY_URL must be cloudinary://key:secret@cloud')
  } else if (!/^https?:\/\//.test(uploadPrefix) || !isHttpUrl(uploadPrefix)) {
    // By its text, too: the SDK compares it with `http:`, in the environment itself, where nothing can be mended.
    fail('CLOUDINARY_URL must have an address that begins with http:// or https:// as upload_prefix')
  }
  return {
    cloudName: url?.hostname ?? '',
    apiKey,
    apiSecret,
    uploadPrefix: uploadPrefix.replace(/\/+$/, ''),
  }
}

function freeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) if (typeof child === 'object' && child !== null) freeze(child)
  return Object.freeze(value)
}
