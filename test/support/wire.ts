import { Agent, request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { Answer, Person } from './people.ts'
import type { Service } from './service.ts'

export interface WireRequest {
  method?: string
  path: string
  /** All of them: nothing is added but `Host`, `Connection` and what frames the body. */
  headers?: Record<string, string | string[]>
  body?: string | Buffer
}

export interface Talk {
  answers: Answer[]
  closed: boolean
}

export interface TalkOptions {
  /** Ends once so many answers are there; else when the service closes the connection. */
  answers?: number
  /** Reads nothing before everything is written, as simple clients do. */
  readsLate?: boolean
  /** Says that nothing more will come. */
  halfCloses?: boolean
  /** The connection is there before, and says nothing. */
  silentUntil?: Promise<unknown>
}

/** What `fetch` would not send: any header or none, and any bytes at all. Each answer is checked like the others. */
export interface Wire {
  ask(request: WireRequest): Promise<Answer>
  /** `ask`, as the person, of the send call; a header that is `undefined` is left out. */
  post(sender: Person, userId: string, body: unknown, headers?: Record<string, unknown>): Promise<Answer>
  talk(bytes: string | Buffer | readonly (string | Buffer)[], options?: TalkOptions): Promise<Talk>
  /** How many documents a refusal could have left behind. */
  stored(): Promise<{ messages: number; conversations: number; media: number }>
}

export function createWire(t: Test, { url, db, conformance }: Service): Wire {
  const { port } = new URL(url)
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  t.teardown(() => agent.destroy())

  function checked(method: string, path: string, answer: Omit<Answer, 'code'>): Answer {
    if (method !== 'HEAD') conformance.check(method, path.split('?')[0] ?? path, answer)
    return { ...answer, code: answer.body?.code ?? 'OK' }
  }

  async function ask({ method = 'POST', path, headers = {}, body }: WireRequest): Promise<Answer> {
    const sent = httpRequest({ agent, port, host: '127.0.0.1', method, path, headers })
    const answered = new Promise<Answer>((resolve, reject) => {
      sent.on('error', reject)
      sent.on('response', async (response) => {
        const payload = await text(response)
        const answer = {
          status: response.statusCode ?? 0,
          headers: new Headers(response.headers as Record<string, string>),
          body: payload === '' ? undefined : JSON.parse(payload),
        }
        resolve(Promise.resolve().then(() => checked(method, path, answer)))
      })
    })
    sent.end(body)
    return await answered
  }

  return {
    ask,
    post: (sender, userId, body, headers = {}) => {
      const all = { authorization: `Bearer ${sender.token}`, 'content-type': 'application/json', ...headers }
      const present = Object.entries(all).filter(([, value]) => value !== undefined)
      const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
      return ask({
        path: `/message/send/${userId}`,
        headers: Object.fromEntries(present) as Record<string, string>,
        body: bytes,
      })
    },
    async talk(
      bytes,
      { answers: wanted = Number.POSITIVE_INFINITY, readsLate = false, halfCloses = false, silentUntil } = {},
    ) {
      const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: halfCloses })
      const heard = hear(socket, wanted)
      await silentUntil
      if (readsLate) socket.pause()
      for (const chunk of [bytes].flat()) socket.write(chunk)
      socket.write('', () => socket.resume())
      if (halfCloses) socket.end()
      const { raw, closed } = await heard
      const pathOf = ({ status }: { status: number }) => (status === 200 ? '/message/send/someone' : '/')
      return { answers: answersIn(raw).map((answer) => checked('POST', pathOf(answer), answer)), closed }
    },
    async stored() {
      const count = (name: string): Promise<number> => db.collection(name).countDocuments()
      const [messages, conversations, media] = await Promise.all([
        count('messages'),
        count('conversations'),
        count('media'),
      ])
      return { messages, conversations, media }
    },
  }
}

/** `400 INVALID_BODY` for each, under its own name: a table of what is answered. */
export async function outcomes(asked: Record<string, Promise<Answer>>): Promise<Record<string, string>> {
  const entries = Object.entries(asked)
  const answers = await Promise.all(entries.map(([, answer]) => answer))
  return Object.fromEntries(entries.map(([name], index) => [name, outcomeOf(answers[index])]))
}

export const json = '{"content":"hi","type":"text"}'

export interface RequestBytes {
  line: string
  token: string
  host?: string[]
  length?: string[]
  more?: string[]
  body?: string
}

/** The bytes of a right request of the send call, but for what is told. */
export function requestBytes({
  line,
  token,
  host = ['Host: service'],
  length = [`Content-Length: ${json.length}`],
  more = [],
  body = json,
}: RequestBytes): string {
  const fields = [
    ...host,
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    ...length,
    ...more,
  ]
  return `${[line, ...fields].join('\r\n')}\r\n\r\n${body}`
}

/** The outcomes of all that was answered on a connection, and who ended it. */
export function course({ answers, closed }: Talk): string {
  return [...answers.map(outcomeOf), closed ? 'closed' : 'open'].join(', ')
}

/** The same outcome under each of the names, and others where they are told. */
export function each(
  names: Record<string, string>,
  outcome: string,
  others: Record<string, string> = {},
): Record<string, string> {
  return { ...Object.fromEntries(Object.keys(names).map((name) => [name, outcome])), ...others }
}

export function outcomeOf(answer: Answer | undefined): string {
  return answer ? `${answer.status} ${answer.code}` : 'no answer'
}

async function hear(socket: Socket, wanted: number): Promise<{ raw: string; closed: boolean }> {
  let raw = ''
  return await new Promise((resolve, reject) => {
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      raw += chunk
      if (answersIn(raw).length < wanted) return
      socket.destroy()
      resolve({ raw, closed: false })
    })
    socket.on('end', () => resolve({ raw, closed: true }))
    // A reset after the answers took them from nobody; before, the caller misses them.
    socket.on('error', reject)
  })
}

/** The whole answers among the bytes; interim ones (`100 Continue`) are passed over. */
function answersIn(raw: string): Omit<Answer, 'code'>[] {
  const end = raw.indexOf('\r\n\r\n')
  if (end < 0) return []
  const [statusLine = '', ...lines] = raw.slice(0, end).split('\r\n')
  const headers = new Headers(lines.map((line) => line.split(/: (.*)/, 2) as [string, string]))
  const status = Number(statusLine.split(' ')[1])
  const next = end + 4 + Number(headers.get('content-length') ?? 0)
  if (raw.length < next) return []
  const answer = { status, headers, body: JSON.parse(raw.slice(end + 4, next) || 'null') }
  return [...(status === 100 ? [] : [answer]), ...answersIn(raw.slice(next))]
}

/** Requests to one path by one sender, as bytes; of what comes back, only the course. */
export function talking(
  wire: ReturnType<typeof createWire>,
  { path, token }: { path: string; token: string },
) {
  /** A right request, but for what is told. */
  const bytes = (parts: Partial<RequestBytes> = {}): string =>
    requestBytes({ line: `POST ${path} HTTP/1.1`, token, ...parts })
  const talk = async (sent: string | Buffer, options?: TalkOptions): Promise<string> =>
    course(await wire.talk(sent, options))

  async function talks(sent: Record<string, string | Buffer>): Promise<Record<string, string>> {
    const heard = await Promise.all(Object.values(sent).map((each) => talk(each)))
    return Object.fromEntries(Object.keys(sent).map((name, index) => [name, heard[index] ?? '']))
  }

  return { bytes, talk, talks }
}
