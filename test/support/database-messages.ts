import { BSON, type Document } from 'mongodb'

// The wire protocol's: length, request id, answered id and kind (4 bytes each), then for OP_MSG flags (4), the kind of the
// first section (1: the command itself), its document's length (4), its first field's type (1), and that field's name: the
// command.
const opCodeAt = 12
const opMsg = 2013
const sectionAt = 20
const documentAt = 21
const nameAt = 26

/** A command on its way to the database. */
export interface Command {
  name: string
  /** The collection, for those that have one. */
  collection: string
  inTransaction: boolean
  body: Document
}

/** Whole messages of what comes in pieces: each begins with its length. */
export function inMessages(take: (message: Buffer) => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (bytes) => {
    rest = Buffer.concat([rest, bytes])
    while (rest.length >= 4 && rest.length >= rest.readInt32LE()) {
      const length = rest.readInt32LE()
      take(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
  }
}

export function commandIn(message: Buffer): Command | undefined {
  const name = nameIn(message)
  if (name === undefined) return undefined
  const body = BSON.deserialize(message.subarray(documentAt, documentAt + message.readInt32LE(documentAt)))
  return { name, collection: String(body[name]), inTransaction: body.autocommit === false, body }
}

/** For one connection: gives the names of the commands that are whole with each chunk. */
export function commandNames(): (chunk: Buffer) => string[] {
  let names: (string | undefined)[] = []
  const read = inMessages((message) => void names.push(nameIn(message)))
  return (chunk) => {
    names = []
    read(chunk)
    return names.filter((name) => name !== undefined)
  }
}

function nameIn(message: Buffer): string | undefined {
  if (message.readInt32LE(opCodeAt) !== opMsg || message[sectionAt] !== 0) return undefined
  return message.toString('latin1', nameAt, message.indexOf(0, nameAt))
}
