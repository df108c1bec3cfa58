// The wire protocol's: length, request id, answered id and kind (4 bytes each), then for OP_MSG flags (4), the kind of the
// first section (1), its document's length (4), its first field's type (1), and that field's name: the command.
const headBytes = 16
const opMsg = 2013
const nameAt = 26
// Longer than any command's name, so that it is whole.
const enoughBytes = 64

/** For one connection: gives the names of the commands that begin in each chunk. */
export function commandNames(): (chunk: Buffer) => string[] {
  let rest = Buffer.alloc(0)
  let bodyLeft = 0
  return (chunk) => {
    const names: string[] = []
    const skipped = Math.min(bodyLeft, chunk.length)
    bodyLeft -= skipped
    rest = Buffer.concat([rest, chunk.subarray(skipped)])
    while (rest.length >= headBytes) {
      const length = rest.readInt32LE(0)
      if (rest.length < Math.min(length, enoughBytes)) break
      if (rest.readInt32LE(12) === opMsg) names.push(nameOf(rest))
      bodyLeft = Math.max(0, length - rest.length)
      rest = rest.subarray(Math.min(length, rest.length))
    }
    return names
  }
}

function nameOf(message: Buffer): string {
  return message.toString('latin1', nameAt, message.indexOf(0, nameAt))
}
