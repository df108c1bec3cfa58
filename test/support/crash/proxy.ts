import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import type { Document } from 'mongodb'
import type { Test } from 'tap'
import { type Command, commandIn, inMessages } from '../database-messages.ts'

/** The way to the database, which ends for good at the point where a process is to be killed. */
export interface CrashProxy {
  uri: string
  /** In which there were transactions, as the server's commands about sessions name them. */
  sessions: readonly Document[]
  /** Resolves when such a command has come. It is not passed on, and nothing is after it. */
  endBefore(matches: (command: Command) => boolean): Promise<Command>
  /** Resolves when such a command was carried out. Its answer is not passed on, and nothing is after it. */
  endAfter(matches: (command: Command) => boolean): Promise<Command>
}

interface End {
  when: 'before' | 'after'
  matches(command: Command): boolean
  reached(command: Command): void
}

/** Stands before a database of one member; the driver must not look for others. */
export async function startCrashProxy(t: Test, mongodbUri: string): Promise<CrashProxy> {
  const { hostname, port, pathname } = new URL(mongodbUri)
  let end: End | undefined
  let hasEnded = false
  const sessions: Document[] = []

  function reach({ reached }: End, command: Command): void {
    hasEnded = true
    reached(command)
  }

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const [one, other] of [[client, upstream] as const, [upstream, client] as const]) {
      one.on('error', () => undefined)
      one.on('close', () => other.destroy())
    }
    // Of each connection one command is under way at a time.
    let asked: Command | undefined
    client.on(
      'data',
      inMessages((message) => {
        asked = commandIn(message)
        if (asked?.body.startTransaction) sessions.push(asked.body.lsid)
        if (!hasEnded && asked && end?.when === 'before' && end.matches(asked)) reach(end, asked)
        if (!hasEnded) upstream.write(message)
      }),
    )
    upstream.on(
      'data',
      inMessages((message) => {
        if (!hasEnded && asked && end?.when === 'after' && end.matches(asked)) reach(end, asked)
        if (!hasEnded) client.write(message)
      }),
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())

  const endAt = (when: End['when'], matches: End['matches']): Promise<Command> =>
    new Promise((reached) => {
      end = { when, matches, reached }
    })
  const { port: ownPort } = server.address() as AddressInfo
  return {
    uri: `mongodb://127.0.0.1:${ownPort}${pathname}?directConnection=true`,
    sessions,
    endBefore: (matches) => endAt('before', matches),
    endAfter: (matches) => endAt('after', matches),
  }
}
