import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import {
  defaultTextMapGetter,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api'
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { SendMessageResponse } from '../../schemas/message.ts'
import type { TracingConfig } from '../config.ts'
import { within } from '../lib/within.ts'
import { onAnswered } from './on-answered.ts'
import { traceStorage, traceTransactions } from './traced-calls.ts'

// Spans that wait for the collector, about 1 KB each; beyond it they are dropped. More than a second of full load.
const queueSpansMax = 8_192
const exportSpansMax = 1_024
// What a process has not sent when it is killed is not more than this.
const exportIntervalMs = 1_000
// Far more than a collector nearby needs. It may be long: no request waits for an export.
const exportTimeoutMs = 5_000
// A stop waits for the last export, but no longer than this: of its 20 s the requests may have left only a second.
const flushTimeoutMs = 500

/**
 * Traces of the send call, by OTLP over HTTP. Nothing is registered globally, so that two apps in a process have nothing in
 * common; and no attribute tells of a person, a content, a key or an upload: see `docs/decisions/0006-traces.md`.
 */
export default fp<TracingConfig>(
  async (app, config) => {
    const provider = createProvider(config, app.log)
    app.addHook('onClose', async () => {
      await within(
        flushTimeoutMs,
        provider.shutdown().catch(() => {}),
      )
    })
    const tracer = provider.getTracer('private-message-service')
    const requestSpans = new AsyncLocalStorage<Span>()
    app.storage = traceStorage(app.storage, { tracer, parent: () => requestSpans.getStore() })
    const { batchOf } = traceTransactions(app.mongo, tracer)
    traceRequests(app, { tracer, requestSpans, batchOf })
  },
  { name: 'tracing', dependencies: ['refusals', 'mongodb', 'cloudinary'] },
)

function createProvider(config: TracingConfig, log: FastifyBaseLogger): TracerProvider {
  const exporter = new OTLPTraceExporter({
    url: config.url,
    headers: config.headers,
    timeoutMillis: exportTimeoutMs,
  })
  const service = { 'service.name': config.serviceName, 'service.instance.id': randomUUID() }
  return new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes(service)),
    sampler: samplerOf(config.sampler),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: tellingChanges(exporter, log),
        maxQueueSize: queueSpansMax,
        maxExportBatchSize: exportSpansMax,
        scheduledDelayMillis: exportIntervalMs,
        exportTimeoutMillis: exportTimeoutMs,
      }),
    ],
  })
}

function samplerOf({ ratio, parentBased }: TracingConfig['sampler']): Sampler {
  const root = new TraceIdRatioBasedSampler(ratio)
  return parentBased ? new ParentBasedSampler({ root }) : root
}

/** A collector that is away says so once in the log, not with each batch; what it is sent meanwhile is dropped. */
function tellingChanges(exporter: SpanExporter, log: FastifyBaseLogger): SpanExporter {
  let failing = false
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const failed = result.code !== ExportResultCode.SUCCESS
        if (failed && !failing) log.warn({ err: result.error }, 'the collector does not take traces')
        if (!failed && failing) log.info('the collector takes traces again')
        failing = failed
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
  }
}

interface RequestTracing {
  tracer: Tracer
  /** The span of the request that the running code belongs to. */
  requestSpans: AsyncLocalStorage<Span>
  batchOf: ReturnType<typeof traceTransactions>['batchOf']
}

const propagator = new W3CTraceContextPropagator()

function traceRequests(app: FastifyInstance, { tracer, requestSpans, batchOf }: RequestTracing): void {
  const spans = new WeakMap<FastifyRequest, Span>()

  function start(request: FastifyRequest, startTime: number): Span {
    const parent = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter)
    const { method, routeOptions } = request
    const attributes = { 'http.request.method': method, 'http.route': routeOptions.url }
    const options = { kind: SpanKind.SERVER, startTime, attributes }
    const span = tracer.startSpan(`${method} ${routeOptions.url}`, options, parent)
    spans.set(request, span)
    return span
  }

  app.addHook('onRequest', (request, _reply, done) => {
    if (isSend(request)) start(request, Date.now())
    done()
  })
  // Not earlier: what belongs to a request would be lost where its body is read, which is the connection's own work.
  app.addHook('preHandler', (request, _reply, done) => {
    const span = spans.get(request)
    if (span) requestSpans.run(span, done)
    else done()
  })
  app.addHook('preSerialization', (request, _reply, payload, done) => {
    const span = spans.get(request)
    const batch = span?.isRecording() ? batchOf(messageIdOf(payload)) : undefined
    if (batch) span?.addLink({ context: batch })
    done(null, payload)
  })
  onAnswered(app, (request, reply) => {
    if (!isSend(request)) return
    // Some are refused before any hook of this plugin.
    const span = spans.get(request) ?? start(request, Date.now() - reply.elapsedTime)
    end(span, request, reply)
  })
}

function isSend({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.config.metrics === 'send'
}

function messageIdOf(payload: unknown): string {
  return (payload as Partial<SendMessageResponse>).data?._id ?? ''
}

function end(span: Span, request: FastifyRequest, { statusCode, outcome }: FastifyReply): void {
  span.setAttributes({ 'http.response.status_code': statusCode, 'request.id': request.id })
  if (outcome !== 'OK') span.setAttribute('refusal.code', outcome)
  if (statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', outcome)
  span.end()
}
