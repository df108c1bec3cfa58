import { type TSchema, Type } from '@sinclair/typebox'
import { ref } from './closed.ts'
import { refusalExample, sentExamples } from './examples.ts'
import { Health } from './health.ts'
import { SendMessageResponse } from './message.ts'
import { Refusal, type RefusalCode, refusalCodes, refusals } from './refusal.ts'

/** What a route answers, by status: the shape that Fastify serialises by and that the document shows, with examples. */
export type Responses = Record<number, object>

// Narrow enough that the YAML keeps these lines as they are, where it would fold longer ones and double their ends.
const listColumnsMax = 66

const requestIdHeader = {
  'X-Request-Id': Type.String({
    description:
      'Made by the service for each request, and in its logs; an id that a client sends is ignored.',
  }),
}
const retryAfterHeader = { 'Retry-After': Type.Integer({ description: 'Seconds to wait before a repeat.' }) }

/** `when` says which of the answers have them: with one status a request may be refused before its turn is counted. */
function rateLimitHeaders(when: string): Record<string, TSchema> {
  return {
    'X-RateLimit-Limit': Type.Integer({
      description: `How many requests the sender may make in one window, at this instance. ${when}`,
    }),
    'X-RateLimit-Remaining': Type.Integer({ description: `How many of them are left. ${when}` }),
    'X-RateLimit-Reset': Type.Integer({ description: `Seconds until the window ends. ${when}` }),
  }
}
const whenAlways = 'Absent only if the service runs without a limit.'
const whenCounted = 'Absent if an earlier check refused the request, or if the service runs without a limit.'

/** Headers of a status beside `X-Request-Id` and the rate limit's. */
const headersOf: Record<number, Record<string, TSchema>> = {
  200: {
    'Idempotent-Replayed': Type.Unsafe<'true'>({
      type: 'string',
      const: 'true',
      description: 'Only if an earlier request with the same `Idempotency-Key` has stored the message.',
    }),
  },
  401: { 'WWW-Authenticate': Type.String({ description: 'A `Bearer` challenge (RFC 6750).' }) },
  405: { Allow: Type.String({ description: 'The methods that the path takes.' }) },
  409: retryAfterHeader,
  429: retryAfterHeader,
  503: retryAfterHeader,
}

/** The checks from the rate limit on have the first; some with the second come before it. Others never come so far. */
const sendRateLimitHeaders: Record<number, Record<string, TSchema>> = {
  ...Object.fromEntries([200, 409, 422, 429].map((status) => [status, rateLimitHeaders(whenAlways)])),
  ...Object.fromEntries([400, 401, 500, 503].map((status) => [status, rateLimitHeaders(whenCounted)])),
}

const sent = {
  description: "The message is stored: a majority of the database's members have it.",
  headers: { ...requestIdHeader, ...headersOf[200], ...sendRateLimitHeaders[200] },
  content: { 'application/json': { schema: ref(SendMessageResponse), examples: sentExamples } },
}

export const sendMessageResponses: Responses = {
  200: sent,
  ...refusalResponses(refusalCodes, { rateLimit: sendRateLimitHeaders }),
}

/** What any path may be answered with, before and after it is looked at. */
const commonCodes: readonly RefusalCode[] = [
  'MALFORMED_REQUEST',
  'METHOD_NOT_ALLOWED',
  'REQUEST_TIMEOUT',
  'EXPECTATION_FAILED',
  'HEADERS_TOO_LARGE',
  'INTERNAL_ERROR',
  'SHUTTING_DOWN',
]

/** A probe stores nothing, so what the codes mean to a sender would only puzzle here. */
const probeMeanings: Meanings = {
  REQUEST_TIMEOUT: 'The whole request did not arrive in time. The connection is closed.',
  INTERNAL_ERROR: 'The service has a defect.',
  DATABASE_UNAVAILABLE: 'The database does not answer.',
  OVERLOADED: 'More requests are waiting than the service takes.',
  SHUTTING_DOWN: 'This instance is stopping.',
}

export const livenessResponses: Responses = {
  200: healthy('The process is running.'),
  ...refusalResponses(commonCodes, { meanings: probeMeanings }),
}

export const readinessResponses: Responses = {
  200: healthy('The service can take requests.'),
  ...refusalResponses([...commonCodes, 'DATABASE_UNAVAILABLE', 'OVERLOADED'], { meanings: probeMeanings }),
}

function healthy(description: string): object {
  const examples = { ok: { value: { status: 'ok' } } }
  return {
    description,
    headers: requestIdHeader,
    content: { 'application/json': { schema: ref(Health), examples } },
  }
}

type Meanings = Partial<Record<RefusalCode, string>>

function refusalResponses(
  codes: readonly RefusalCode[],
  options: { rateLimit?: Record<number, Record<string, TSchema>>; meanings?: Meanings },
): Responses {
  const { rateLimit = {}, meanings = {} } = options
  const statuses = [...new Set(codes.map((code) => refusals[code].status))].sort((a, b) => a - b)
  return Object.fromEntries(
    statuses.map((status) => {
      const explained = codes
        .filter((code) => refusals[code].status === status)
        .map((code) => ({ code, meaning: meanings[code] ?? refusals[code].meaning }))
      return [status, refusalResponse(explained, { ...headersOf[status], ...rateLimit[status] })]
    }),
  )
}

interface Explained {
  code: RefusalCode
  meaning: string
}

function refusalResponse(codes: readonly Explained[], headers: Record<string, TSchema>): object {
  return {
    description: listOf(codes.map(({ code, meaning }) => `\`${code}\`: ${meaning}`)),
    headers: { ...requestIdHeader, ...headers },
    content: {
      'application/json': {
        schema: ref(Refusal),
        examples: Object.fromEntries(codes.map(({ code }) => [code, { value: refusalExample(code) }])),
      },
    },
  }
}

/** A Markdown list, unless there is one item. */
function listOf(texts: readonly string[]): string {
  return texts.length === 1 ? texts.join() : texts.map(listItem).join('\n')
}

function listItem(text: string): string {
  const lines = ['-']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (`${line} ${word}`.length <= listColumnsMax) lines.splice(-1, 1, `${line} ${word}`)
    else lines.push(`  ${word}`)
  }
  return lines.join('\n')
}
