import { randomBytes } from 'node:crypto'
import { type Db, type MongoClient, ObjectId } from 'mongodb'
import type { Test } from 'tap'
import { type Follower, followMessages, type Message } from '../../../examples/follow-messages.ts'
import { eventually } from '../eventually.ts'
import type { Delivery } from './follower.ts'

/** Messages, and whoever follows them under one name. A message that was handled twice is delivered twice. */
export interface Following {
  own: Db
  messages: Follower['messages']
  /** The ids, in the order in which they were delivered. */
  delivered(): Promise<string[]>
  /** Fails unless they come to be exactly these, each once, in whatever order. */
  delivers(t: Test, ids: readonly string[]): Promise<void>
  /** Stores messages, and gives their ids. */
  stores(count: number, options?: { minutesAgo?: number }): Promise<string[]>
  /** What its `handle` does is done before each delivery. */
  start(overrides?: Partial<Follower>): Running
}

export interface Running {
  troubles: unknown[]
  /** How many it was given at a time. */
  batches: number[]
  stop(): Promise<void>
}

// For a process to start on a machine that does something else, too; nothing waits so long.
export const boundMs = 60_000

/** In a database of its own, which goes with the test, as do those who follow in it. */
export function startFollowing(t: Test, client: MongoClient): Following {
  const own = client.db(`following_${randomBytes(4).toString('hex')}`)
  t.teardown(() => own.dropDatabase())
  const messages = own.collection<Message>('messages')
  const delivered = async (): Promise<string[]> => {
    const all = await own.collection<Delivery>('deliveries').find().sort({ _id: 1 }).toArray()
    return all.map(({ messageId }) => messageId.toHexString())
  }
  return {
    own,
    messages,
    delivered,
    async delivers(t, ids) {
      const areAll = async (): Promise<boolean> => (await delivered()).length >= ids.length
      await eventually(areAll, boundMs)
      t.strictSame((await delivered()).sort(), [...ids].sort())
    },
    async stores(count, { minutesAgo = 0 } = {}) {
      const seconds = Math.floor(Date.now() / 1000) - minutesAgo * 60
      const made = Array.from({ length: count }, () => messageOf(new ObjectId(ObjectId.generate(seconds))))
      await messages.insertMany(made, { writeConcern: { w: 'majority' } })
      return made.map(({ _id }) => _id.toHexString())
    },
    start: (overrides = {}) => startFollower(t, own, { messages, ...overrides }),
  }
}

/** What is stored after that is in its stream, even if it finds it by looking back, too. */
export async function hasPlace({ own }: Following): Promise<void> {
  await eventually(async () => (await own.collection('followers').findOne()) !== null, boundMs)
}

export async function hasToken({ own }: Following): Promise<void> {
  await eventually(async () => (await own.collection('followers').findOne())?.token !== undefined, boundMs)
}

/** That these were handed over, and no others any more. */
export async function remembers({ own }: Following, ids: readonly string[]): Promise<void> {
  const areThey = async (): Promise<boolean> => {
    const there = await own.collection('push.handedOver').find().toArray()
    return (
      there
        .map(({ _id }) => _id.toHexString())
        .sort()
        .join() === [...ids].sort().join()
    )
  }
  await eventually(areThey, boundMs)
}

function startFollower(
  t: Test,
  own: Db,
  { handle, ...overrides }: Partial<Follower> & Pick<Follower, 'messages'>,
): Running {
  const stopping = new AbortController()
  const troubles: unknown[] = []
  const batches: number[] = []
  const follower: Omit<Follower, 'handle'> = {
    name: 'push',
    own,
    since: new Date(0),
    stopping: stopping.signal,
    onTrouble: (error) => void troubles.push(error),
    ...overrides,
  }
  const ended = followMessages({
    ...follower,
    async handle(messages, session) {
      batches.push(messages.length)
      await handle?.(messages, session)
      const made = messages.map(({ _id }) => ({ messageId: _id, by: 0 }))
      await follower.own.collection<Delivery>('deliveries').insertMany(made, { session })
    },
  })
  const stop = async (): Promise<void> => {
    stopping.abort()
    await ended
  }
  t.teardown(stop)
  return { troubles, batches, stop }
}

function messageOf(_id: ObjectId): Message {
  const createdAt = _id.getTimestamp()
  return { _id, conversationId: _id, senderId: _id, type: 'text', content: 'hi', media: [], createdAt }
}
