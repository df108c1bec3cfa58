import fp from 'fastify-plugin'
import type { MongoClient } from 'mongodb'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { onAnswered } from './on-answered.ts'

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Registry
  }
}

// Seconds: around the few milliseconds of a quiet send, and up to the 18 s that a request may last.
const durationBuckets = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8, 12, 18]

/** `GET /metrics` in Prometheus' text format. A registry for each app: two in one process do not share counts. */
export default fp(
  async (app) => {
    const registry = new Registry()
    collectDefaultMetrics({ register: registry })
    app.decorate('metrics', registry)
    countConnections(registry, app.mongo.client)

    const total = new Counter({
      name: 'messages_send_total',
      help: 'Answers of the send call, by status and code (OK for 200)',
      labelNames: ['status', 'code'],
      registers: [registry],
    })
    const duration = new Histogram({
      name: 'messages_send_duration_seconds',
      help: 'From the request line to the end of the answer, by status',
      labelNames: ['status'],
      buckets: durationBuckets,
      registers: [registry],
    })
    onAnswered(app, (request, reply) => {
      if (request.routeOptions.config.metrics !== 'send') return
      total.inc({ status: reply.statusCode, code: reply.outcome })
      duration.observe({ status: reply.statusCode }, reply.elapsedTime / 1000)
    })

    app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
      return reply.type(registry.contentType).send(await registry.metrics())
    })
  },
  { name: 'metrics', dependencies: ['refusals', 'mongodb'] },
)

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `send`: the route's answers are counted in `messages_send_…`. */
    metrics?: 'send'
  }
}

/** By their names, as some are open before anybody listens: counted up and down, those would end below zero. */
function countConnections(registry: Registry, client: MongoClient): void {
  const open = new Set<string>()
  const inUse = new Set<string>()
  client.on('connectionCreated', (event) => open.add(nameOf(event)))
  client.on('connectionCheckedOut', (event) => {
    open.add(nameOf(event))
    inUse.add(nameOf(event))
  })
  client.on('connectionCheckedIn', (event) => inUse.delete(nameOf(event)))
  client.on('connectionClosed', (event) => {
    open.delete(nameOf(event))
    inUse.delete(nameOf(event))
  })
  new Gauge({
    name: 'mongodb_pool_connections',
    help: "Connections of the driver's pool, once each has carried its first command",
    registers: [registry],
    collect() {
      this.set(open.size)
    },
  })
  new Gauge({
    name: 'mongodb_pool_connections_in_use',
    help: "Connections of the driver's pool that carry a command",
    registers: [registry],
    collect() {
      this.set(inUse.size)
    },
  })
}

function nameOf({ address, connectionId }: { address: string; connectionId: number | '<monitor>' }): string {
  return `${address} ${connectionId}`
}
