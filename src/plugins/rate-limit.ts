import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'
import { RateLimited } from '../errors.ts'

// Senders whose windows are remembered, about 200 bytes each; beyond it the least recent ones start anew.
const sendersMax = 200_000

/**
 * A fixed window for each sender, on the routes that ask for it by `config: { rateLimit: {} }`. It runs as `preHandler`:
 * after token and schemas, so that what is counted is a person and not what somebody pretends to be.
 */
export default fp<Config['rateLimit']>(
  async (app, { max, windowMs }) => {
    if (max === 0) return
    // The plugin gives its own option to a store that no route uses, and a route's store room for 5,000.
    app.addHook('onRoute', ({ config }) => {
      if (config?.rateLimit) Object.assign(config.rateLimit, { cache: sendersMax })
    })
    await app.register(rateLimit, {
      global: false,
      hook: 'preHandler',
      max,
      timeWindow: windowMs,
      keyGenerator: (request) => request.sender.userId,
      errorResponseBuilder: () => new RateLimited(),
    })
  },
  { name: 'rate-limit', dependencies: ['authentication'] },
)
