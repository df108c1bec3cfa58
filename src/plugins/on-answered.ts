import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

type Callback = (request: FastifyRequest, reply: FastifyReply) => void

/**
 * Calls back once for each request, when its answer is given: also where the client has left meanwhile, which Fastify's
 * `onResponse` leaves out, although the message may be stored.
 */
export function onAnswered(app: FastifyInstance, callback: Callback): void {
  app.addHook('onResponse', (request, reply, done) => {
    callback(request, reply)
    done()
  })
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (reply.raw.destroyed) callback(request, reply)
    done()
  })
}
