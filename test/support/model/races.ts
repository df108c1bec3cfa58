import fc from 'fast-check'
import { eventually } from '../eventually.ts'
import { latch, letTimePass, promotionOf, whereIs } from '../media.ts'
import type { Answer } from '../people.ts'
import {
  type Command,
  command,
  instance,
  messageOf,
  sendNow,
  type Wish,
  wish,
  wishWithMedia,
} from './commands.ts'
import { ask, equal, type Real, sweepAll } from './service.ts'
import { copyOf, type Expected, type Model, type ModelMessage, refusalOf, send, sweep } from './state.ts'

/** Two at once, on both instances: it must have come out as if one had been first. */
function sendAtOnce(wishes: readonly [Wish, Wish]): Command {
  return command(`at once: ${JSON.stringify(wishes)}`, async (model, real) => {
    const [one, other] = [messageOf(model, wishes[0]), messageOf(model, wishes[1])]
    const [first, second] = await Promise.all([ask(real, one, 0), ask(real, other, 1)])
    const orders = [
      inOrder(model, [one, first], [other, second]),
      inOrder(model, [other, second], [one, first]),
    ]
    const after = orders.find((order) => order !== undefined)
    if (!after) throw new Error(`at once: ${first.code} and ${second.code}`)
    Object.assign(model, after)
  })
}

type Sent = [message: ModelMessage, answer: Answer]

/** The model after both, if that explains the answers. Who comes second may also have been told to wait. */
function inOrder(model: Model, [one, first]: Sent, [other, second]: Sent): Model | undefined {
  const after = copyOf(model)
  if (!isExplained(send(after, one), first)) return undefined
  const before = copyOf(after)
  const expected = send(after, other)
  const bothAreNew = first.code === 'OK' && second.code === 'OK' && !expected.replayed
  if (bothAreNew && String(first.body.data._id) > String(second.body.data._id)) return undefined
  if (isExplained(expected, second)) return after
  const shared =
    other.media.length > 0 && (one.media.some((id) => other.media.includes(id)) || one.key === other.key)
  return second.code === 'REQUEST_IN_PROGRESS' && shared ? before : undefined
}

function isExplained({ code, replayed }: Expected, answer: Answer): boolean {
  const isReplay = answer.headers.get('idempotent-replayed') === 'true'
  return answer.code === code && isReplay === (replayed !== undefined)
}

type Meanwhile =
  | 'another asks'
  | 'another asks for more'
  | 'all sweep, early'
  | 'all sweep, due'
  | 'a block'
  | 'a repeat, when due'

/** Something happens while the storage works on a message's first upload. */
function sendHeld(of: Wish, at: number, meanwhile: Meanwhile): Command {
  return command(
    `while the storage works on ${JSON.stringify(of)}: ${meanwhile}`,
    async (model, real) => {
      const message = messageOf(model, of)
      const { uploads, services } = real
      const [id = '', ...others] = message.media.map((index) => uploads[index] ?? '')
      const [{ storage }] = services
      const { until, open } = latch()
      storage.faults.on(promotionOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
      const begun = storage.nextRequest(promotionOf(id))
      const answer = ask(real, message, at)
      await begun
      await eventually(() =>
        others.every((each) =>
          ['image', 'video', 'raw'].some((type) => whereIs(storage, each, type as 'image') === 'messages'),
        ),
      )
      const expected = await meanwhiles[meanwhile](model, real, message, at).finally(open)
      equal((await answer).code, expected)
    },
    (model) => canBeHeld(model, messageOf(model, of)),
  )
}

/** All of a message's uploads would be promoted, the first one by a call that can be held. */
export function canBeHeld(model: Model, message: ModelMessage): boolean {
  const places = message.media.map((index) => model.uploads[index]?.place)
  return (
    places.length > 0 && places.every((place) => place === 'temp') && refusalOf(model, message) === undefined
  )
}

type During = (model: Model, real: Real, message: ModelMessage, at: number) => Promise<string>

/** Each gives what the request that was held must be answered. */
const meanwhiles: Record<Meanwhile, During> = {
  async 'another asks'(model, real, message, at) {
    equal(
      (await ask(real, { ...message, content: 'Mine', key: undefined }, at + 1)).code,
      'REQUEST_IN_PROGRESS',
    )
    equal((await ask(real, message, at + 1)).code, 'REQUEST_IN_PROGRESS')
    return send(model, message).code
  },
  async 'another asks for more'(model, real, message, at) {
    const isFree = (index: number): boolean =>
      refusalOf(model, { ...message, key: undefined, media: [index] }) === undefined
    const rest = model.uploads
      .flatMap((_, index) => (isFree(index) && !message.media.includes(index) ? [index] : []))
      .slice(0, 7)
    const more = { ...message, content: 'Mine', key: undefined, media: [...rest, ...message.media] }
    equal((await ask(real, more, at + 1)).code, 'REQUEST_IN_PROGRESS')
    // Whoever was refused for one of them holds none of the others.
    await sendNow(model, real, { ...more, media: rest }, at + 1)
    return send(model, message).code
  },
  async 'all sweep, early'(model, real, message) {
    await sweepAll(real, 'early')
    return send(model, message).code
  },
  async 'all sweep, due'(model, real, message) {
    await sweepAll(real, 'due')
    sweep(model)
    // Its promotion lands behind the sweeper's look, and is left to the second one: at once, if somebody claims it in vain.
    const first = model.uploads[message.media[0] ?? -1]
    if (first) Object.assign(first, { place: 'messages', mayBeSwept: true })
    return 'REQUEST_IN_PROGRESS'
  },
  async 'a block'(model, { people }, { from, to }) {
    await people[to].blocks(people[from])
    model.blocks.add(`${to} ${from}`)
    return 'BLOCKED_RELATIONSHIP'
  },
  async 'a repeat, when due'(model, real, message, at) {
    const ids = message.media.map((index) => real.uploads[index] ?? '')
    await letTimePass(real.services[0].db, ...ids)
    equal((await ask(real, message, at + 1)).code, send(model, message).code)
    return 'MEDIA_PROMOTION_FAILED'
  },
}

const twoWishes = fc.oneof(
  wish.map((one): [Wish, Wish] => [one, one]),
  fc.tuple(wish, wish),
  fc.tuple(wish, wish).map(([one, { content, key }]): [Wish, Wish] => [one, { ...one, content, key }]),
)
const meanwhile = fc.constantFrom(...(Object.keys(meanwhiles) as Meanwhile[]))

export const commandsAtOnce: fc.Arbitrary<Command>[] = [
  twoWishes.map((wishes) => sendAtOnce(wishes)),
  fc.tuple(wishWithMedia, instance, meanwhile).map((of) => sendHeld(...of)),
  fc.tuple(wishWithMedia, instance, meanwhile).map((of) => sendHeld(...of)),
  fc.tuple(wishWithMedia, instance, meanwhile).map((of) => sendHeld(...of)),
]
