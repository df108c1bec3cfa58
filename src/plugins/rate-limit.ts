import rateLimit, { type FastifyRateLimitStore } from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'
import { RateLimited } from '../errors.ts'
import { createRecentMap } from '../lib/recent-map.ts'

// Senders whose windows are remembered, about 200 bytes each; beyond it the least recent ones start anew.
const sendersMax = 200_000

/**
 * A fixed window for each sender, which begins with his first request. The plugin's own store gives its live counter away,
 * which is read a moment later: of three requests that come at one moment, each would be told the third's count.
 */
class Windows implements FastifyRateLimitStore {
  readonly #windows = createRecentMap<string, { count: number; endsAt: number }>(sendersMax)

  incr(sender: string, callback: Parameters<FastifyRateLimitStore['incr']>[1], windowMs: number): void {
    const now = Date.now()
    let window = this.#windows.get(sender)
    // One that ends later than a new one would is of a clock that was set back meanwhile.
    if (!window || window.endsAt <= now || window.endsAt > now + windowMs) {
      window = { count: 0, endsAt: now + windowMs }
      this.#windows.set(sender, window)
    }
    window.count += 1
    callback(null, { current: window.count, ttl: window.endsAt - now })
  }

  /** For the route: there is one. */
  child(): this {
    return this
  }
}

/**
 * The limit of the routes that ask for it by `config: { rateLimit: {} }`. It runs as `preHandler`: after token and schemas, so
 * that what is counted is a person and not what somebody pretends to be.
 */
export default fp<Config['rateLimit']>(
  async (app, { max, windowMs }) => {
    if (max === 0) return
    await app.register(rateLimit, {
      global: false,
      hook: 'preHandler',
      max,
      timeWindow: windowMs,
      store: Windows,
      keyGenerator: (request) => request.sender.userId,
      errorResponseBuilder: () => new RateLimited(),
    })
  },
  { name: 'rate-limit', dependencies: ['authentication'] },
)
