import { KeyObject } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { createLocalJWKSet, type JSONWebKeySet, type JWSHeaderParameters } from 'jose'
import { TokenInvalid, TokenKeysUnavailable } from '../errors.ts'
import { monotonicMs } from '../lib/deadline.ts'
import { runEvery } from '../lib/run-every.ts'
import { within } from '../lib/within.ts'

/** The keys at a JWKS address (RFC 7517): selection and import are jose's, when to look again is decided here. */
export interface Jwks {
  /** The key for a token's header, as PEM. Throws `TokenInvalid` (no such key) or `TokenKeysUnavailable`. */
  pemFor(header: { alg?: unknown }): Promise<string>
  close(): Promise<void>
}

// A key that was taken away is refused after this at the latest, if the address answers; until it does, known keys stay good.
const refreshEveryMs = 5 * 60_000
// The contract's: a flood of made-up `kid`s costs the address one look.
const unknownKidEveryMs = 30_000
// A token waits for this look, within the 8 s of its request.
const lookTimeoutMs = 3_000
// After a look that failed: without it each request of a flood would start one of its own.
const retryAfterMs = 1_000

type Select = ReturnType<typeof createLocalJWKSet>
type SelectedKey = Awaited<ReturnType<Select>>

export function createJwks(
  url: string,
  { algorithms, log }: { algorithms: readonly string[]; log: FastifyBaseLogger },
): Jwks {
  let select: Select | undefined
  let looking: Promise<void> | undefined
  let mayRetryAt = 0
  let mayLookForKidAt = 0
  let hasFailed = false
  const pems = new WeakMap<object, string>()

  async function look(): Promise<void> {
    if (monotonicMs() < mayRetryAt) throw new TokenKeysUnavailable()
    looking ??= fetchKeys(url)
      .then((keys) => {
        select = createLocalJWKSet(keys)
        hasFailed = false
      })
      .catch((cause: unknown) => {
        hasFailed = true
        mayRetryAt = monotonicMs() + retryAfterMs
        log.warn({ err: cause }, 'token keys could not be fetched')
        throw new TokenKeysUnavailable({ cause })
      })
      .finally(() => {
        looking = undefined
      })
    await looking
  }

  async function lookForUnknownKid(): Promise<void> {
    // Who comes while another's look is under way shares that one: it may bring his key, too.
    if (looking === undefined && monotonicMs() < mayLookForKidAt) {
      // The key may be there, had the address answered: that it is none cannot be said.
      if (hasFailed) throw new TokenKeysUnavailable()
      return
    }
    mayLookForKidAt = monotonicMs() + unknownKidEveryMs
    await look()
  }

  async function pemFor(header: { alg?: unknown }): Promise<string> {
    // No key of any address would be for it.
    if (!algorithms.includes(String(header.alg))) throw new TokenInvalid()
    if (!select) await look()
    let key = await keyFor(select, header)
    if (!key) {
      await lookForUnknownKid()
      key = await keyFor(select, header)
    }
    if (!key) throw new TokenInvalid()
    let pem = pems.get(key)
    if (!pem) {
      pem = KeyObject.from(key).export({ type: 'spki', format: 'pem' }).toString()
      pems.set(key, pem)
    }
    return pem
  }

  // The first look, before any token: a wrong address is in the log at the start. The service starts without it.
  const refresh = runEvery(refreshEveryMs, () => look().catch(() => {}), { first: 'now' })
  return { pemFor, close: () => refresh.stop() }
}

async function fetchKeys(url: string): Promise<JSONWebKeySet> {
  // The wait is bounded here, not by the signal, which undici can lose to the garbage collector while a body is read
  // (nodejs/undici#4984): every request with an unknown key would wait for ever.
  const keys = await within(lookTimeoutMs, readKeys(url, AbortSignal.timeout(2 * lookTimeoutMs)))
  if (keys === undefined) throw new Error('the JWKS address took too long')
  return keys
}

async function readKeys(url: string, signal: AbortSignal): Promise<JSONWebKeySet> {
  // The operator has named one address: who can redirect it must not choose whose tokens count.
  const response = await fetch(url, { redirect: 'manual', signal })
  if (!response.ok) throw new Error(`the JWKS address answered ${response.status}`)
  return (await response.json()) as JSONWebKeySet
}

/** What jose throws here says that the set has no one usable key for this header: an unknown `kid` is the usual case. */
async function keyFor(select: Select | undefined, header: object): Promise<SelectedKey | undefined> {
  try {
    return await select?.(header as JWSHeaderParameters)
  } catch {
    return undefined
  }
}
