import Fastify from 'fastify'
import authentication from '../plugins/authentication.ts'
import { registerHealthRoutes } from '../plugins/health.ts'
import jsonBody from '../plugins/json-body.ts'
import openapi, { openapiYaml } from '../plugins/openapi.ts'
import { ajvOptions } from '../plugins/validation.ts'
import { registerRoute } from '../send-message/route.ts'

/**
 * The document of the same routes, with nothing behind them: to say what a request must be takes no database. A test holds
 * it against the one that a real service gives.
 */
export async function describeApp(): Promise<string> {
  const app = Fastify({ ajv: ajvOptions })
  await app.register(jsonBody)
  await app.register(authentication, { keys: { kind: 'secret', secret: 'of an app that never listens' } })
  await app.register(openapi)
  registerHealthRoutes(app, neverCalled)
  const turns = { queue: neverCalled, waitedMs: neverCalled }
  registerRoute(app, { refuseExcess: neverCalled, turns, send: neverCalled })
  await app.ready()
  return openapiYaml(app)
}

function neverCalled(): never {
  throw new Error('a described route has no work to do')
}
