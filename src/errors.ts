import { type Fault, faultsMax, type RefusalCode, refusals } from '../schemas/refusal.ts'

export interface RefusalDetails {
  /** For people, instead of the code's own message. Never a secret, a content, or a dependency's own words. */
  message?: string
  faults?: readonly Fault[]
  headers?: Readonly<Record<string, string>>
  /** What went wrong underneath: for the log, never for the answer. */
  cause?: unknown
}

/** An answer that a client can receive instead of a message: expected, thus without a stack. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  readonly faults: readonly Fault[] | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(
    readonly code: RefusalCode,
    message: string,
    { faults, headers = {}, cause }: RefusalDetails,
  ) {
    // Refusals are thrown by the thousand when the service is overloaded, and nobody reads where from.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(message, { cause })
    Error.stackTraceLimit = stackTraceLimit
    this.status = refusals[code].status
    this.faults = faults?.slice(0, faultsMax)
    this.headers = headers
  }
}

export type RefusalClass = new (details?: RefusalDetails) => Refusal

/** What the code table says once, as a class that can be thrown by name. */
function refusal(code: RefusalCode, headers: Readonly<Record<string, string>> = {}): RefusalClass {
  return class extends Refusal {
    constructor(details: RefusalDetails = {}) {
      super(code, details.message ?? refusals[code].message, {
        ...details,
        headers: { ...headers, ...details.headers },
      })
    }
  }
}

// RFC 6750, section 3: a request without a token gets no error code, one with a bad token gets `invalid_token`.
const challenge = { 'WWW-Authenticate': 'Bearer realm="messages"' }
const invalidToken = (why: string) => ({
  'WWW-Authenticate': `Bearer realm="messages", error="invalid_token", error_description="${why}"`,
})
const closing = { Connection: 'close' }
// Seconds: the shortest wait that HTTP can say. What is full, in progress or electing is often free by then.
const soon = { 'Retry-After': '1' }

export const InvalidUserId = refusal('INVALID_USER_ID')
export const InvalidJson = refusal('INVALID_JSON')
export const InvalidBody = refusal('INVALID_BODY')
export const InvalidIdempotencyKey = refusal('INVALID_IDEMPOTENCY_KEY')
export const MessageToSelf = refusal('MESSAGE_TO_SELF')
export const ReceiverNotFound = refusal('RECEIVER_NOT_FOUND')
export const BlockedRelationship = refusal('BLOCKED_RELATIONSHIP')
export const InvalidMediaReference = refusal('INVALID_MEDIA_REFERENCE')
export const MediaAlreadyUsed = refusal('MEDIA_ALREADY_USED')
export const MalformedRequest = refusal('MALFORMED_REQUEST', closing)
export const TokenMissing = refusal('TOKEN_MISSING', challenge)
export const TokenInvalid = refusal('TOKEN_INVALID', invalidToken('the token is not valid'))
export const TokenExpired = refusal('TOKEN_EXPIRED', invalidToken('the token has expired'))
export const AccountSuspended = refusal('ACCOUNT_SUSPENDED', invalidToken('the account is suspended'))
export const AccountInactive = refusal('ACCOUNT_INACTIVE', invalidToken('the account is not active'))
export const DeviceNotTrusted = refusal('DEVICE_NOT_TRUSTED', invalidToken('the device is not trusted'))
export const RouteNotFound = refusal('ROUTE_NOT_FOUND')
export const MethodNotAllowed = refusal('METHOD_NOT_ALLOWED')
export const RequestTimeout = refusal('REQUEST_TIMEOUT', closing)
export const RequestInProgress = refusal('REQUEST_IN_PROGRESS', soon)
export const BodyTooLarge = refusal('BODY_TOO_LARGE')
export const UnsupportedMediaType = refusal('UNSUPPORTED_MEDIA_TYPE')
export const ExpectationFailed = refusal('EXPECTATION_FAILED', closing)
export const IdempotencyKeyReused = refusal('IDEMPOTENCY_KEY_REUSED')
export const RateLimited = refusal('RATE_LIMITED')
export const HeadersTooLarge = refusal('HEADERS_TOO_LARGE', closing)
export const MediaPromotionFailed = refusal('MEDIA_PROMOTION_FAILED')
export const InternalError = refusal('INTERNAL_ERROR')
export const Overloaded = refusal('OVERLOADED', soon)
export const DatabaseUnavailable = refusal('DATABASE_UNAVAILABLE', soon)
export const TokenKeysUnavailable = refusal('TOKEN_KEYS_UNAVAILABLE', soon)
export const ShuttingDown = refusal('SHUTTING_DOWN', { ...soon, ...closing })
