import { once } from 'node:events'
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: { code?: string; status?: string; data?: { _id: string } }
}

/** A client with one connection, which it keeps for as long as the service does. */
export interface Connection {
  get(path: string): Promise<RawAnswer>
  post(path: string, headers: Record<string, string>, body: unknown): Promise<RawAnswer>
  close(): void
}

export function connectionTo(url: string): Connection {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  async function send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: string,
  ): Promise<RawAnswer> {
    const outgoing = request(url + path, { method, agent, headers })
    outgoing.end(body)
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    const text = (await incoming.setEncoding('utf8').toArray()).join('')
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: JSON.parse(text) }
  }
  return {
    get: (path) => send('GET', path, {}),
    post: (path, headers, body) =>
      send('POST', path, { 'content-type': 'application/json', ...headers }, JSON.stringify(body)),
    close: () => agent.destroy(),
  }
}

/** A connection on which so much was sent, and no more will be. */
export async function halfOpen(url: string, sent: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.on('error', () => undefined)
  socket.write(sent)
  return socket
}
