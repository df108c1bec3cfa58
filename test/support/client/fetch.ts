import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'

export interface Twist {
  agent?: Agent
  method?: string
  /** Beside the client's own: names and values in turn, as they go over the wire. */
  headers?: readonly string[]
  /** The body's last byte is never sent. */
  endless?: boolean
}

/** For a client that takes a `fetch`: sends its request in a way that the real one would not. */
export function twistedFetch({ agent, method, headers = [], endless = false }: Twist) {
  return async (request: Request): Promise<Response> => {
    const body = Buffer.from(await request.arrayBuffer())
    const { host } = new URL(request.url)
    const own = [...request.headers].flat()
    const framing = ['host', host, 'content-length', String(body.length)]
    const sent = httpRequest(request.url, {
      method: method ?? request.method,
      headers: [...framing, ...own, ...headers],
      ...(agent ? { agent } : {}),
    })
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.on('response', resolve)
      sent.on('error', reject)
    })
    if (endless) sent.write(body.subarray(0, -1))
    else sent.end(body)
    const answer = await answered
    return new Response(await buffer(answer), {
      status: answer.statusCode ?? 0,
      headers: answer.headers as Record<string, string>,
    })
  }
}
