import { Server } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { ShuttingDown } from '../errors.ts'
import { within } from '../lib/within.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether the service has begun to stop. */
    isClosing(): boolean
  }
}

// A client that picked an open connection a moment ago is served on it: closed at once, 11 to 29 of 30 clients met a reset.
const graceMs = 1_000
// With it, within the 20 s in which the process must have ended. No request lasts longer.
const drainTimeoutMs = 17_500

/**
 * The order of a stop: the listener closes; requests on open connections are served for a second more, each with
 * `Connection: close`; later ones are refused; what has arrived is answered; idle connections are closed last.
 */
export default fp(
  async (app) => {
    let phase: 'serving' | 'grace' | 'refusing' = 'serving'
    let inFlight = 0
    let onIdle: () => void = () => {}

    app.decorate('isClosing', () => phase !== 'serving')
    app.addHook('onRequest', (_request, reply, done) => {
      inFlight += 1
      // Also when the connection is cut, where `onResponse` would not run.
      reply.raw.once('close', () => {
        inFlight -= 1
        if (inFlight === 0) onIdle()
      })
      done(phase === 'refusing' ? new ShuttingDown() : undefined)
    })

    app.addHook('preClose', async () => {
      phase = 'grace'
      if (!app.server.listening) return
      // A connection that the system has taken for the listener would be reset: one round takes it from there.
      await setImmediate()
      // Only the listener: `http.Server.close` would cut the idle connections, too, and end the time-outs of slow ones.
      // Fastify closes the server once more, for which it is no fault that it does not listen.
      const lastConnectionClosed = new Promise((resolve) => app.server.once('close', resolve))
      Server.prototype.close.call(app.server)
      await within(graceMs, lastConnectionClosed)
      phase = 'refusing'
      const idle = new Promise<void>((resolve) => {
        onIdle = resolve
      })
      if (inFlight > 0) await within(drainTimeoutMs, idle)
      // What is left has no request that arrived whole.
      app.server.closeAllConnections()
    })
  },
  { name: 'graceful-close', dependencies: ['refusals'] },
)
