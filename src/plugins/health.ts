import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Health } from '../../schemas/health.ts'
import { livenessResponses, readinessResponses } from '../../schemas/responses.ts'
import { DatabaseUnavailable, type Refusal, ShuttingDown } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Adds a reason for `/health/ready` to answer 503: the refusal while it holds, else nothing. */
    addReadinessCheck(check: () => Refusal | undefined): void
  }
}

// The answer must be there within the second that probes usually wait, on a machine that is busy, too.
const pingTimeoutMs = 500

const ok: Health = { status: 'ok' }

/** `/health/live`: the process runs. `/health/ready`: it can take requests now. */
export default fp(
  async (app) => {
    const checks: (() => Refusal | undefined)[] = [() => (app.isClosing() ? new ShuttingDown() : undefined)]
    app.decorate('addReadinessCheck', (check) => void checks.push(check))

    // Probes that come together share one ping.
    let pinging: Promise<unknown> | undefined
    function ping(): Promise<unknown> {
      const options = { signal: AbortSignal.timeout(pingTimeoutMs) }
      pinging ??= app.mongo.db.command({ ping: 1 }, options).finally(() => {
        pinging = undefined
      })
      return pinging
    }

    registerHealthRoutes(app, async () => {
      for (const check of checks) {
        const refusal = check()
        if (refusal) throw refusal
      }
      await ping().catch((cause: unknown) => {
        throw new DatabaseUnavailable({ cause })
      })
    })
  },
  { name: 'health', dependencies: ['mongodb', 'graceful-close', 'openapi'] },
)

/** `requireReady` rejects with what keeps the service from taking requests. */
export function registerHealthRoutes(app: FastifyInstance, requireReady: () => Promise<void>): void {
  app.addSchema(Health)
  app.get('/health/live', { schema: liveSchema }, async () => ok)
  app.get('/health/ready', { schema: readySchema }, async () => {
    await requireReady()
    return ok
  })
}

const liveSchema = {
  operationId: 'getLiveness',
  summary: 'Whether the process runs',
  tags: ['health'],
  security: [],
  response: livenessResponses,
}

const readySchema = {
  operationId: 'getReadiness',
  summary: 'Whether the service can take requests now',
  description: 'It can if the database answers, there is room for more requests, and it is not stopping.',
  tags: ['health'],
  security: [],
  response: readinessResponses,
}
