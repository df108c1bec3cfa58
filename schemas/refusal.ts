import { type Static, Type } from '@sinclair/typebox'
import { closed, oneOf } from './closed.ts'
import { Timestamp } from './ids.ts'

/**
 * Every refusal that a client can receive: its status, its message for people (it may change; the code does not), and what
 * it means to the author of a client. `src/errors.ts` makes a class of each.
 */
export const refusals = {
  INVALID_USER_ID: {
    status: 400,
    message: 'userId must be 24 hexadecimal digits',
    meaning: "The path's `userId` is not a MongoDB ObjectId.",
  },
  INVALID_JSON: {
    status: 400,
    message: 'the body must be JSON in UTF-8',
    meaning:
      'The body is empty, is not JSON, is not UTF-8, begins with a byte order mark, or has a `__proto__` or ' +
      '`constructor.prototype` key.',
  },
  INVALID_BODY: {
    status: 400,
    message: 'the body is not valid',
    meaning: 'The body does not match its schema; `errors` lists the fields at fault.',
  },
  INVALID_IDEMPOTENCY_KEY: {
    status: 400,
    message: 'Idempotency-Key must be sent once, with 1 to 255 visible ASCII characters',
    meaning: 'The header is not 1 to 255 visible ASCII characters, or was sent more than once.',
  },
  MESSAGE_TO_SELF: {
    status: 400,
    message: 'you cannot send a message to yourself',
    meaning: 'Sender and receiver are the same user.',
  },
  RECEIVER_NOT_FOUND: {
    status: 400,
    message: 'there is no such user',
    meaning: 'There is no such account, or it was deleted.',
  },
  BLOCKED_RELATIONSHIP: {
    status: 400,
    message: 'you cannot send messages to this user',
    meaning: 'One of the two has blocked the other; the answer does not tell which.',
  },
  INVALID_MEDIA_REFERENCE: {
    status: 400,
    message: 'media must be your own temporary uploads',
    meaning: 'A `publicId` is not that of a temporary upload of your own; `errors` lists each such item.',
  },
  MEDIA_ALREADY_USED: {
    status: 400,
    message: 'media belongs to another message',
    meaning:
      'A `publicId` belongs to a stored message, perhaps to this one, if an earlier try without a key has stored it; ' +
      '`errors` lists each such item.',
  },
  MALFORMED_REQUEST: {
    status: 400,
    message: 'not a valid HTTP request',
    meaning: 'This is not a valid HTTP request. The connection is closed.',
  },
  TOKEN_MISSING: {
    status: 401,
    message: 'send Authorization: Bearer <token>',
    meaning: 'There is no `Authorization` header, or its scheme is not `Bearer`.',
  },
  TOKEN_INVALID: {
    status: 401,
    message: 'the token is not valid',
    meaning: "The token's signature, algorithm, issuer, audience or another claim is wrong.",
  },
  TOKEN_EXPIRED: {
    status: 401,
    message: 'the token has expired',
    meaning: 'The token has expired: repeat with a new one.',
  },
  ACCOUNT_SUSPENDED: {
    status: 401,
    message: 'your account is suspended',
    meaning: "The sender's account is suspended.",
  },
  ACCOUNT_INACTIVE: {
    status: 401,
    message: 'your account is not active',
    meaning: "The sender's account does not exist, or is not active.",
  },
  DEVICE_NOT_TRUSTED: {
    status: 401,
    message: 'this device is not trusted',
    meaning: "The token's device does not exist, is not the sender's, or is not trusted.",
  },
  ROUTE_NOT_FOUND: {
    status: 404,
    message: 'there is nothing at this path',
    meaning: 'There is nothing at this path; the same path with a trailing slash is another one.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    message: 'this path does not take this method',
    meaning: 'The path does not take this method; `Allow` names those that it takes.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    message: 'the request did not arrive in time',
    meaning: 'The whole request did not arrive in time. The connection is closed; repeat on a new one.',
  },
  REQUEST_IN_PROGRESS: {
    status: 409,
    message: 'the same message or upload is being sent right now',
    meaning:
      'The same message or upload is being sent right now. Repeat after `Retry-After`. It usually ends within seconds; ' +
      'after a killed instance or a storage outage it can take two minutes.',
  },
  BODY_TOO_LARGE: {
    status: 413,
    message: 'the body is larger than 64 KiB',
    meaning: 'The body is larger than 64 KiB.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    message: 'the body must be application/json in UTF-8, without a Content-Encoding',
    meaning:
      'The media type is not `application/json`, or has a parameter other than `charset=utf-8`, or there is a ' +
      '`Content-Encoding`.',
  },
  EXPECTATION_FAILED: {
    status: 417,
    message: 'only Expect: 100-continue is supported',
    meaning: 'The request has an `Expect` other than `100-continue`. The connection is closed.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    message: 'the Idempotency-Key was used for another message',
    meaning: 'The key belongs to a stored message with another body: another message needs a key of its own.',
  },
  RATE_LIMITED: {
    status: 429,
    message: 'too many requests',
    meaning: 'The sender has made too many requests. Nothing is stored; repeat after `Retry-After`.',
  },
  HEADERS_TOO_LARGE: {
    status: 431,
    message: 'the headers are too large',
    meaning: 'The headers are larger than 16 KiB. The connection is closed.',
  },
  MEDIA_PROMOTION_FAILED: {
    status: 500,
    message: 'media could not be moved to permanent storage',
    meaning:
      'An item was not found, or could not be moved to permanent storage; `errors` lists each such item. Nothing is ' +
      'stored; the same items may be sent again at once.',
  },
  INTERNAL_ERROR: {
    status: 500,
    message: 'something went wrong',
    meaning: 'The service has a defect. Nothing is stored; a repeat may succeed.',
  },
  OVERLOADED: {
    status: 503,
    message: 'too many requests are waiting',
    meaning:
      'More requests are waiting than the service takes. Nothing is stored; repeat after `Retry-After`.',
  },
  DATABASE_UNAVAILABLE: {
    status: 503,
    message: 'the database did not answer in time: repeat with the same Idempotency-Key',
    meaning:
      'The database did not answer in time. The message may be stored nevertheless: only a repeat with the same ' +
      '`Idempotency-Key` can tell, and a repeat without a key may send it twice.',
  },
  TOKEN_KEYS_UNAVAILABLE: {
    status: 503,
    message: 'the keys that tokens are checked with are not available',
    meaning:
      'The keys that tokens are checked with cannot be fetched. Nothing is stored; repeat after `Retry-After`.',
  },
  SHUTTING_DOWN: {
    status: 503,
    message: 'this instance is stopping',
    meaning: 'This instance is stopping. Nothing is stored; repeat on a new connection.',
  },
} as const satisfies Record<string, { status: number; message: string; meaning: string }>

export type RefusalCode = keyof typeof refusals

export const refusalCodes = Object.keys(refusals) as [RefusalCode, ...RefusalCode[]]

/** Faults listed in one answer: enough to mend a form, too few to make a large answer of a small request. */
export const faultsMax = 100

export const Fault = closed(
  {
    path: Type.String({
      description:
        'JSON Pointer (RFC 6901) into the body: the missing, unknown or wrong field, or `/media/<index>`; empty for the ' +
        'body itself.',
    }),
    message: Type.String({ description: 'For people; may change.' }),
  },
  { $id: 'Fault', description: 'What is wrong with one field.' },
)
export type Fault = Static<typeof Fault>

export const Refusal = closed(
  {
    success: Type.Unsafe<false>({ type: 'boolean', const: false }),
    code: oneOf(refusalCodes, {
      description: 'What happened, for programs: a code never changes its meaning.',
    }),
    message: Type.String({ description: 'For people; may change.' }),
    errors: Type.Optional(
      Type.Array(Type.Unsafe<Fault>({ $ref: 'Fault#' }), {
        maxItems: faultsMax,
        description:
          'With `INVALID_BODY`, `INVALID_MEDIA_REFERENCE`, `MEDIA_ALREADY_USED` and `MEDIA_PROMOTION_FAILED`: what is ' +
          'wrong, field by field.',
      }),
    ),
    requestId: Type.String({
      description: 'Quote it when you ask for help. It is also in the `X-Request-Id` header.',
    }),
    timestamp: Timestamp,
  },
  { $id: 'Refusal', description: 'The shape of every answer other than 200.' },
)
export type Refusal = Static<typeof Refusal>
