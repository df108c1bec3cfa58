import { type ClientRequest, Agent as HttpAgent, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import fp from 'fastify-plugin'
import type { AssetStorage, FindAnswer, RenameAnswer, ResourceType, StoredAsset } from '../asset-storage.ts'
import type { Config } from '../config.ts'
import { within } from '../lib/within.ts'

declare module 'fastify' {
  interface FastifyInstance {
    storage: AssetStorage
  }
}

// Calls at once: what waits for a socket waits within its own time, and a hanging storage holds no more than these.
const socketsMax = 64
// Idle sockets are kept for less than Cloudinary keeps them, so that few calls meet one that was just closed.
const keepAliveMs = 4_000

/** Decorates `app.storage`: Cloudinary, through its SDK. */
export default fp<Config['cloudinary']>(
  async (app, config) => {
    // The SDK decides between http and https by the environment at the moment when it is first loaded.
    const { v2: cloudinary } = await import('cloudinary')
    const options = { keepAlive: true, maxSockets: socketsMax, timeout: keepAliveMs }
    const agent = config.uploadPrefix.startsWith('http:') ? new HttpAgent(options) : new HttpsAgent(options)
    app.addHook('onClose', async () => agent.destroy())
    app.decorate('storage', createStorage(cloudinary.uploader, agent, config))
  },
  { name: 'cloudinary' },
)

type Uploader = typeof import('cloudinary')['v2']['uploader']
type Call = (options: object) => Promise<unknown>

function createStorage(uploader: Uploader, agent: HttpAgent, config: Config['cloudinary']): AssetStorage {
  const account = {
    cloud_name: config.cloudName,
    api_key: config.apiKey,
    api_secret: config.apiSecret,
    upload_prefix: config.uploadPrefix,
  }
  const send = (type: ResourceType, timeoutMs: number, call: Call) =>
    sendWithin(timeoutMs, agent, (transport) =>
      call({ ...account, ...transport, resource_type: type, type: 'upload' }),
    )

  return {
    async rename(type, from, to, timeoutMs) {
      const answer = await send(type, timeoutMs, (options) =>
        uploader.rename(from, to, { ...options, overwrite: false, invalidate: false }),
      )
      return renameAnswer(answer, type, to)
    },
    async find(type, publicId, timeoutMs) {
      return findAnswer(
        await send(type, timeoutMs, (options) => uploader.explicit(publicId, options)),
        type,
        publicId,
      )
    },
    async destroy(type, publicId, timeoutMs) {
      const answer = await send(type, timeoutMs, (options) =>
        uploader.destroy(publicId, { ...options, invalidate: true }),
      )
      if (answer.kind !== 'ok') return answer.kind === 'refused' ? answer : { kind: 'unanswered' }
      const { result } = answer.value as { result?: unknown }
      if (result === 'ok') return { kind: 'destroyed' }
      return result === 'not found' ? { kind: 'missing' } : { kind: 'unanswered' }
    },
  }
}

type SdkAnswer =
  | { kind: 'ok'; value: unknown }
  | { kind: 'refused'; status: number; message: string }
  | { kind: 'unanswered' }

/**
 * One call with an end of its own. The SDK's `timeout` is an idle time-out, which a dripping answer outlives; it gives no
 * handle to its request; and the body of an answer with a status that it does not know is never read. So the request is
 * caught on its way through the agent, and destroyed unless its answer was read to the end: no socket leaks, and a refusal
 * costs none.
 */
async function sendWithin(timeoutMs: number, agent: HttpAgent, call: Call): Promise<SdkAnswer> {
  let request: ClientRequest | undefined
  let response: IncomingMessage | undefined
  const catching = Object.create(agent, {
    addRequest: {
      value: (outgoing: ClientRequest, ...rest: unknown[]) => {
        request = outgoing.once('response', (incoming) => {
          response = incoming
        })
        return (agent as unknown as { addRequest(...args: unknown[]): void }).addRequest(outgoing, ...rest)
      },
    },
  })
  const answer = call({ agent: catching, timeout: timeoutMs }).then(
    (value): SdkAnswer => ({ kind: 'ok', value }),
    asSdkAnswer,
  )
  const inTime = await within(timeoutMs, answer)
  if (!response?.readableEnded) request?.destroy()
  return inTime ?? { kind: 'unanswered' }
}

/** Rejections are plain objects: `{ message, http_code }`, under `error` for time-outs and sockets. Never logged: they can hold the key. */
function asSdkAnswer(rejection: unknown): SdkAnswer {
  const { http_code: status, message } = rejection as { http_code?: unknown; message?: unknown }
  // Below 500 the storage has said no. A 5xx, a time-out (499, the SDK's own) or broken JSON may hide a call that was done;
  // and a page of a proxy's says nothing about an asset, whatever its status.
  if (typeof status !== 'number' || status < 400 || status === 499 || status >= 500)
    return { kind: 'unanswered' }
  if (/invalid JSON response/.test(String(message))) return { kind: 'unanswered' }
  return { kind: 'refused', status, message: String(message) }
}

function renameAnswer(answer: SdkAnswer, type: ResourceType, to: string): RenameAnswer {
  const found = findAnswer(answer, type, to)
  if (found.kind === 'found') return { kind: 'renamed', asset: found.asset }
  if (found.kind === 'missing') return { kind: 'source-missing' }
  if (answer.kind === 'refused' && answer.status === 400 && /already exists/i.test(answer.message)) {
    return { kind: 'target-exists' }
  }
  return found
}

function findAnswer(answer: SdkAnswer, type: ResourceType, publicId: string): FindAnswer {
  if (answer.kind === 'refused') {
    return answer.status === 404 ? { kind: 'missing' } : { kind: 'refused', status: answer.status }
  }
  const asset = answer.kind === 'ok' ? assetOf(answer.value, type, publicId) : undefined
  return asset ? { kind: 'found', asset } : { kind: 'unanswered' }
}

/** The asset that was asked for, or nothing: another id, or an answer that lacks what a message needs, says nothing. */
function assetOf(value: unknown, resourceType: ResourceType, publicId: string): StoredAsset | undefined {
  const { public_id, asset_id, secure_url, width, height, bytes } = value as Record<string, unknown>
  if (public_id !== publicId || typeof asset_id !== 'string' || typeof secure_url !== 'string')
    return undefined
  if (typeof bytes !== 'number') return undefined
  const size = (pixels: unknown) => (typeof pixels === 'number' ? pixels : null)
  return {
    resourceType,
    publicId,
    assetId: asset_id,
    url: secure_url,
    width: size(width),
    height: size(height),
    bytes,
  }
}
