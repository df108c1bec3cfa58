import { createPublicKey, type KeyObject } from 'node:crypto'
import { attempt, type Environment, type Fail, isHttpUrl } from './environment.ts'

/** Where the keys come from that tokens are checked with; the algorithms follow from it, never from the token. */
export type TokenKeys =
  | { kind: 'secret'; secret: string }
  | { kind: 'public-key'; pem: string; algorithm: TokenAlgorithm }
  | { kind: 'jwks'; url: string }

export type TokenAlgorithm = 'RS256' | 'ES256' | 'EdDSA'

/** Exactly one source of keys. Each that is given is looked at, so that one start names every fault. */
export function tokenKeys(env: Environment, fail: Fail): TokenKeys {
  const names = ['JWT_SECRET', 'JWT_PUBLIC_KEY', 'JWT_JWKS_URL']
  const given = names.filter((name) => env[name] !== undefined)
  if (given.length === 0) fail(`one of ${names.join(', ')} is required`)
  if (given.length > 1) fail(`only one of ${given.join(' and ')} may be set`)
  const secret = env.JWT_SECRET === undefined ? undefined : secretKey(env.JWT_SECRET, fail)
  const publicKey = env.JWT_PUBLIC_KEY === undefined ? undefined : pemKey(env.JWT_PUBLIC_KEY, fail)
  const jwks = env.JWT_JWKS_URL === undefined ? undefined : jwksKeys(env.JWT_JWKS_URL, fail)
  return secret ?? publicKey ?? jwks ?? { kind: 'secret', secret: '' }
}

function secretKey(secret: string, fail: Fail): TokenKeys {
  // RFC 7518, section 3.2: a key of the hash's own size or larger.
  if (Buffer.byteLength(secret) < 32) fail('JWT_SECRET must have at least 32 bytes')
  // The classic mix-up: anybody may have the public one, and could sign tokens. A private key is as secret as any text.
  const isPublicKey = /BEGIN [A-Z\d ]*(PUBLIC KEY|CERTIFICATE)/.test(secret)
  const isPublicJwk = /"kty\\?"\s*:\s*\\?"(RSA|EC|OKP)/.test(secret) && !/"d\\?"\s*:/.test(secret)
  if (isPublicKey || isPublicJwk) {
    fail('JWT_SECRET must be secret: a public key belongs into JWT_PUBLIC_KEY, or behind JWT_JWKS_URL')
  }
  return { kind: 'secret', secret }
}

function jwksKeys(url: string, fail: Fail): TokenKeys {
  // A password in it would be refused by `fetch`, at every look.
  if (!isHttpUrl(url) || new URL(url).username || new URL(url).password) {
    fail('JWT_JWKS_URL must be an http or https address, without a user and password')
  }
  return { kind: 'jwks', url }
}

function pemKey(text: string, fail: Fail): TokenKeys {
  const pem = text.replaceAll('\\n', '\n')
  const key = pem.includes('PRIVATE KEY') ? undefined : attempt(() => createPublicKey(pem))
  const algorithm = key && algorithmOf(key)
  if (!key || !algorithm) {
    fail('JWT_PUBLIC_KEY must be a public key in PEM: RSA of at least 2048 bits, EC P-256, or Ed25519')
    return { kind: 'public-key', pem: '', algorithm: 'RS256' }
  }
  return { kind: 'public-key', pem: key.export({ type: 'spki', format: 'pem' }).toString(), algorithm }
}

function algorithmOf(key: KeyObject): TokenAlgorithm | undefined {
  const details = key.asymmetricKeyDetails
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA'
  if (key.asymmetricKeyType === 'ec' && details?.namedCurve === 'prime256v1') return 'ES256'
  // RFC 7518, section 3.3: 2048 bits or larger.
  if (key.asymmetricKeyType === 'rsa' && (details?.modulusLength ?? 0) >= 2048) return 'RS256'
  return undefined
}
