import { ObjectId } from 'mongodb'
import { conversationIdOf, pairOf } from '../../../src/send-message/conversation.ts'
import { eventually } from '../eventually.ts'
import type { Person, SendOptions } from '../people.ts'
import type { Service } from '../service.ts'
import type { Bar, Send } from './history.ts'

/** One who sends on and on, each message with a name of its own. */
export interface Lane {
  readonly sender: Person
  readonly receiver: Person
  readonly options: SendOptions
  /** Uploads of the sender's for each message. */
  readonly uploads?: number
}

// A bound and no time to wait: on a machine that does much else, too.
const boundMs = 60_000

type Answered = Omit<Send, 'isStored'>

export interface Traffic {
  /** Until each lane has begun so many more messages after this, and has their answers. */
  goesOn(messages: number): Promise<void>
  /** Ends it, and says what is stored of it. */
  ends(): Promise<Send[]>
}

export function startTraffic(service: Service, lanes: readonly Lane[]): Traffic {
  let isOver = false
  const answered: Answered[][] = lanes.map(() => [])
  const running = lanes.map(async (lane, index) => {
    while (!isOver) answered[index]?.push(await sendOne(lane))
  })

  return {
    async goesOn(messages) {
      const from = performance.now()
      const isDone = (sends: readonly Answered[]): boolean =>
        sends.filter(({ beganAt }) => beganAt > from).length >= messages
      await eventually(() => answered.every(isDone), boundMs)
    },
    async ends() {
      isOver = true
      await Promise.all(running)
      const stored = await storedContents(service, lanes)
      return answered.flat().map((send) => ({ ...send, isStored: stored.has(send.name) }))
    },
  }
}

async function sendOne({ sender, receiver, options, uploads = 0 }: Lane): Promise<Answered> {
  const name = new ObjectId().toHexString()
  const media = Array.from({ length: uploads }, () => ({ publicId: sender.uploads('image') }))
  const beganAt = performance.now()
  const { code } = await sender.sends(receiver, { content: name, type: 'image', media }, options)
  return { name, beganAt, endedAt: performance.now(), code }
}

async function storedContents({ db }: Service, lanes: readonly Lane[]): Promise<Set<string>> {
  const chats = lanes.map(({ sender, receiver }) => conversationIdOf(pairOf(sender.id, receiver.id)))
  const messages = await db
    .collection('messages')
    .find({ conversationId: { $in: chats } })
    .project<{ content: string }>({ content: 1 })
    .toArray()
  const contents = messages.map(({ content }) => content)
  if (new Set(contents).size < contents.length) throw new Error('a message is stored twice')
  return new Set(contents)
}

/** Puts up a bar, and tells when; `lift` takes it away again. */
export async function putUp(
  code: string,
  { up, down }: { up(): Promise<unknown>; down?(): Promise<unknown> },
): Promise<Bar & { lift(): Promise<Bar> }> {
  const beganAt = performance.now()
  await up()
  const never = Number.POSITIVE_INFINITY
  const bar: Bar = { beganAt, acknowledgedAt: performance.now(), liftedFrom: never, goneAt: never, code }
  return {
    ...bar,
    async lift() {
      const liftedFrom = performance.now()
      await down?.()
      return { ...bar, liftedFrom, goneAt: performance.now() }
    },
  }
}
