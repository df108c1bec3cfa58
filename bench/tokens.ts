import { createSigner, type SignerSync } from 'fast-jwt'
import { personAt } from './people.ts'

export type JwtKey = { algorithm: 'HS256' | 'EdDSA'; key: string }

const signers = new Map<string, typeof SignerSync>()
const tokens = new Map<string, string>()

/** A person's token, always the same one: as an app that is logged in has it. */
export function tokenOf(key: JwtKey, person: number): string {
  const name = `${key.algorithm} ${person}`
  let token = tokens.get(name)
  if (!token) {
    const { userId, deviceId } = personAt(person)
    const exp = Math.floor(Date.now() / 1000) + 24 * 3600
    token = signerOf(key)({ sub: userId, deviceId, exp })
    tokens.set(name, token)
  }
  return token
}

function signerOf({ algorithm, key }: JwtKey): typeof SignerSync {
  const signer = signers.get(key) ?? createSigner({ key, algorithm })
  signers.set(key, signer)
  return signer
}
