import { ConfigError } from '../../config.ts'
import { DatabaseNotUsable } from '../../plugins/mongodb.ts'
import { MongodNotFound } from '../mongod.ts'

/** One sentence for whoever started the demo; a stack would hide it. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure'
}

export function sentenceOf(error: unknown): string {
  const known = [DemoFailure, ConfigError, DatabaseNotUsable, MongodNotFound]
  if (known.some((kind) => error instanceof kind)) return messageOf(error)
  return listenFailure(error) ?? `The demo failed: ${messageOf(error)}`
}

/** What listening fails with, said in the words of the variables that mend it. */
export function listenFailure(error: unknown): string | undefined {
  const { code, port } = error as { code?: unknown; port?: unknown }
  if (code === 'EADDRINUSE') return `PORT ${port} is in use: set another one, or 0 for any that is free.`
  if (code === 'EACCES') return `PORT ${port} may not be used by this user: set one from 1024 on.`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'HOST is no address of this machine.'
  return undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
