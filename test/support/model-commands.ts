import fc from 'fast-check'
import type { MessageType } from '../../schemas/message.ts'
import {
  askTwice,
  breakStorage,
  compare,
  equal,
  observeSweepers,
  type Real,
  sweepAll,
} from './model-service.ts'
import {
  type Model,
  type ModelMessage,
  type ModelUpload,
  type Name,
  names,
  newUpload,
  type Status,
  type StorageFault,
  send,
  sweep,
} from './model-state.ts'

export type Command = fc.AsyncCommand<Model, Real>

/** What a command is made of before it is known which uploads there are. */
export interface Wish {
  readonly from: Name
  readonly to: Name
  readonly content: string
  readonly type: MessageType
  readonly media: readonly { pick: number; whose: 'own' | 'any' }[]
  readonly key: string | undefined
}

/** Any numbers name uploads that are there, each once. */
export function messageOf({ uploads }: Model, { media, ...wish }: Wish): ModelMessage {
  const all = uploads.map((_, index) => index)
  const own = all.filter((index) => uploads[index]?.owner === wish.from)
  const picked = media.flatMap(({ pick, whose }) => {
    const from = whose === 'own' ? own : all
    return from.length === 0 ? [] : (from[pick % from.length] ?? [])
  })
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

function sends(wish: Wish, instance: number, fault?: StorageFault): Command {
  const how = fault ? `, storage: ${fault.first}, back: ${fault.back}` : ''
  return command(`${told(wish)} on ${instance}${how}`, async (model, real) => {
    const message = messageOf(model, wish)
    const mend = fault ? breakStorage(real, message, fault) : () => {}
    const expected = send(model, message, fault)
    const answer = await askTwice(real, message, instance, expected.code)
    mend()
    equal(answer.code, expected.code)
    const replayed = answer.headers.get('idempotent-replayed') === 'true'
    equal(replayed, expected.replayed !== undefined)
    if (answer.code === 'OK') equal(answer.body.data.content, (expected.replayed ?? message).content)
  })
}

function uploads(owner: Name, kind: ModelUpload['kind']): Command {
  return command(`${owner} uploads ${kind}`, async (model, real) => {
    real.uploads.push(real.people[owner].uploads(kind))
    model.uploads.push(newUpload(owner, kind))
  })
}

function blocks(blocker: Name, blocked: Name): Command {
  return command(
    `${blocker} blocks ${blocked}`,
    async (model, { people }) => {
      await people[blocker].blocks(people[blocked])
      model.blocks.add(`${blocker} ${blocked}`)
    },
    (model) => !model.blocks.has(`${blocker} ${blocked}`),
  )
}

function unblocks(blocker: Name, blocked: Name): Command {
  return command(
    `${blocker} unblocks ${blocked}`,
    async (model, { people, services: [{ db }] }) => {
      const block = { blockerId: people[blocker].id, blockedId: people[blocked].id }
      await db.collection('blocks').deleteOne(block, { writeConcern: { w: 'majority' } })
      model.blocks.delete(`${blocker} ${blocked}`)
    },
    (model) => model.blocks.has(`${blocker} ${blocked}`),
  )
}

function becomes(who: Name, status: Status): Command {
  return command(`${who} becomes ${status}`, async (model, { people }) => {
    await people[who].becomes(status)
    model.statuses[who] = status
  })
}

function trusts(who: Name, trusted: boolean): Command {
  return command(`${who}’s device becomes ${trusted ? 'trusted' : 'distrusted'}`, async (model, real) => {
    const change = { $set: { trusted } }
    const options = { writeConcern: { w: 'majority' } } as const
    await real.services[0].db
      .collection('devices')
      .updateOne({ _id: real.people[who].deviceId }, change, options)
    model.trusted[who] = trusted
  })
}

function sweeps(when: 'due' | 'early'): Command {
  return command(`all sweep, ${when}`, async (model, real) => {
    await sweepAll(real, when)
    if (when === 'due') sweep(model)
  })
}

const name = fc.constantFrom(...names)
const pick = fc.record({
  pick: fc.nat({ max: 5 }),
  whose: fc.constantFrom('own', 'own', 'own', 'own', 'any'),
}) as fc.Arbitrary<{ pick: number; whose: 'own' | 'any' }>

/** Few of everything, so that what is sent meets what was sent before. */
export const wish: fc.Arbitrary<Wish> = fc.record({
  from: fc.constantFrom('alice', 'alice', 'alice', 'bob', 'carol'),
  to: fc.constantFrom('bob', 'bob', 'bob', 'alice', 'carol'),
  content: fc.constantFrom('Hello', 'Look'),
  type: fc.constantFrom('text', 'image', 'file'),
  media: fc.array(pick, { maxLength: 3 }),
  key: fc.constantFrom(undefined, undefined, 'k', 'l'),
})
export const instance = fc.nat({ max: 1 })
const fault: fc.Arbitrary<StorageFault> = fc.record({
  first: fc.constantFrom('refused', 'cut before', 'cut after'),
  back: fc.constantFrom('answered', 'refused', 'cut before', 'cut after'),
})

/** One after another; what happens at once is in `model-races.ts`. */
export const singleCommands: fc.Arbitrary<Command>[] = [
  fc.tuple(wish, instance).map((of) => sends(...of)),
  fc.tuple(wish, instance).map((of) => sends(...of)),
  fc.tuple(wish, instance, fault).map((of) => sends(...of)),
  fc.tuple(name, fc.constantFrom('image', 'video', 'file')).map((of) => uploads(...of)),
  fc.tuple(fc.constant('alice' as const), fc.constantFrom('image', 'file')).map((of) => uploads(...of)),
  fc.tuple(name, name).map((of) => blocks(...of)),
  fc.tuple(name, name).map((of) => unblocks(...of)),
  fc
    .tuple(name, fc.constantFrom<Status[]>('active', 'active', 'suspended', 'inactive', 'deleted'))
    .map((of) => becomes(...of)),
  fc.tuple(name, fc.boolean()).map((of) => trusts(...of)),
  fc.constantFrom('due', 'early').map((when) => sweeps(when)),
]
