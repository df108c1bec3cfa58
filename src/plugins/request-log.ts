import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { LoggerOptions } from 'pino'
import { onAnswered } from './on-answered.ts'

/**
 * pino's own serialisers write the text of an error, which can hold a content, a key or an address of the database: of an
 * error its names, codes and places are logged, and of a request nothing but what is below.
 */
export const loggerOptions: LoggerOptions = {
  serializers: {
    err: describeError,
    req: ({ id }: FastifyRequest) => ({ id }),
    res: () => undefined,
  },
  hooks: {
    // Where an error comes without a message, pino takes the error's text for it.
    logMethod(args, method) {
      const [first, message] = args as unknown[]
      const isError =
        first instanceof Error || (typeof first === 'object' && first !== null && 'err' in first)
      method.apply(this, isError && message === undefined ? [first as object, 'error'] : args)
    },
  },
}

/** One line a request, once it is answered. Never content, tokens, keys, media or the path with its id. */
export default fp(
  async (app) => {
    onAnswered(app, (request, reply) => {
      const { statusCode, outcome, elapsedTime } = reply
      request.log[statusCode >= 500 ? 'warn' : 'info'](
        {
          method: request.method,
          route: request.routeOptions.url,
          statusCode,
          code: outcome,
          senderId: request.sender?.userId,
          durationMs: Math.round(elapsedTime * 100) / 100,
          remoteAddress: request.ip,
          ...(reply.raw.destroyed && !reply.raw.writableFinished ? { clientLeft: true } : {}),
        },
        'request',
      )
    })
  },
  { name: 'request-log', dependencies: ['refusals', 'authentication'] },
)

export interface DescribedError {
  name: string
  code?: unknown
  at?: string[]
  cause?: DescribedError
}

/** Names, codes and places of an error and its causes, without a word of their text. */
export function describeError(error: unknown): DescribedError {
  if (!(error instanceof Error)) return { name: typeof error }
  const { code } = error as { code?: unknown }
  const at = error.stack?.split('\n').filter((line) => line.startsWith('    at '))
  return {
    name: error.name,
    ...(code === undefined ? {} : { code }),
    ...(at?.length ? { at: at.map((line) => line.trim()) } : {}),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}
