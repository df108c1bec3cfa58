/** Somebody who sends the same text again and again, each time under another number. */
export interface Client {
  token: string
  receiverId: string
}

export interface Request {
  /** What goes out. The number lies in it: nothing is built again for each message. */
  readonly bytes: Buffer
  readonly numberAt: number
  /** Of the message that it carries now; the same through every repeat. */
  number: number
}

const digits = 8
// As long as most messages are.
const contentLength = 60

/** What is stored of message `number`. */
export function contentOf(mark: string, number: number): string {
  return `${mark}-${String(number).padStart(digits, '0')}-`.padEnd(contentLength, 'x')
}

/** The number in a content of that mark, or `undefined` for what is of another. */
export function numberIn(content: string, mark: string): number | undefined {
  if (!content.startsWith(`${mark}-`)) return undefined
  const number = Number(content.slice(mark.length + 1, mark.length + 1 + digits))
  return Number.isInteger(number) && contentOf(mark, number) === content ? number : undefined
}

export function requestOf({ token, receiverId }: Client, mark: string): Request {
  const body = JSON.stringify({ content: contentOf(mark, 0), type: 'text' })
  const text = `${headOf({ token, receiverId }, Buffer.byteLength(body))}${body}`
  const numberAt = text.indexOf(contentOf(mark, 0)) + mark.length + 1
  return { bytes: Buffer.from(text, 'latin1'), numberAt, number: 0 }
}

export function headOf({ token, receiverId }: Client, bodyBytes: number): string {
  return (
    `POST /message/send/${receiverId} HTTP/1.1\r\nHost: faults\r\nAuthorization: Bearer ${token}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${bodyBytes}\r\n\r\n`
  )
}

/** Only between an answer and the next sending: until then the bytes belong to the socket. */
export function renumber(request: Request, number: number): void {
  request.number = number
  request.bytes.write(String(number).padStart(digits, '0'), request.numberAt, 'latin1')
}
