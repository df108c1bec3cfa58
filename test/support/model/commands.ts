import fc from 'fast-check'
import type { MessageType } from '../../../schemas/message.ts'
import {
  askTwice,
  breakStorage,
  compare,
  equal,
  observeSweepers,
  putUpload,
  type Real,
  sweepAll,
} from './service.ts'
import {
  type Model,
  type ModelMessage,
  type ModelUpload,
  type Name,
  names,
  newUpload,
  type StorageFault,
  send,
  sweep,
} from './state.ts'

export type Command = fc.AsyncCommand<Model, Real>

/** `new`: the sender's own that are in no message. */
type Whose = 'new' | 'own' | 'any'

/** What a command is made of before it is known which uploads there are. */
export interface Wish {
  readonly from: Name
  readonly to: Name
  readonly content: string
  readonly type: MessageType
  readonly media: readonly { pick: number; whose: Whose }[]
  readonly key: string | undefined
}

/** Any numbers name uploads that are there, each once. */
export function messageOf({ uploads }: Model, { media, ...wish }: Wish): ModelMessage {
  const all = uploads.map((_, index) => index)
  const own = all.filter((index) => uploads[index]?.owner === wish.from)
  const of = { any: all, own, new: own.filter((index) => uploads[index]?.isAttached === false) }
  const picked = media.flatMap(({ pick, whose }) => of[whose][pick % of[whose].length] ?? [])
  return { ...wish, media: [...new Set(picked)] }
}

/** A command whose state is looked at when it is over, with a name that a report can show. */
export function command(
  name: string,
  run: (model: Model, real: Real) => Promise<void>,
  check: (model: Readonly<Model>) => boolean = () => true,
): Command {
  return {
    check,
    async run(model, real) {
      observeSweepers(model, real)
      await run(model, real)
      await compare(model, real)
    },
    toString: () => name,
  }
}

function told({ from, to, content, type, media, key }: Wish): string {
  const uploads = media.map(({ pick, whose }) => `${whose} ${pick}`)
  return `${from} → ${to}: ${content} (${[type, ...uploads, ...(key ? [`key ${key}`] : [])].join(', ')})`
}

function sends(wish: Wish, instance: number, fault?: StorageFault, then?: 'again'): Command {
  const how = fault ? `, storage: ${fault.first}, back: ${fault.back}` : ''
  return command(`${told(wish)} on ${instance}${how}${then ? ', and again' : ''}`, async (model, real) => {
    const message = messageOf(model, wish)
    await sendNow(model, real, message, instance, fault)
    if (then) await sendNow(model, real, message, instance + 1)
  })
}

export async function sendNow(
  model: Model,
  real: Real,
  message: ModelMessage,
  instance: number,
  fault?: StorageFault,
): Promise<void> {
  const mend = fault ? breakStorage(real, message, fault) : () => {}
  const expected = send(model, message, fault)
  const answer = await askTwice(real, message, instance, expected.code)
  mend()
  equal(answer.code, expected.code)
  const replayed = answer.headers.get('idempotent-replayed') === 'true'
  equal(replayed, expected.replayed !== undefined)
  if (answer.code === 'OK') equal(answer.body.data.content, (expected.replayed ?? message).content)
}

/** As people do who were refused: the same once more, or without what is in another message. */
function sendsAgain(what: 'the same' | 'what is free', instance: number): Command {
  return command(
    `again ${what} on ${instance}`,
    async (model, real) => {
      const { last, uploads } = model
      if (!last) return
      const free = last.media.filter((index) => uploads[index]?.isAttached === false)
      await sendNow(model, real, what === 'the same' ? last : { ...last, media: free }, instance)
    },
    ({ last }) => last !== undefined,
  )
}

function uploads(owner: Name, kind: ModelUpload['kind']): Command {
  return command(`${owner} uploads ${kind}`, async (model, real) => {
    real.uploads.push(putUpload(real.people, newUpload(owner, kind), model.uploads.length))
    model.uploads.push(newUpload(owner, kind))
  })
}

function sweeps(when: 'due' | 'early'): Command {
  return command(`all sweep, ${when}`, async (model, real) => {
    await sweepAll(real, when)
    if (when === 'due') sweep(model)
  })
}

export const name = fc.constantFrom(...names)
const picks = fc.nat({ max: 5 })
const pick = fc.record({ pick: picks, whose: fc.constantFrom<Whose[]>('new', 'own', 'own', 'own', 'any') })
const pickOfNew = fc.record({ pick: picks, whose: fc.constant<Whose>('new') })

const pairs: readonly (readonly [Name, Name])[] = [
  ['alice', 'bob'],
  ['alice', 'bob'],
  ['alice', 'bob'],
  ['bob', 'alice'],
  ['bob', 'alice'],
  ['alice', 'carol'],
  ['carol', 'bob'],
  ['bob', 'bob'],
]

function wishOf(media: fc.Arbitrary<Wish['media']>): fc.Arbitrary<Wish> {
  return fc
    .record({
      pair: fc.constantFrom(...pairs),
      content: fc.constantFrom('Hello', 'Look'),
      type: fc.constantFrom<MessageType[]>('text', 'image', 'file'),
      media,
      key: fc.constantFrom(undefined, undefined, 'k', 'l'),
    })
    .map(({ pair: [from, to], ...rest }) => ({ from, to, ...rest }))
}

/** Few of everything, so that what is sent meets what was sent before. */
export const wish = wishOf(fc.array(pick, { maxLength: 3 }))
/** For what can only happen to uploads on their way. */
export const wishWithMedia = wishOf(fc.array(pickOfNew, { minLength: 1, maxLength: 3 }))
const wishWithSeveral = wishOf(fc.array(pickOfNew, { minLength: 2, maxLength: 5 }))
export const instance = fc.nat({ max: 1 })
const fault: fc.Arbitrary<StorageFault> = fc.record({
  first: fc.constantFrom('refused', 'cut before', 'cut after'),
  back: fc.constantFrom('answered', 'refused', 'cut before', 'cut after'),
})

/** One after another; what happens at once is in `model/races.ts`. */
export const singleCommands: fc.Arbitrary<Command>[] = [
  fc.tuple(wish, instance).map((of) => sends(...of)),
  fc.tuple(wish, instance).map((of) => sends(...of)),
  fc.tuple(wishWithMedia, instance, fault).map((of) => sends(...of)),
  fc.tuple(wishWithSeveral, instance, fault).map((of) => sends(...of, 'again')),
  fc.tuple(wishWithSeveral, instance, fault).map((of) => sends(...of, 'again')),
  fc.tuple(wishWithSeveral, instance, fault).map((of) => sends(...of, 'again')),
  fc.tuple(name, fc.constantFrom('image', 'video', 'file')).map((of) => uploads(...of)),
  fc.tuple(fc.constant('alice' as const), fc.constantFrom('image', 'file')).map((of) => uploads(...of)),
  fc.tuple(fc.constantFrom('the same', 'what is free'), instance).map((of) => sendsAgain(...of)),
  fc.constantFrom('due', 'early').map((when) => sweeps(when)),
]
