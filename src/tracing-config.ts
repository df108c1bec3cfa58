import { decoded, type Environment, type Fail, isHttpUrl } from './environment.ts'

export interface TracingConfig {
  /** Where the collector takes traces: the endpoint with the protocol's path. */
  url: string
  headers: Record<string, string>
  serviceName: string
  /** Of the traces that begin here, how many are kept; with a parent's word in a `traceparent`, or against it. */
  sampler: { ratio: number; parentBased: boolean }
}

/** The other variables count only with an endpoint: whoever sets them for all services may not want traces of this one. */
export function tracing(env: Environment, fail: Fail): { tracing?: TracingConfig } {
  const endpoint = env.OTEL_EXPORTER_OTLP_ENDPOINT
  if (endpoint === undefined || env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return {}
  if (!isHttpUrl(endpoint)) fail('OTEL_EXPORTER_OTLP_ENDPOINT must be an http or https address')
  return {
    tracing: {
      url: `${endpoint.replace(/\/$/, '')}/v1/traces`,
      headers: headers(env.OTEL_EXPORTER_OTLP_HEADERS ?? '', fail),
      serviceName: env.OTEL_SERVICE_NAME ?? 'private-message-service',
      sampler: sampler(env.OTEL_TRACES_SAMPLER ?? 'parentbased_always_on', env.OTEL_TRACES_SAMPLER_ARG, fail),
    },
  }
}

/** `name=value` with commas between, each value percent-encoded: as W3C Baggage, which the specification takes over. */
function headers(text: string, fail: Fail): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '')
  const entries = pairs.map((pair) => {
    const [, name = '', value = ''] = /^\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? []
    return [name, decoded(value)] as const
  })
  if (!entries.every(([name, value]) => name !== '' && /^[\x20-\x7e]+$/.test(value))) {
    fail('OTEL_EXPORTER_OTLP_HEADERS must be name=value with commas between, values percent-encoded')
  }
  return Object.fromEntries(entries)
}

function sampler(name: string, share = '1', fail: Fail): TracingConfig['sampler'] {
  const [, parent, own] = /^(parentbased_)?(always_on|always_off|traceidratio)$/.exec(name) ?? []
  if (!own) fail('OTEL_TRACES_SAMPLER must be (parentbased_) always_on, always_off or traceidratio')
  const ratio = /^\d(\.\d+)?$/.test(share) ? Number(share) : Number.NaN
  if (!(ratio <= 1)) fail('OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1')
  return { ratio: own === 'traceidratio' ? ratio : Number(own === 'always_on'), parentBased: Boolean(parent) }
}
