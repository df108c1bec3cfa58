import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'

/** What may happen to one request between a client and the service. */
export type Fault =
  /** The connection is cut before the service has seen the request, or after it has answered. */
  | { kind: 'cut'; when: 'before' | 'after' }
  /** The answer ends in its middle. */
  | { kind: 'half' }
  /** A proxy's own answer. */
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body: string }

/** The way from a client to the service. */
export interface ClientProxy {
  url: string
  /** For the next requests, one each; after that, nothing is done to them. */
  next(...faults: Fault[]): void
  /** The keys of the requests so far. */
  keys: string[]
  /** The tokens of the requests so far. */
  tokens: string[]
  /** Nobody listens at the address. */
  close(): Promise<void>
  open(): Promise<void>
}

export async function startClientProxy(t: Test, serviceUrl: string): Promise<ClientProxy> {
  const faults: Fault[] = []
  const keys: string[] = []
  const tokens: string[] = []
  const server = createServer((request, response) => {
    keys.push(String(request.headers['idempotency-key']))
    tokens.push(String(request.headers.authorization).replace('Bearer ', ''))
    void pass(serviceUrl, request, response, faults.shift())
  })
  const open = async (port: number): Promise<number> => {
    await once(server.listen(port, '127.0.0.1'), 'listening')
    return (server.address() as AddressInfo).port
  }
  const close = async (): Promise<void> => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  const port = await open(0)
  t.teardown(close)
  return {
    url: `http://127.0.0.1:${port}`,
    next: (...next) => void faults.push(...next),
    keys,
    tokens,
    close,
    open: async () => void (await open(port)),
  }
}

async function pass(
  serviceUrl: string,
  request: IncomingMessage,
  response: ServerResponse,
  fault?: Fault,
): Promise<void> {
  const body = await buffer(request)
  if (fault?.kind === 'answer') {
    response.writeHead(fault.status, { 'content-type': 'text/html', ...fault.headers }).end(fault.body)
    return
  }
  if (fault?.kind === 'cut' && fault.when === 'before') return void response.destroy()
  const { method = 'GET', url, headers } = request
  const { host, connection, 'content-length': length, 'transfer-encoding': coding, ...passed } = headers
  const answer = await fetch(serviceUrl + url, {
    method,
    headers: passed as Record<string, string>,
    ...(body.length > 0 ? { body } : {}),
  })
  const bytes = Buffer.from(await answer.arrayBuffer())
  if (fault?.kind === 'cut') return void response.destroy()
  response.writeHead(answer.status, { ...Object.fromEntries(answer.headers), 'content-length': bytes.length })
  if (fault?.kind === 'half') response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
  else response.end(bytes)
}
