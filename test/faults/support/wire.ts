import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { commandNames } from '../../support/database-messages.ts'
import { acceptSocks } from './wire-socks.ts'

/**
 * One process's way to the database, past the members' own: a SOCKS5 proxy, which the driver takes by `proxyHost` in the
 * address. The members know nothing of it and go on seeing each other, so one service can be cut off from one member. (A
 * proxy's address as a member's would be in everybody's way; horizons would need TLS; `directConnection` would keep the
 * driver from finding the next primary.)
 */
export interface Wire {
  /** Behind the database's address. */
  readonly uriOptions: Record<string, string>
  /** Closes every connection to the member, and takes no other. */
  cut(port: number): void
  /** Passes nothing on, either way, and takes no connection; what was sent meanwhile arrives when it is mended. */
  freeze(port: number): void
  mend(): void
  /**
   * Ends a connection at a command of that name: with `request` the member never sees it, with `reply` it has carried it
   * out. A share of them (1 is all), until the function that it gives is called, or that many.
   */
  loses(what: 'request' | 'reply', command: string, options?: { share?: number; times?: number }): () => void
  /** Keeps back the next command of that name; `held` resolves once it has it, `release` lets it go. */
  holds(command: string): { held: Promise<void>; release(): void }
  /** How often something was lost. */
  lost(): number
  close(): void
}

interface Link {
  port: number
  client: Socket
  upstream: Socket
  /** The next bytes from the member are an answer that nobody is to see. */
  losesReply: boolean
}

interface Rule {
  command: string
  /** Gives what is to be done with this one. */
  strike(link: Link, pass: () => void): 'pass' | 'kept'
  left: number
}

export async function startWire(): Promise<Wire> {
  const links = new Set<Link>()
  const rules = new Set<Rule>()
  const states = new Map<number, 'cut' | 'frozen'>()
  let lost = 0

  function pass(link: Link, chunk: Buffer, commands: readonly string[]): void {
    const go = (): void => void link.upstream.write(chunk)
    for (const rule of rules) {
      if (!commands.includes(rule.command) || rule.left === 0) continue
      if (rule.strike(link, go) === 'kept') return
    }
    go()
  }

  function join(client: Socket, port: number): void {
    const link: Link = { port, client, upstream: connect(port, '127.0.0.1'), losesReply: false }
    const { upstream } = link
    const namesIn = commandNames()
    links.add(link)
    client.on('data', (chunk: Buffer) => pass(link, chunk, namesIn(chunk)))
    upstream.on('data', (chunk: Buffer) => {
      if (link.losesReply) end(link)
      else client.write(chunk)
    })
    for (const socket of [client, upstream]) {
      socket.on('error', () => undefined)
      socket.on('close', () => {
        links.delete(link)
        // Not destroyed at once: what was kept back by a freeze is still to arrive.
        client.end()
        upstream.end()
      })
    }
  }

  function end(link: Link): void {
    lost += 1
    link.client.destroy()
    link.upstream.destroy()
  }

  const server = createServer((client) => {
    client.on('error', () => undefined)
    acceptSocks(client, (port) => states.get(port) ?? 'open').then(
      (port) => join(client, port),
      () => client.destroy(),
    )
  })
  const port = await listen(server)
  const of = (member: number): Link[] => [...links].filter((link) => link.port === member)

  return {
    uriOptions: { proxyHost: '127.0.0.1', proxyPort: String(port) },
    cut(member) {
      states.set(member, 'cut')
      for (const { client, upstream } of of(member)) for (const each of [client, upstream]) each.destroy()
    },
    freeze(member) {
      states.set(member, 'frozen')
      for (const { client, upstream } of of(member)) for (const each of [client, upstream]) each.pause()
    },
    mend() {
      states.clear()
      rules.clear()
      for (const { client, upstream } of links) for (const each of [client, upstream]) each.resume()
    },
    loses(what, command, { share = 1, times = Number.POSITIVE_INFINITY } = {}) {
      const rule: Rule = {
        command,
        left: times,
        strike(link) {
          if (Math.random() >= share) return 'pass'
          rule.left -= 1
          if (what === 'request') end(link)
          else link.losesReply = true
          return what === 'request' ? 'kept' : 'pass'
        },
      }
      rules.add(rule)
      return () => void rules.delete(rule)
    },
    holds(command) {
      let release = (): void => undefined
      const held = new Promise<void>((resolve) => {
        const rule: Rule = {
          command,
          left: 1,
          strike(_link, go) {
            rule.left = 0
            rules.delete(rule)
            release = go
            resolve()
            return 'kept'
          },
        }
        rules.add(rule)
      })
      return { held, release: () => release() }
    },
    lost: () => lost,
    close() {
      server.close()
      for (const { client, upstream } of links) for (const each of [client, upstream]) each.destroy()
    },
  }
}

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}
