import type { IncomingMessage } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Refusal as RefusalBody, RefusalCode } from '../../schemas/refusal.ts'
import {
  BodyTooLarge,
  InternalError,
  InvalidBody,
  InvalidIdempotencyKey,
  InvalidJson,
  InvalidUserId,
  MalformedRequest,
  MethodNotAllowed,
  Refusal,
  RouteNotFound,
  UnsupportedMediaType,
} from '../errors.ts'
import { faultsOf } from './validation.ts'

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
      // RFC 9112, section 3.2. Node's own check is off, because its answer has no body.
      if (request.raw.httpVersion === '1.1' && request.headers.host === undefined) {
        return done(new MalformedRequest({ message: 'the Host header is missing' }))
      }
      done(request.is404 ? unroutable(request, methodsAt) : undefined)
    })

    app.setErrorHandler<FastifyError>((error, request, reply) => {
      const refusal = asRefusal(error)
      if (refusal.code === 'INTERNAL_ERROR') request.log.error({ err: refusal.cause }, 'defect')
      reply.outcome = refusal.code
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
 * A target that the router can take: an absolute one (RFC 9112, section 3.2.2) loses its origin, and one that cannot be
 * decoded its percent signs, so that `/message/send/%zz` is a wrong id behind the checks before it, not Fastify's 400.
 */
export function routableUrl({ url = '/' }: IncomingMessage): string {
  const target = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?]*/i, '') || '/'
  if (!target.includes('%')) return target
  try {
    decodeURIComponent(target)
    return target
  } catch {
    return target.replaceAll('%', '-')
  }
}

type MethodsAt = (path: string) => string[]

function collectRoutes(app: FastifyInstance): MethodsAt {
  const routes = new Map<string, { pattern: RegExp; methods: Set<string> }>()
  app.addHook('onRoute', ({ url, method }) => {
    const route = routes.get(url) ?? {
      pattern: new RegExp(`^${url.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]*').replaceAll('*', '.*')}$`),
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
  const methods = methodsAt(request.url.split('?', 1)[0] ?? '')
  if (methods.length === 0) return new RouteNotFound()
  return new MethodNotAllowed({ headers: { Allow: methods.sort().join(', ') } })
}

function asRefusal(error: FastifyError): Refusal {
  if (error instanceof Refusal) return error
  if (error.validation) return asValidationRefusal(error)
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new BodyTooLarge({ cause: error })
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new UnsupportedMediaType({ cause: error })
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new MalformedRequest({ cause: error })
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new InvalidJson({ cause: error })
    default:
      return new InternalError({ cause: error })
  }
}

function asValidationRefusal(error: FastifyError): Refusal {
  if (error.validationContext === 'params') return new InvalidUserId({ cause: error })
  if (error.validationContext === 'headers') return new InvalidIdempotencyKey({ cause: error })
  const faults = faultsOf(error.validation ?? [])
  return new InvalidBody({ message: error.message, faults, cause: error })
}
