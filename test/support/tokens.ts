import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { Person } from './people.ts'

export type Algorithm = 'RS256' | 'ES256' | 'EdDSA'
export type Signer = (input: string) => Buffer

export interface KeyPair {
  algorithm: Algorithm
  privateKey: KeyObject
  publicKey: KeyObject
  pem: string
  signer: Signer
}

/** A token in the compact serialisation, however wrong its parts are; a string is taken as the part's own text. */
export function jws(header: unknown, claims: unknown, signer: Signer): string {
  const input = `${encoded(header)}.${encoded(claims)}`
  return `${input}.${signer(input).toString('base64url')}`
}

export function hmac(secret: string, hash = 'sha256'): Signer {
  return (input) => createHmac(hash, secret).update(input).digest()
}

export function keyPair(algorithm: Algorithm): KeyPair {
  const { publicKey, privateKey } = generate(algorithm)
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  return { algorithm, publicKey, privateKey, pem, signer: signerOf(algorithm, privateKey) }
}

/** What a token of this person says, good for an hour. */
export function claimsOf({ id, deviceId }: Pick<Person, 'id' | 'deviceId'>): Record<string, unknown> {
  return { sub: id.toHexString(), deviceId: deviceId.toHexString(), exp: secondsFromNow(3600) }
}

export function secondsFromNow(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds
}

function encoded(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}

function generate(algorithm: Algorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return generateKeyPairSync('ed25519')
}

function signerOf(algorithm: Algorithm, privateKey: KeyObject): Signer {
  if (algorithm === 'EdDSA') return (input) => sign(null, Buffer.from(input), privateKey)
  return (input) => sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
}
