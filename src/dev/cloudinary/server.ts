import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { picturePng, textFile, tinyVideo } from '../media-samples.ts'
import { answerTo, type Cloud, jsonAnswer, refusalAnswer } from './answer.ts'
import { type Asset, findAsset, makeAssets, storeAsset } from './assets.ts'
import { type CallSubject, readCall } from './call.ts'
import { type FaultPlan, type Faults, type Matcher, makeFaults, send, strike } from './faults.ts'
import type { ResourceType } from './inspect.ts'
import { Refusal } from './refusal.ts'

export interface CloudinaryOptions {
  /** 0 takes a free one. */
  port?: number
  host?: string
  cloudName?: string
  apiKey?: string
  apiSecret?: string
  /** The clock by which signatures grow stale. */
  now?: () => Date
}

export interface LoggedRequest extends CallSubject {
  readonly method: string
  readonly path: string
  readonly at: Date
}

export interface Put {
  publicId: string
  resourceType: ResourceType
  /** A sample of its type, unless given. */
  bytes?: Buffer
  /** What the answers say, whatever the bytes are. */
  width?: number
  height?: number
}

export interface CloudinaryStandIn {
  readonly baseUrl: string
  /** For the SDK and the service: `cloudinary://key:secret@cloud?upload_prefix=http://…`. */
  readonly cloudinaryUrl: string
  readonly faults: Faults
  /** The last requests, oldest first. */
  readonly requests: readonly LoggedRequest[]
  /** The next request that matches; carried out when the awaiter goes on, unless a fault withholds that. */
  nextRequest(matcher: Matcher): Promise<LoggedRequest>
  /** Stores an asset without a request. */
  put(asset: Put): Asset
  has(resourceType: ResourceType, publicId: string): boolean
  list(): Asset[]
  openSockets(): number
  /** Cuts every connection, hanging ones too. */
  close(): Promise<void>
}

// A benchmark makes millions of requests, and a test looks at a few: the rest would only be memory.
const requestsKeptMax = 10_000

interface StandInState {
  cloud: Cloud
  faults: FaultPlan
  requests: LoggedRequest[]
  waiters: Set<{ matcher: Matcher; resolve: (request: LoggedRequest) => void }>
}

/** Starts a stand-in that speaks Cloudinary's HTTP interface, with its assets in memory. */
export async function startCloudinary(options: CloudinaryOptions = {}): Promise<CloudinaryStandIn> {
  const { port = 0, host = '127.0.0.1', cloudName = 'demo', apiKey = 'key', apiSecret = 'secret' } = options
  const now = options.now ?? (() => new Date())
  const assets = makeAssets(now)
  const cloud: Cloud = { name: cloudName, apiKey, apiSecret, baseUrl: '', assets, now }
  const state: StandInState = { cloud, faults: makeFaults(), requests: [], waiters: new Set() }

  const server = createServer((request, response) => void serve(state, request, response))
  // Idle connections are never closed: a client about to use one would see a reset that no test asked for.
  server.keepAliveTimeout = 0
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = server.address()
  assert(address !== null && typeof address === 'object', 'listening on a port')
  cloud.baseUrl = `http://${host}:${address.port}`

  return {
    baseUrl: cloud.baseUrl,
    cloudinaryUrl: `cloudinary://${apiKey}:${apiSecret}@${cloudName}?upload_prefix=${cloud.baseUrl}`,
    faults: state.faults,
    requests: state.requests,
    nextRequest: (matcher) => new Promise((resolve) => state.waiters.add({ matcher, resolve })),
    put: (asset) => storeAsset(assets, { ...asset, bytes: asset.bytes ?? sampleOf(asset.resourceType) }),
    has: (resourceType, publicId) => findAsset(assets, resourceType, publicId) !== undefined,
    list: () => [...assets.byKey.values()],
    openSockets: () => sockets.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

async function serve(state: StandInState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const call = await readCall(request)
    const { method, path, action, resourceType, publicId, toPublicId } = call
    announce(state, { method, path, action, resourceType, publicId, toPublicId, at: state.cloud.now() })
    // From here to the deed nothing is awaited unless a fault says so: nextRequest promises that.
    const deed = () => answerTo(state.cloud, call)
    const fault = state.faults.take(call)
    if (fault === undefined) send(response, deed())
    else await strike(fault, deed, response)
  } catch (error) {
    // A client that left in the middle of its request gets no answer; there is nobody to read it.
    if (response.destroyed) return
    if (error instanceof Refusal) send(response, refusalAnswer(error))
    else send(response, jsonAnswer({ error: { message: `The stand-in is broken: ${error}` } }, 500))
  }
}

function announce({ requests, waiters }: StandInState, logged: LoggedRequest): void {
  requests.push(logged)
  if (requests.length > requestsKeptMax) requests.shift()
  for (const waiter of [...waiters].filter(({ matcher }) => matcher(logged))) {
    waiters.delete(waiter)
    waiter.resolve(logged)
  }
}

const samples = { image: picturePng(1, 1), video: tinyVideo(), raw: textFile() }

function sampleOf(resourceType: ResourceType): Buffer {
  return samples[resourceType]
}
