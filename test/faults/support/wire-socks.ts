import type { Socket } from 'node:net'

// RFC 1928, as much of it as the driver's client speaks: no authentication, CONNECT, an IPv4 address or a name.
const version = 5
const noAuthentication = Buffer.from([version, 0])
const granted = Buffer.from([version, 0, 0, 1, 0, 0, 0, 0, 0, 0])
const refused = Buffer.from([version, 5, 0, 1, 0, 0, 0, 0, 0, 0])

/**
 * Answers the handshake, and gives the port that the client wants. Rejects where the way there is cut; where it is frozen,
 * the client waits for an answer that does not come, as it would for a host that is silent.
 */
export async function acceptSocks(
  client: Socket,
  stateOf: (port: number) => 'open' | 'cut' | 'frozen',
): Promise<number> {
  const read = reader(client)
  const [, methods = 0] = await read(2)
  await read(methods)
  client.write(noAuthentication)

  const [, , , addressType] = await read(4)
  const length = addressType === 3 ? (await read(1)).readUInt8(0) : 4
  await read(length)
  const port = (await read(2)).readUInt16BE(0)
  if (stateOf(port) === 'cut') {
    client.end(refused)
    throw new Error('cut')
  }
  if (stateOf(port) === 'frozen') return await new Promise(() => undefined)
  client.write(granted)
  client.removeAllListeners('data')
  return port
}

/** Bytes in the pieces that the protocol has. The client says nothing of its own before it is granted. */
function reader(socket: Socket): (length: number) => Promise<Buffer> {
  let buffered = Buffer.alloc(0)
  let look = (): void => undefined
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    look()
  })
  return (length) =>
    new Promise((resolve) => {
      look = (): void => {
        if (buffered.length < length) return
        look = () => undefined
        const piece = buffered.subarray(0, length)
        buffered = buffered.subarray(length)
        resolve(piece)
      }
      look()
    })
}
