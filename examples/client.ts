import createClient from 'openapi-fetch'
import type { components, paths } from './openapi.d.ts'

// Sends a message so that it arrives once, or says why it does not. The types come from the service's document:
// npx openapi-typescript openapi.yaml -o openapi.d.ts

export type Draft = components['schemas']['SendMessageBody']
export type Message = components['schemas']['Message']
export type Refusal = components['schemas']['Refusal']
export type Code = Refusal['code']

export type Outcome =
  | { kind: 'sent'; message: Message; replayed: boolean }
  /** Nothing is stored, and the same request would be refused again. Without a `refusal` it was a proxy that refused. */
  | { kind: 'refused'; status: number; refusal?: Refusal }
  /** No final answer in time: the message may be stored. Keep the draft and its key, and send both again later. */
  | { kind: 'unknown'; last?: Refusal }

export interface Sending {
  to: string
  draft: Draft
  /** Made once for a message that somebody has composed, kept with it until there is an outcome: `crypto.randomUUID()`. */
  key: string
  /** When to give up. */
  deadlineMs?: number
}

export interface Service {
  baseUrl: string
  /** The token in hand; `expired`: that one has expired, get another. */
  token(state: 'current' | 'expired'): Promise<string>
  wait?(ms: number): Promise<void>
  now?(): number
  random?(): number
}

/** The codes after which the same request, with the same key, may go through. Nothing is ever stored twice by that. */
export const repeatedCodes: ReadonlySet<string> = new Set<Code>([
  'REQUEST_TIMEOUT',
  'REQUEST_IN_PROGRESS',
  'RATE_LIMITED',
  'MEDIA_PROMOTION_FAILED',
  'INTERNAL_ERROR',
  'OVERLOADED',
  'DATABASE_UNAVAILABLE',
  'TOKEN_KEYS_UNAVAILABLE',
  'SHUTTING_DOWN',
])

// For answers without a code that this client knows: a proxy's, or a later version's.
const repeatedStatuses: ReadonlySet<number> = new Set([408, 409, 429, 500, 502, 503, 504])

// The service answers within 18 s of the last byte.
const tryMs = 20_000
const deadlineMsDefault = 60_000

// A lost packet costs little, an outage of minutes a few tries; clients that failed together do not come back together.
const firstPauseMs = 250
const longestPauseMs = 15_000

/** Gives a function that sends one message, with as many tries as it takes until the deadline. */
export function createSender(service: Service): (sending: Sending) => Promise<Outcome> {
  const { baseUrl, token, wait = sleep, now = () => performance.now(), random = Math.random } = service
  const client = createClient<paths>({ baseUrl })

  return async ({ deadlineMs = deadlineMsDefault, ...message }) => {
    const endsAt = now() + deadlineMs
    let bearer = await token('current')
    let isRenewed = false
    let last: Refusal | undefined
    for (let repeats = 0; ; ) {
      const answer = await ask(client, { ...message, bearer, limitMs: Math.min(tryMs, endsAt - now()) })
      if (answer?.kind === 'sent') return answer
      last = answer?.refusal ?? last
      if (answer?.refusal?.code === 'TOKEN_EXPIRED' && !isRenewed) {
        bearer = await token('expired')
        isRenewed = true
        continue
      }
      if (answer && !mayRepeat(answer)) return answer
      // At least as long as the service asks for, and longer from one repeat to the next.
      const backOffMs = Math.min(longestPauseMs, firstPauseMs * 2 ** repeats++)
      const pauseMs = retryAfterMs(answer) + backOffMs * (0.5 + random() / 2)
      if (now() + pauseMs >= endsAt) return { kind: 'unknown', ...(last ? { last } : {}) }
      await wait(pauseMs)
    }
  }
}

type Client = ReturnType<typeof createClient<paths>>
type Sent = Extract<Outcome, { kind: 'sent' }>
type Refused = Extract<Outcome, { kind: 'refused' }> & { retryAfter?: string | null }

/** Undefined: no whole answer. The request may have arrived all the same, so only a repeat with its key can tell. */
async function ask(
  client: Client,
  { to, draft, key, bearer, limitMs }: Sending & { bearer: string; limitMs: number },
): Promise<Sent | Refused | undefined> {
  const asked = client.POST('/message/send/{userId}', {
    params: { path: { userId: to }, header: { 'Idempotency-Key': key } },
    headers: { authorization: `Bearer ${bearer}` },
    body: draft,
    signal: AbortSignal.timeout(limitMs),
  })
  const answer = await asked.catch(() => undefined)
  if (!answer) return undefined
  const { data, error, response } = answer
  if (data) {
    return {
      kind: 'sent',
      message: data.data,
      replayed: response.headers.get('Idempotent-Replayed') === 'true',
    }
  }
  return {
    kind: 'refused',
    status: response.status,
    retryAfter: response.headers.get('Retry-After'),
    ...(isRefusal(error) ? { refusal: error } : {}),
  }
}

/** A proxy on the way answers with a page of its own. */
function isRefusal(error: unknown): error is Refusal {
  return typeof error === 'object' && error !== null && 'code' in error
}

function mayRepeat({ status, refusal }: Refused): boolean {
  return repeatedCodes.has(refusal?.code ?? '') || repeatedStatuses.has(status)
}

/** The service sends seconds; a proxy may send a date, for which the pauses of our own must do. */
function retryAfterMs(answer: Refused | undefined): number {
  const seconds = Number(answer?.retryAfter ?? 0)
  return Number.isFinite(seconds) ? seconds * 1000 : 0
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
