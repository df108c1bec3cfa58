import { Agent, request } from 'node:http'

export interface Sending {
  receiverId: string
  token: string
  key: string | undefined
  body: string
}

export type Reply =
  | {
      kind: 'answered'
      status: number
      code: string
      id: string | undefined
      retryAfterMs: number | undefined
    }
  /** Nothing, or half of an answer: what was sent may have been done. */
  | { kind: 'unanswered'; reason: string }

// The contract's 18 s and the machine's own delays: who gets no answer by then will not get one.
const giveUpMs = 25_000
// As a browser or a balancer would: connections are kept, so that a fault meets them in use.
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })

/** One try. Never throws. */
export function sendTo(url: string, { receiverId, token, key, body }: Sending): Promise<Reply> {
  return new Promise((resolve) => {
    const unanswered = (error: Error): void => resolve({ kind: 'unanswered', reason: error.message })
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    }
    const sent = request(
      `${url}/message/send/${receiverId}`,
      { agent, method: 'POST', headers },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('error', unanswered)
        response.on('end', () => {
          const seconds = Number(response.headers['retry-after'])
          resolve({
            kind: 'answered',
            status: response.statusCode ?? 0,
            ...contentsOf(text),
            retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
          })
        })
      },
    )
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${giveUpMs / 1000} s`)), giveUpMs)
    sent.on('close', () => clearTimeout(timer))
    sent.on('error', unanswered)
    sent.end(body)
  })
}

/** Closes what is kept: a process that waits for its connections to end can end. */
export function closeConnections(): void {
  agent.destroy()
}

function contentsOf(text: string): { code: string; id: string | undefined } {
  const { code, data } = JSON.parse(text) as { code?: string; data?: { _id: string } }
  return { code: code ?? 'OK', id: data?._id }
}
