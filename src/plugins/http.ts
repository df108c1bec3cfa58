import { randomUUID } from 'node:crypto'
import { type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyHttpOptions } from 'fastify'
import fp from 'fastify-plugin'
import {
  ExpectationFailed,
  HeadersTooLarge,
  MalformedRequest,
  type Refusal,
  RequestTimeout,
} from '../errors.ts'
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
  // Shorter than the idle time-outs of the usual balancers (60 s) would be wrong behind one that reuses connections, but
  // a balancer asks first; a phone that is gone does not, and 2,000 of those must not be kept for long.
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

/** Answers that Node would give before there is a request, in its own shape and without a request id. */
export default fp(
  async (app) => {
    app.server.on('checkExpectation', (_request: unknown, response: ServerResponse) => {
      const refusal = new ExpectationFailed()
      const { headers, body } = rawAnswer(refusal)
      response.writeHead(refusal.status, headers).end(body)
    })
    app.server.on('connect', (_request: unknown, socket: Socket) => answerRaw(socket, new MalformedRequest()))
  },
  { name: 'http' },
)

/** Node's `clientError`: what came in is no HTTP, too large, or too slow. The connection cannot be used any more. */
function refuseUnparsable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const refusal = refusalOf(error)
  whenAnswered(socket, () => answerRaw(socket, refusal))
}

function refusalOf(error: NodeJS.ErrnoException): Refusal {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new HeadersTooLarge()
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new RequestTimeout()
  return new MalformedRequest()
}

/**
 * A request that arrived whole before the bytes that are wrong keeps its answer: a 400 in its place would say that
 * nothing was stored.
 */
function whenAnswered(socket: Socket, then: () => void): void {
  const { _httpMessage: pending } = socket as Socket & { _httpMessage?: ServerResponse | null }
  if (!pending?.req?.complete) then()
  else pending.once('close', () => setImmediate(whenAnswered, socket, then))
}

function answerRaw(socket: Socket, refusal: Refusal): void {
  if (!socket.writable) return
  const { headers, body } = rawAnswer(refusal)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${lines.join('')}\r\n${body}`)
  // What the client still sends is read and dropped, so that it gets to read the answer instead of a reset.
  socket.resume()
}

function rawAnswer(refusal: Refusal): { headers: Record<string, string>; body: string } {
  const requestId = randomUUID()
  const body = JSON.stringify(refusalBody(refusal, requestId))
  const headers = {
    ...refusal.headers,
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    'X-Request-Id': requestId,
    Date: new Date().toUTCString(),
  }
  return { headers, body }
}
