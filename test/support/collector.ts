import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { eventually } from './eventually.ts'

/** A span as OTLP's JSON has it, its attributes as an object. */
export interface CollectedSpan {
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: Record<string, unknown>
  links?: { traceId: string; spanId: string }[]
  status: { code: number; message?: string }
  events?: unknown[]
}

/** Takes traces by OTLP over HTTP in JSON, at loopback. */
export interface Collector {
  url: string
  spans: CollectedSpan[]
  /** The attributes of the process that sent the last spans. */
  resource: Record<string, unknown>
  /** Every body so far, as it came. */
  bodies: string[]
  /** Requests whose sender still waits for an answer. */
  waiting: number
  requests: { path: string | undefined; headers: IncomingHttpHeaders }[]
  /** The status of what it answers from now on; `undefined` leaves it without an answer. */
  answers(status: number | undefined): void
  /** Once a span for which it holds has come. */
  collected(holds: (span: CollectedSpan) => boolean): Promise<CollectedSpan>
}

export async function startCollector(t: Test): Promise<Collector> {
  let status: number | undefined = 200
  const server = createServer(async (request, response) => {
    collector.requests.push({ path: request.url, headers: request.headers })
    const body = Buffer.concat(await request.toArray()).toString()
    collector.bodies.push(body)
    if (status === undefined) {
      collector.waiting += 1
      request.socket.once('close', () => {
        collector.waiting -= 1
      })
      return
    }
    if (status === 200) collect(collector, JSON.parse(body))
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })

  const collector: Collector = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: [],
    resource: {},
    bodies: [],
    waiting: 0,
    requests: [],
    answers(next) {
      status = next
    },
    async collected(holds) {
      await eventually(() => collector.spans.some(holds))
      return collector.spans.find(holds) as CollectedSpan
    },
  }
  return collector
}

interface KeyValue {
  key: string
  value: Record<string, unknown>
}

interface Exported {
  resourceSpans: {
    resource: { attributes: KeyValue[] }
    scopeSpans: { spans: (Omit<CollectedSpan, 'attributes'> & { attributes: KeyValue[] })[] }[]
  }[]
}

function collect(collector: Collector, { resourceSpans }: Exported): void {
  for (const { resource, scopeSpans } of resourceSpans) {
    collector.resource = asObject(resource.attributes)
    for (const { spans } of scopeSpans) {
      collector.spans.push(
        ...spans.map((span) => ({ ...span, attributes: asObject(span.attributes) }) as CollectedSpan),
      )
    }
  }
}

function asObject(attributes: KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
