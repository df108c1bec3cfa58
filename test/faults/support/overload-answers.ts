/** As much of an answer as a load generator needs. */
export interface Answer {
  status: number
  /** `OK`, or the refusal's. */
  code: string
  /** Of the message, in a 200. */
  id: string | undefined
  /** The service will close the connection. */
  isLast: boolean
}

const headEnd = '\r\n\r\n'
const lengthName = 'content-length: '
const codeName = '"code":"'
const idName = '"_id":"'
const idLength = 24

/** The answer, once the whole of it is there. Each has a `Content-Length`, in whatever case its writer has chosen. */
export function answerIn(received: string): Answer | undefined {
  const bodyAt = received.indexOf(headEnd) + headEnd.length
  if (bodyAt < headEnd.length) return undefined
  let lengthAt = received.indexOf(lengthName)
  if (lengthAt < 0 || lengthAt > bodyAt) lengthAt = received.toLowerCase().indexOf(lengthName)
  const length = Number.parseInt(received.slice(lengthAt + lengthName.length, lengthAt + 30), 10)
  if (!(received.length >= bodyAt + length)) return undefined
  const status = Number(received.slice(9, 12))
  const isLast = /\r\nconnection: close\r\n/i.test(received.slice(0, bodyAt))
  if (status !== 200) return { status, code: codeIn(received, bodyAt), id: undefined, isLast }
  const idAt = received.lastIndexOf(idName) + idName.length
  return { status, code: 'OK', id: received.slice(idAt, idAt + idLength), isLast }
}

function codeIn(received: string, bodyAt: number): string {
  const at = received.indexOf(codeName, bodyAt)
  if (at < 0) return 'NONE'
  return received.slice(at + codeName.length, received.indexOf('"', at + codeName.length))
}
