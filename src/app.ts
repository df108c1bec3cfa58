import Fastify, { type FastifyInstance, LogController } from 'fastify'
import type { DestinationStream } from 'pino'
import type { Config } from './config.ts'
import authentication from './plugins/authentication.ts'
import cloudinary from './plugins/cloudinary.ts'
import docs from './plugins/docs.ts'
import gracefulClose from './plugins/graceful-close.ts'
import health from './plugins/health.ts'
import http, { httpOptions } from './plugins/http.ts'
import jsonBody from './plugins/json-body.ts'
import metrics from './plugins/metrics.ts'
import mongodb from './plugins/mongodb.ts'
import openapi from './plugins/openapi.ts'
import rateLimit from './plugins/rate-limit.ts'
import refusals from './plugins/refusals.ts'
import requestLog, { loggerOptions } from './plugins/request-log.ts'
import { ajvOptions } from './plugins/validation.ts'
import sendMessage, { type FeatureOptions } from './send-message/index.ts'

export interface Overrides extends FeatureOptions {
  /** Where the log goes instead of standard output. */
  logTo?: DestinationStream
}

/** The service, ready to listen. Rejects with `DatabaseNotUsable` when the database cannot be used. */
export async function buildApp(
  config: Config,
  { logTo, ...feature }: Overrides = {},
): Promise<FastifyInstance> {
  const app = Fastify({
    ...httpOptions,
    ajv: ajvOptions,
    // Each plugin bounds its own start: with Fastify's 10 s a database that does not answer would be called a slow plugin.
    pluginTimeout: 0,
    trustProxy: trustFor(config.http.trustProxy),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    logger: { ...loggerOptions, level: config.log.level, ...(logTo ? { stream: logTo } : {}) },
  })
  try {
    await app.register(refusals)
    await app.register(http)
    await app.register(gracefulClose)
    await app.register(jsonBody)
    await app.register(authentication, config.token)
    await app.register(requestLog)
    await app.register(rateLimit, config.rateLimit)
    await app.register(mongodb, config.mongodb)
    await app.register(cloudinary, config.cloudinary)
    // Loaded only where there is a collector: what nobody uses costs no memory and no time.
    if (config.tracing) await app.register(import('./plugins/tracing.ts'), config.tracing)
    await app.register(metrics)
    await app.register(openapi)
    await app.register(docs)
    await app.register(health)

    await app.register(sendMessage, feature)
    await app.ready()
    return app
  } catch (error) {
    await app.close()
    throw error
  }
}

/**
 * A number of hops is for Fastify no trust at all, since who comes past the proxy could forge an address with it. Here the
 * address is for the log alone, and nothing is decided by it.
 */
function trustFor(trustProxy: Config['http']['trustProxy']): boolean | string | TrustProxyFunction {
  return typeof trustProxy === 'number' ? (_address, hop) => hop < trustProxy : trustProxy
}

type TrustProxyFunction = (address: string, hop: number) => boolean
