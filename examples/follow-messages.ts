import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import {
  type ChangeStreamInsertDocument,
  type ClientSession,
  type Collection,
  type Db,
  MongoServerError,
  ObjectId,
  type ResumeToken,
} from 'mongodb'

// Hands over each stored message once: to push, to websockets, to a search index. What the handler writes with the session,
// the ids that it was given and the place in the stream are one transaction: killed anywhere, all of it is there, or nothing.

/** What a handler is likely to need; the documents have more. */
export interface Message {
  _id: ObjectId
  conversationId: ObjectId
  senderId: ObjectId
  type: 'text' | 'image' | 'video' | 'file'
  content: string
  media: object[]
  createdAt: Date
}

export interface Follower {
  /** Whose place it is: another name is given every message, too. A second follower with this name stands by. */
  name: string
  messages: Collection<Message>
  /** Where the place is kept: a database of the follower's own, by the same client. */
  own: Db
  /** Called again with the same messages when its transaction was not kept: what it does elsewhere may be done twice. */
  handle(messages: Message[], session: ClientSession): Promise<void>
  /** Where a new follower begins; without it, with what is sent from now on. */
  since?: Date | undefined
  stopping: AbortSignal
  /** Told of each failure before the next try. A message that cannot be handled is never passed over. */
  onTrouble?(error: unknown): void
}

interface Place {
  _id: string
  /** Counts what was kept. Whoever has read an older value can keep nothing, so that of two only one goes on from here. */
  step: number
  /** Everything older was handed over. Of what is newer the ids are remembered, for when the token is of no use. */
  lookBackTo: Date
  token?: ResumeToken
}

interface Batch {
  messages: Message[]
  token?: ResumeToken
}

// With 100 in a transaction 10,000 messages a second were handed over on two cores, with one in a transaction 160. A message has
// up to 60 KB, and this many are in memory at a time.
export const batchMax = 100

// An `_id` has the time at which the service took the message, at most 18 s before it is stored. All the rest is for instances
// whose clocks differ.
const overlapMs = 600_000

// How long a second follower may take to go on for one that has died. One try in 5 s is no burden to an ailing database.
const longestPauseMs = 5_000
const firstPauseMs = 100

/** Follows until it is told to stop, and through everything that fails meanwhile. */
export async function followMessages(follower: Follower): Promise<void> {
  const { own, stopping, onTrouble } = follower
  // One for all tries: its next transaction ends the one that a try has left open on the server, and need not wait for it.
  const session = own.client.startSession()
  for (let failures = 0; !stopping.aborted; failures++) {
    try {
      const place = await findPlace(follower, session)
      for await (const batch of batchesFrom(follower, session, place)) {
        await keep(follower, session, place, batch)
        failures = 0
      }
    } catch (error) {
      if (!stopping.aborted) onTrouble?.(error)
    }
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** failures)
    await setTimeout(pauseMs, undefined, { signal: stopping }).catch(() => undefined)
  }
  await session.endSession()
}

async function findPlace({ name, own, since }: Follower, session: ClientSession): Promise<Place> {
  const place = await places(own).findOneAndUpdate(
    { _id: name },
    { $setOnInsert: { step: 0, lookBackTo: since ?? new Date() } },
    { upsert: true, returnDocument: 'after', writeConcern: { w: 'majority' }, session },
  )
  assert(place, 'what is not there is made')
  return place
}

/** From the token on. If it is of no use: first what was sent since `lookBackTo`, then the stream from before that look. */
async function* batchesFrom(follower: Follower, session: ClientSession, place: Place): AsyncGenerator<Batch> {
  try {
    if (place.token) yield* stream(follower, { startAfter: place.token })
    // It has ended: the collection was dropped or renamed, and no token from before that is of use.
  } catch (error) {
    // The oplog, which holds hours or days, does not reach back to the token any more.
    const isLost = error instanceof MongoServerError && error.hasErrorLabel('NonResumableChangeStreamError')
    if (!isLost) throw error
    follower.onTrouble?.(error)
  }
  const startAtOperationTime = session.operationTime
  yield* lookBack(follower, session, place.lookBackTo)
  yield* stream(follower, { startAtOperationTime })
}

/** Each time all that has gathered while the last batch was handled; `watch()` would give one event at a time. */
async function* stream({ messages, stopping }: Follower, start: object): AsyncGenerator<Batch> {
  const events = messages.aggregate<ChangeStreamInsertDocument<Message>>(
    [{ $changeStream: start }, { $match: { operationType: 'insert' } }],
    { batchSize: batchMax, signal: stopping },
  )
  for await (const first of events) {
    const gathered = [first, ...events.readBufferedDocuments()]
    yield { messages: gathered.map(({ fullDocument }) => fullDocument), token: gathered.at(-1)?._id }
  }
}

/** In the session, which has seen the moment from which the stream goes on: what was stored before it is not missed here. */
async function* lookBack(
  { messages, stopping }: Follower,
  session: ClientSession,
  lookBackTo: Date,
): AsyncGenerator<Batch> {
  let last: ObjectId | undefined = idAt(lookBackTo)
  while (last) {
    const options = {
      sort: { _id: 1 },
      limit: batchMax,
      readConcern: 'majority',
      session,
      signal: stopping,
    } as const
    const found: Message[] = await messages.find({ _id: { $gt: last } }, options).toArray()
    yield { messages: found }
    last = found.length === batchMax ? found.at(-1)?._id : undefined
  }
}

/** All in one transaction, or nothing. Moves `place`, from which a look back must begin when the stream is lost later. */
async function keep(
  { name, own, handle }: Follower,
  session: ClientSession,
  place: Place,
  { messages, token }: Batch,
): Promise<void> {
  const handedOver = own.collection<{ _id: ObjectId }>(`${name}.handedOver`)
  const next = { ...place, step: place.step + 1 }
  if (token) {
    const newestMs = Math.max(...messages.map(({ _id }) => _id.getTimestamp().getTime()))
    next.token = token
    next.lookBackTo = new Date(Math.max(place.lookBackTo.getTime(), newestMs - overlapMs))
  }
  await session.withTransaction(
    async () => {
      // First of all: a second follower waits here, instead of handling the same beside this one.
      const moved = await places(own).replaceOne({ _id: name, step: place.step }, next, { session })
      if (moved.matchedCount === 0) throw new Error(`another follower "${name}" has gone on from here`)
      const ids = messages.map(({ _id }) => _id)
      const known = await handedOver.find({ _id: { $in: ids } }, { session }).toArray()
      const fresh = messages.filter(({ _id }) => !known.some((each) => each._id.equals(_id)))
      if (fresh.length === 0) return
      const notes = fresh.map(({ _id }) => ({ _id }))
      await handedOver.insertMany(notes, { session })
      await handle(fresh, session)
    },
    { writeConcern: { w: 'majority' } },
  )
  Object.assign(place, next)
  // Only after batches of the stream: what a look back has found comes in the stream again.
  if (token) await handedOver.deleteMany({ _id: { $lt: idAt(place.lookBackTo) } })
}

function places(own: Db): Collection<Place> {
  return own.collection('followers')
}

function idAt(time: Date): ObjectId {
  return ObjectId.createFromTime(Math.floor(time.getTime() / 1000))
}
