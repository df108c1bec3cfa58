import type { IncomingMessage } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Refusal as RefusalBody, RefusalCode } from '../../schemas/refusal.ts'
import {
  BodyTooLarge,
  ExpectationFailed,
  InternalError,
  MalformedRequest,
  MethodNotAllowed,
  Refusal,
  RouteNotFound,
} from '../errors.ts'
import { refusalOfFaults } from './validation.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** What the request came to: `OK`, or the code that was answered. For the log and the metrics. */
    outcome: RefusalCode | 'OK'
  }
}

/** The one place where an error becomes an answer, and where an unknown path or method is told. */
export default fp(
  async (app) => {
    const methodsAt = collectRoutes(app)
    app.decorateReply('outcome', 'OK')

    app.addHook('onRequest', (request, reply, done) => {
      reply.header('X-Request-Id', request.id)
      done(unacceptable(request.raw) ?? (request.is404 ? unroutable(request, methodsAt) : undefined))
    })

    // For plugins that look for a file behind a route of theirs; a path without a route never comes as far.
    app.setNotFoundHandler(() => {
      throw new RouteNotFound()
    })
    app.setSchemaErrorFormatter(refusalOfFaults)
    app.setErrorHandler<FastifyError>((error, request, reply) => {
      const refusal = asRefusal(error, request)
      if (refusal.code === 'INTERNAL_ERROR') request.log.error({ err: refusal.cause }, 'defect')
      reply.outcome = refusal.code
      // Fastify closes the connection after a body that it did not take. With more of it on the way, the client would meet
      // a reset instead of the answer: left open, the rest is read and dropped, within the request's time.
      if (reply.hasHeader('connection') && !reply.raw.hasHeader('connection'))
        reply.removeHeader('connection')
      return reply.code(refusal.status).headers(refusal.headers).send(refusalBody(refusal, request.id))
    })
  },
  { name: 'refusals' },
)

/** The body of a refusal, as `schemas/refusal.ts` describes it. */
export function refusalBody(refusal: Refusal, requestId: string): RefusalBody {
  return {
    success: false,
    code: refusal.code,
    message: refusal.message,
    ...(refusal.faults ? { errors: [...refusal.faults] } : {}),
    requestId,
    timestamp: new Date().toISOString(),
  }
}

/**
 * The path of a target as the router can take it: without origin (RFC 9112, section 3.2.2) and query. The router would look
 * at neither a first character that is no slash nor what follows a `#`, and a `%` that cannot be decoded would get
 * Fastify's 400: kept as what they are, `*message/send/…` is no path of ours, and `/message/send/%zz` a wrong id.
 */
export function routableUrl({ url = '/' }: IncomingMessage): string {
  const [path = ''] = url.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)
  const segments = path.replaceAll('#', '%23').split('/')
  const routable = segments
    .map((segment) => (isDecodable(segment) ? segment : segment.replaceAll('%', '-')))
    .join('/')
  return routable.startsWith('/') ? routable : `/${routable}`
}

function isDecodable(segment: string): boolean {
  try {
    decodeURIComponent(segment)
    return true
  } catch {
    return false
  }
}

/** RFC 9112, section 3.2, and RFC 9110, section 10.1.1. Node's own checks are off, or have no body. */
function unacceptable({ httpVersion, headers, rawHeaders }: IncomingMessage): Refusal | undefined {
  // Node's parser lets 0.9 and 2.0 pass.
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return new MalformedRequest()
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1')) {
    return new MalformedRequest({ message: 'there must be one Host header' })
  }
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue')
    return new ExpectationFailed()
  return undefined
}

type MethodsAt = (path: string) => string[]

function collectRoutes(app: FastifyInstance): MethodsAt {
  const routes = new Map<string, { pattern: RegExp; methods: Set<string> }>()
  app.addHook('onRoute', ({ url, method }) => {
    const route = routes.get(url) ?? {
      pattern: new RegExp(`^${url.replaceAll('.', '\\.').replaceAll('*', '.*').replace(/:\w+/g, '[^/]*')}$`),
      methods: new Set(),
    }
    for (const name of [method].flat()) route.methods.add(name)
    routes.set(url, route)
  })
  return (path) => {
    const route = [...routes.values()].find(({ pattern }) => pattern.test(path))
    return route ? [...route.methods] : []
  }
}

function unroutable(request: FastifyRequest, methodsAt: MethodsAt): Refusal {
  // As the router decodes it: `%73end` is `send`, but `%2F` is no slash.
  const methods = methodsAt(decodeURI(request.url))
  if (methods.length === 0) return new RouteNotFound()
  return new MethodNotAllowed({ headers: { Allow: methods.sort().join(', ') } })
}

function asRefusal(error: FastifyError, request: FastifyRequest): Refusal {
  if (error instanceof Refusal) return error
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new BodyTooLarge({ cause: error })
  // The client went away, or was cut off, in the middle of its body.
  if (request.raw.readableAborted) return new MalformedRequest({ cause: error })
  return new InternalError({ cause: error })
}
