import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { CloudinaryStandIn } from '../../../src/dev/cloudinary/server.ts'
import { type Reply, sendTo } from './http.ts'
import { type Draft, type Entry, type Ledger, type MessageKind, openLedger } from './ledger.ts'
import type { People, Person } from './people.ts'

export interface TrafficDeps {
  people: People
  storage: CloudinaryStandIn
  /** Where to send the next try: as a balancer, which goes on to the next one. */
  nextUrl(): string
}

/** How often each kind of message is sent; the sum is 1. */
export type Mix = Partial<Record<MessageKind, number>>

export interface TrafficOptions {
  clients: number
  /** A client's mean pause between two messages: so the load is bounded, whatever the machine can take. */
  pauseMs: number
  mix?: Mix
  /** How long `stop` lets repeats go on: two minutes unless told, as a killed process holds uploads for 90 s. */
  drainMs?: number
}

export interface Traffic {
  readonly ledger: Ledger
  /** Nothing new is sent; resolves when each client has its answer, or has asked long enough. */
  stop(): Promise<void>
  /** Nothing is sent any more, not even a repeat: for what has failed. */
  abandon(): void
}

export const usualMix: Mix = {
  text: 0.6,
  hot: 0.15,
  first: 0.12,
  media: 0.06,
  once: 0.05,
  'media once': 0.02,
}

// The contract's two minutes until every upload is free, and the last repeat.
const drainMaxMs = 150_000
// Messages with media that a client waits for beside what else it sends: a storage that is silent holds up no text.
const asideMax = 8
// A client that was not told when to come back.
const repeatPauseMs = 200
// Of the refusals that a client repeats after: conflicts that end by themselves, and limits.
const passing = new Set([408, 409, 429])

/** Clients that send, and repeat with the same key until they know. */
export function startTraffic(deps: TrafficDeps, options: TrafficOptions): Traffic {
  const ledger = openLedger()
  const state = { stopping: false, drainedAt: Number.POSITIVE_INFINITY }
  const compose = composer(deps, options.mix ?? usualMix)
  const clients = deps.people.senders.slice(0, options.clients).map((sender) => runClient(sender))

  async function runClient(sender: Person): Promise<void> {
    const aside = new Set<Promise<void>>()
    while (!state.stopping) {
      const { message, token } = compose(sender)
      const errand = sendUntilAnswered(deps, ledger, { entry: ledger.open(message), token, state })
      if (message.mediaIds.length === 0) await errand
      else keepAside(aside, errand)
      if (aside.size >= asideMax) await Promise.race(aside)
      await pause(options.pauseMs * 2 * Math.random())
    }
    await Promise.all(aside)
  }

  return {
    ledger,
    async stop() {
      state.stopping = true
      state.drainedAt = performance.now() + (options.drainMs ?? drainMaxMs)
      await Promise.all(clients)
    },
    abandon() {
      state.stopping = true
      state.drainedAt = 0
    },
  }
}

function keepAside(aside: Set<Promise<void>>, errand: Promise<void>): void {
  aside.add(errand)
  void errand.finally(() => aside.delete(errand))
}

type Composed = { message: Draft; token: string }

function composer({ people, storage }: TrafficDeps, mix: Mix): (sender: Person) => Composed {
  const run = randomUUID().slice(0, 8)
  let count = 0
  const kinds = Object.entries(mix) as [MessageKind, number][]

  return (client) => {
    const kind = pick(kinds)
    const mark = `${run}-${count++}`
    const sender = kind === 'hot' ? people.hot[count % 2 === 0 ? 0 : 1] : client
    const message = {
      mark,
      kind,
      key: kind.endsWith('once') ? undefined : mark,
      senderId: sender.id,
      receiverId: receiverOf(kind, sender).id,
      mediaIds: kind.startsWith('media') ? uploads(sender, mark) : [],
    }
    return { message, token: kind === 'bad token' ? `${sender.token}x` : sender.token }
  }

  function receiverOf(kind: MessageKind, sender: Person): Pick<Person, 'id'> {
    const contacts = people.contactsOf(sender)
    if (kind === 'hot') return people.hot[sender === people.hot[0] ? 1 : 0]
    if (kind === 'first') return people.strangerTo(sender)
    if (kind === 'blocked') return people.blocker
    if (kind === 'unknown receiver') return { id: '0123456789abcdef01234567' }
    return contacts[Math.floor(Math.random() * contacts.length)] ?? people.blocker
  }

  function uploads(sender: Person, mark: string): string[] {
    const names = Math.random() < 0.5 ? ['a'] : ['a', 'b']
    return names.map((name) => {
      const publicId = `temp/user_${sender.id}/${mark}-${name}`
      storage.put({ publicId, resourceType: 'image' })
      return publicId
    })
  }
}

function pick(kinds: readonly [MessageKind, number][]): MessageKind {
  let left = Math.random()
  for (const [kind, share] of kinds) {
    left -= share
    if (left < 0) return kind
  }
  return 'text'
}

interface Errand {
  entry: Entry
  token: string
  state: { drainedAt: number }
}

/** With the same key, honouring `Retry-After`, until a 200 or a refusal that stays. */
export async function sendUntilAnswered(
  deps: Pick<TrafficDeps, 'nextUrl'>,
  ledger: Ledger,
  { entry, token, state }: Errand,
): Promise<void> {
  const { mark: content, key, receiverId, mediaIds } = entry
  const media = mediaIds.map((publicId) => ({ publicId }))
  const body = JSON.stringify(
    media.length > 0 ? { content, type: 'image', media } : { content, type: 'text' },
  )
  while (performance.now() < state.drainedAt) {
    const sentAt = performance.now()
    const reply = await sendTo(deps.nextUrl(), { receiverId, token, key, body })
    note(ledger, entry, reply, performance.now() - sentAt)
    const isFinal = entry.acknowledged !== undefined || entry.refused !== undefined
    if (isFinal || key === undefined) return
    const askedMs = reply.kind === 'answered' ? reply.retryAfterMs : undefined
    await pause((askedMs ?? repeatPauseMs) * (1 + Math.random() / 4))
  }
}

function note(ledger: Ledger, entry: Entry, reply: Reply, tookMs: number): void {
  const { tries } = ledger
  if (reply.kind === 'unanswered') {
    entry.isHeld = false
    entry.unknown = true
    tries.unanswered += 1
    return
  }
  const { status, code, id } = reply
  const name = `${status} ${code}`
  entry.isHeld = code === 'REQUEST_IN_PROGRESS'
  tries.answers[name] = (tries.answers[name] ?? 0) + 1
  tries.slowestMs = Math.max(tries.slowestMs, tookMs)
  if (status === 503) {
    tries.unavailable += 1
    entry.unavailable += 1
  }
  if (code === 'DATABASE_UNAVAILABLE') entry.unknown = true
  if (status === 200 && id !== undefined) ledger.acknowledge(entry, id)
  // Of what is sent once, every refusal is the last word; of the rest, one that a repeat would not change.
  else if (entry.key === undefined || (status < 500 && !passing.has(status))) entry.refused = name
}
