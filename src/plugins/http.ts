import { randomUUID } from 'node:crypto'
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyBaseLogger, FastifyHttpOptions, FastifyInstance, preHandlerHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { HeadersTooLarge, MalformedRequest, type Refusal, RequestTimeout } from '../errors.ts'
import { refusalBody, routableUrl } from './refusals.ts'

/** Bytes of a body: the contract's. */
export const bodyBytesMax = 65_536

/**
 * Limits of a connection. By default a client could send a body for ever at a byte a second, and headers for 79 s.
 */
export const httpOptions = {
  bodyLimit: bodyBytesMax,
  // Headers and body: 64 KiB within 5 s is 13 KB/s, less than any line that can hold a conversation.
  requestTimeout: 5_000,
  // So that phones that are gone are not kept. A proxy that reuses connections must keep its own for less (ops/Caddyfile).
  keepAliveTimeout: 5_000,
  // An idle time-out of the socket, which cuts a request under way as well: above the longest deadline (18 s).
  connectionTimeout: 30_000,
  http: {
    headersTimeout: 3_000,
    // A token with many claims, or a receiver's id as long as somebody likes, gets its own refusal below this.
    maxHeaderSize: 16_384,
    connectionsCheckingInterval: 500,
    // Node's own refusal has no body; `refusals.ts` has one.
    requireHostHeader: false,
  },
  // A longer `userId` is a wrong one, not Fastify's 414.
  routerOptions: { maxParamLength: 16_384 },
  rewriteUrl: routableUrl,
  genReqId: () => randomUUID(),
  // While it closes, requests get an answer of ours: `graceful-close.ts`.
  return503OnClosing: false,
  clientErrorHandler: refuseUnparsable,
} satisfies FastifyHttpOptions<Server>

// How long a refused client may go on sending before it is cut off. Cut off at once, it would meet a reset, not the answer.
const lingerMs = 2_000

/** What Node hands over, or would answer itself in its own shape, and without a request id. */
export default fp(
  async (app) => {
    // An `Expect` that Node does not know: an ordinary request, which `refusals.ts` refuses.
    app.server.on('checkExpectation', app.routing)
    // What is too much is told by its size. Beyond a thousand Node would drop headers in silence, a key among them.
    app.server.maxHeadersCount = 0
    app.addHook('preHandler', refuseLate)
    app.server.on('connect', (_request: IncomingMessage, socket: Socket) => {
      refuse(socket, new MalformedRequest(), app.log)
    })
  },
  { name: 'http', dependencies: ['refusals'] },
)

/** Node's `clientError`: what came in is not HTTP, too large, or too slow. The connection cannot be used any more. */
function refuseUnparsable(this: FastifyInstance, error: NodeJS.ErrnoException, socket: Socket): void {
  // Opened ahead by a client that has asked for nothing yet: no request is late, and `connectionTimeout` ends it. Each that is
  // refused comes again, for 0.3 ms of CPU: beside 2,000 of them newcomers waited 10 to 20 times as long.
  if (isLate(error) && socket.bytesRead === 0) return
  refuse(socket, refusalOf(error), this.log)
}

function refusalOf(error: NodeJS.ErrnoException): Refusal {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new HeadersTooLarge()
  return isLate(error) ? new RequestTimeout() : new MalformedRequest()
}

function isLate({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_HTTP_REQUEST_TIMEOUT'
}

/** Node's own notes on a connection: the answer that is due, and the request that is arriving. */
type HttpSocket = Socket & {
  _httpMessage?: ServerResponse | null
  parser?: { incoming?: IncomingMessage | null } | null
}

const refused = new WeakSet<Socket>()
/** Those that have their refusal, and linger. */
const toldNo = new WeakSet<Socket>()

/**
 * The rest of a body, or a whole request, that has crossed its own 408 on the way: Node hands it over as if nothing were, and
 * a message would be stored for which the client holds a refusal.
 */
const refuseLate: preHandlerHookHandler = (request, _reply, done) => {
  done(toldNo.has(request.raw.socket) ? new RequestTimeout() : undefined)
}

function refuse(socket: HttpSocket, refusal: Refusal, log: FastifyBaseLogger): void {
  // After the first fault there is one with whatever else comes in.
  if (refused.has(socket)) return
  refused.add(socket)
  // Node leaves none on the socket of a CONNECT, and a reset would end the process.
  socket.on('error', () => {})
  whenAnswered(socket, () => {
    toldNo.add(socket)
    if (!socket.writable) return
    // What arrives too late or in pieces may be the rest of a request that has its answer already.
    const isAnswered = !socket._httpMessage && socket.parser?.incoming?.complete === false
    socket.end(isAnswered ? '' : rawAnswer(refusal, socket, log))
    socket.resume()
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    socket.once('close', () => clearTimeout(timer))
  })
}

/**
 * A request that arrived whole before the bytes that are wrong keeps its answer: a 400 in its place would say that
 * nothing was stored.
 */
function whenAnswered(socket: HttpSocket, then: () => void): void {
  const { _httpMessage: due } = socket
  if (!due?.req.complete) then()
  else due.once('close', () => setImmediate(whenAnswered, socket, then))
}

function rawAnswer(refusal: Refusal, socket: Socket, log: FastifyBaseLogger): string {
  const requestId = randomUUID()
  const { status: statusCode, code } = refusal
  log.info({ requestId, statusCode, code, remoteAddress: socket.remoteAddress }, 'request')

  const body = JSON.stringify(refusalBody(refusal, requestId))
  const headers = {
    ...refusal.headers,
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'X-Request-Id': requestId,
    Date: new Date().toUTCString(),
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\n${lines.join('')}\r\n${body}`
}
