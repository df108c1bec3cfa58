import type { Test } from 'tap'
import { type CollectedSpan, type Collector, startCollector } from './collector.ts'
import { type Service, type ServiceOptions, startService } from './service.ts'

export const traceId = '0af7651916cd43dd8448eb211c80319c'
export const spanId = 'b7ad6b7169203331'
export const traceparent = `00-${traceId}-${spanId}-01`

export interface Traced {
  collector: Collector
  service: Service
}

export async function startTraced(t: Test, { env, ...options }: ServiceOptions = {}): Promise<Traced> {
  const collector = await startCollector(t)
  const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env }
  return { collector, service: await startService(t, { env: variables, ...options }) }
}

/** The span of a send call. */
export const isRequest = ({ name }: CollectedSpan): boolean => name === 'POST /message/send/:userId'
