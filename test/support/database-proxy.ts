import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** The way to the database, which a test can cut and mend. */
export interface DatabaseProxy {
  uri: string
  /** Closes every connection, and takes no other that lasts. */
  cut(): void
  /** Takes connections and bytes, and passes nothing on. */
  freeze(): void
  /** Passes nothing more on those that are open; new ones are served. */
  freezeOpen(): void
  mend(): void
}

/** Stands before a database of one member; the driver must not look for others. */
export async function startDatabaseProxy(t: Test, mongodbUri: string): Promise<DatabaseProxy> {
  const { hostname, port, pathname } = new URL(mongodbUri)
  const sockets = new Set<Socket>()
  const frozen = new WeakSet<Socket>()
  let state: 'open' | 'cut' | 'frozen' = 'open'

  const server = createServer((client) => {
    if (state === 'cut') return void client.destroy()
    const upstream = connect(Number(port), hostname)
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(from)
      from.on('error', () => undefined)
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.on('data', (bytes) => void (state === 'open' && !frozen.has(from) && to.write(bytes)))
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')

  function closeAll(): void {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    server.close()
    closeAll()
  })
  const address = server.address() as AddressInfo
  return {
    uri: `mongodb://127.0.0.1:${address.port}${pathname}?directConnection=true`,
    cut() {
      state = 'cut'
      closeAll()
    },
    freeze() {
      state = 'frozen'
    },
    freezeOpen() {
      for (const socket of sockets) frozen.add(socket)
    },
    mend() {
      state = 'open'
      // What was swallowed meanwhile is missing on these.
      closeAll()
    },
  }
}
