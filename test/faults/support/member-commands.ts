import { MongoClient } from 'mongodb'
import { eventually } from '../../support/eventually.ts'

// An election takes 2 to 6 s here; a member that copies what it missed, on a busy machine, longer.
const patienceMs = 90_000
const answerTimeoutMs = 2_000

type Port = { readonly port: number }

/** The newest primary: one that was paused may still take itself for it. */
export async function roleOf<M extends Port>(all: readonly M[], role: 'primary' | 'secondary'): Promise<M> {
  let found: M | undefined
  await within(`a ${role}`, async () => {
    const hellos = await Promise.all(
      all.map(async (member) => ({
        member,
        hello: await askPort(member.port, { hello: 1 }).catch(() => undefined),
      })),
    )
    const is = role === 'primary' ? 'isWritablePrimary' : 'secondary'
    const ofRole = hellos.filter(({ hello }) => hello?.[is] === true)
    const newest = ofRole.sort((a, b) => (electionOf(a.hello) < electionOf(b.hello) ? 1 : -1))
    found = newest[0]?.member
    return found !== undefined
  })
  if (!found) throw new Error(`there is no ${role}`)
  return found
}

function electionOf(hello: Record<string, unknown> | undefined): string {
  return String(hello?.electionId ?? '')
}

/** As a member of its set, that is. */
export async function canAnswer(port: number): Promise<boolean> {
  const hello = await askPort(port, { hello: 1 }).catch(() => undefined)
  return hello?.isWritablePrimary === true || hello?.secondary === true
}

/** A command to that member, whoever is the primary. */
export async function askPort(
  port: number,
  command: Record<string, unknown>,
  timeoutMs: number = answerTimeoutMs,
): Promise<Record<string, unknown>> {
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: timeoutMs,
    connectTimeoutMS: timeoutMs,
    socketTimeoutMS: timeoutMs,
  })
  try {
    return await client.db('admin').command(command)
  } finally {
    await client.close()
  }
}

/** Waits for it; throws when it does not come. */
export async function within(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  await eventually(isSo, patienceMs, 50).catch((cause: unknown) => {
    throw new Error(`waited ${patienceMs / 1000} s in vain for ${what}`, { cause })
  })
}
