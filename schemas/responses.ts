import { type TSchema, Type } from '@sinclair/typebox'
import { ref } from './closed.ts'
import { Health } from './health.ts'
import { SendMessageResponse } from './message.ts'
import { type Fault, Refusal, type RefusalCode, refusalCodes, refusals } from './refusal.ts'

/** What a route answers, by status: the shape that Fastify serialises by and that the document shows, with examples. */
export type Responses = Record<number, object>

const requestId = '018f2b7e-6c1d-4f3a-9b0e-2a7c5d1e8f90'
const timestamp = '2026-02-06T12:37:51.549Z'

const requestIdHeader = {
  'X-Request-Id': Type.String({
    description: 'Made by the service; also in its logs. A client’s own is ignored.',
  }),
}
const rateLimitHeaders = {
  'X-RateLimit-Limit': Type.Integer({
    description: 'Requests that the sender has in one window, at this instance.',
  }),
  'X-RateLimit-Remaining': Type.Integer({ description: 'How many are left of them.' }),
  'X-RateLimit-Reset': Type.Integer({ description: 'Seconds until the window ends.' }),
}
const retryAfterHeader = { 'Retry-After': Type.Integer({ description: 'Seconds to wait before a repeat.' }) }

/** Headers of a status beside `X-Request-Id`. */
const headersOf: Record<number, Record<string, TSchema>> = {
  200: {
    'Idempotent-Replayed': Type.Unsafe<'true'>({
      type: 'string',
      const: 'true',
      description: 'Only when the message was stored by an earlier request with the same `Idempotency-Key`.',
    }),
  },
  401: { 'WWW-Authenticate': Type.String({ description: 'A `Bearer` challenge (RFC 6750).' }) },
  405: { Allow: Type.String({ description: 'The methods that the path takes.' }) },
  409: retryAfterHeader,
  429: retryAfterHeader,
  503: retryAfterHeader,
}

/** Statuses of the checks from the rate limit on: an answer of an earlier check with the same status lacks its headers. */
const countedStatuses = [200, 400, 401, 409, 422, 429, 500, 503]

const exampleFaults: Partial<Record<RefusalCode, Fault[]>> = {
  INVALID_BODY: [{ path: '/content', message: 'is required' }],
  INVALID_MEDIA_REFERENCE: [{ path: '/media/0', message: 'is not one of your temporary uploads' }],
  MEDIA_ALREADY_USED: [{ path: '/media/0', message: 'belongs to another message' }],
  MEDIA_PROMOTION_FAILED: [{ path: '/media/0', message: 'could not be moved to permanent storage' }],
}

const exampleMessage = {
  conversationId: '65631f0c2a9d4e7b8c0f1a2b',
  senderId: '6543a1b2c3d4e5f6a7b8c9d0',
  deliveredTo: [],
  seenBy: [],
  isDeleted: false,
  _id: '6783d4e5f6a7b8c9d0e1f2a3',
  createdAt: '2026-02-06T12:37:51.523Z',
  updatedAt: '2026-02-06T12:37:51.523Z',
}

const exampleMedia = [
  {
    url: 'https://res.cloudinary.com/demo/image/upload/v1/messages/user_6543a1b2c3d4e5f6a7b8c9d0/holiday.png',
    publicId: 'messages/user_6543a1b2c3d4e5f6a7b8c9d0/holiday',
    assetId: '3515c6000a548515f1134043f9785c2f',
    type: 'image',
    height: 800,
    width: 600,
    bytes: 102400,
  },
]

const sentExamples = {
  text: example('A text', { type: 'text', content: 'Hello there', media: [] }),
  image: example('A picture', { type: 'image', content: 'The view from here', media: exampleMedia }),
}

const sent = {
  description: "The message is stored, committed by a majority of the database's members.",
  headers: { ...requestIdHeader, ...headersOf[200], ...rateLimitHeaders },
  content: { 'application/json': { schema: ref(SendMessageResponse), examples: sentExamples } },
}

export const sendMessageResponses: Responses = {
  200: sent,
  ...refusalResponses(refusalCodes, countedStatuses),
}

const healthy = {
  description: 'It does.',
  headers: requestIdHeader,
  content: { 'application/json': { schema: ref(Health), examples: { ok: { value: { status: 'ok' } } } } },
}

export const livenessResponses: Responses = {
  200: healthy,
  ...refusalResponses(['METHOD_NOT_ALLOWED', 'SHUTTING_DOWN'], []),
}
export const readinessResponses: Responses = {
  200: healthy,
  ...refusalResponses(['METHOD_NOT_ALLOWED', 'DATABASE_UNAVAILABLE', 'OVERLOADED', 'SHUTTING_DOWN'], []),
}

function refusalResponses(codes: readonly RefusalCode[], counted: readonly number[]): Responses {
  const statuses = [...new Set(codes.map((code) => refusals[code].status))].sort((a, b) => a - b)
  return Object.fromEntries(
    statuses.map((status) => {
      const ofStatus = codes.filter((code) => refusals[code].status === status)
      const rateLimit = counted.includes(status) ? rateLimitHeaders : {}
      return [status, refusalResponse(ofStatus, { ...headersOf[status], ...rateLimit })]
    }),
  )
}

function refusalResponse(codes: readonly RefusalCode[], headers: Record<string, TSchema>): object {
  return {
    description: codes.map((code) => `\`${code}\`: ${refusals[code].meaning}`).join('\n\n'),
    headers: { ...requestIdHeader, ...headers },
    content: {
      'application/json': {
        schema: ref(Refusal),
        examples: Object.fromEntries(codes.map((code) => [code, refusalExample(code)])),
      },
    },
  }
}

function refusalExample(code: RefusalCode): { summary: string; value: Refusal } {
  const { message, meaning } = refusals[code]
  const errors = exampleFaults[code]
  const value: Refusal = {
    success: false,
    code,
    message,
    ...(errors ? { errors } : {}),
    requestId,
    timestamp,
  }
  return { summary: meaning, value }
}

function example(summary: string, data: object): object {
  const message = { ...exampleMessage, ...data }
  return {
    summary,
    value: { success: true, message: 'request processed successfully', data: message, timestamp },
  }
}
