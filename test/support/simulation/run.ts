import { ObjectId } from 'mongodb'
import type { MessageType } from '../../../schemas/message.ts'
import { type ResourceType, resourceTypes } from '../../../src/asset-storage.ts'
import { Refusal } from '../../../src/errors.ts'
import { deadlineIn } from '../../../src/lib/deadline.ts'
import { draftOf } from '../../../src/send-message/draft.ts'
import { sendMessage } from '../../../src/send-message/send-message.ts'
import { checksOf } from './checks.ts'
import { createDatabase } from './database.ts'
import { type RunningInstance, startInstance } from './instance.ts'
import { createStorage } from './storage.ts'
import { calm, createWorld, type WorldOptions } from './world.ts'

export interface Run {
  readonly violations: readonly string[]
  /** Goes on with the next event; `false` once everything has come to rest and was looked at. */
  step(): boolean
}

/** What a client wants to send, however often it has to ask. */
interface Intent {
  ids: string[]
  content: string
  type: MessageType
  key: string | undefined
}

const alice = ObjectId.createFromHexString('a11ce0000000000000000000')
const bob = ObjectId.createFromHexString('b0b000000000000000000000')
const device = ObjectId.createFromHexString('de51ce000000000000000000')

// The route's deadline for a request with media.
const requestMs = 14_500
// A client's own patience, longer than the contract's 18 s.
const patienceMs = 20_000
// The contract: so long after a fault nothing is promoted without a message, and everything is free to be used.
const recoveryMs = 120_000
// Far more than any run has; a run that has more goes round in circles.
const eventsMax = 50_000

/** One history: people send overlapping uploads and repeat what failed while everything else goes wrong. */
export function startRun(options: WorldOptions): Run {
  const world = createWorld(options)
  const { dice, timeline } = world
  const database = createDatabase(world)
  const storage = createStorage(world, (assetId) => checks.isBound(assetId))
  const checks = checksOf(world, database, storage)
  const parts = { world, database, storage, onStored: checks.onStored }

  database.people.users = [alice, bob].map((_id) => ({ _id, status: 'active' }))
  database.people.devices = [{ _id: device, userId: alice, trusted: true }]
  const uploads = Array.from({ length: dice.whole(1, 5) }, (_, index) => ({
    id: `temp/user_${alice.toHexString()}/${index + 1}`,
    type: dice.pick<ResourceType>(resourceTypes),
  }))
  for (const { id, type } of uploads) storage.upload(type, id)

  const instances: RunningInstance[] = []
  const start = (slot: number): void => {
    instances[slot] = startInstance(parts, `instance ${slot + 1}`)
  }
  for (let slot = dice.whole(1, 3); slot >= 0; slot -= 1) start(slot)
  world.onKilled = (killed) => {
    const slot = instances.findIndex(({ name }) => name === killed.name)
    const backInMs = dice.between(500, 20_000)
    world.lastFaultMs = Math.max(world.lastFaultMs, timeline.nowMs + backInMs)
    timeline.after(backInMs, () => start(slot))
  }

  /** One request; `hear` gets what the client hears: a code, `OK`, or that the connection was cut. */
  function ask(
    { ids, content, type, key }: Intent,
    hear: (code: string) => void,
    at?: RunningInstance,
  ): void {
    const running = instances.filter(({ isKilled }) => !isKilled)
    const instance = at ?? running[dice.whole(0, running.length)]
    if (!instance) return void timeline.after(0, () => hear('cut'))
    timeline.wake(instance, at ? 0 : dice.between(0, 20), () => {
      const draft = draftOf({
        sender: { userId: alice.toHexString(), deviceId: device.toHexString() },
        receiverId: bob.toHexString(),
        content,
        type,
        media: ids.map((publicId) => ({ publicId })),
        key,
        deadline: deadlineIn(requestMs, instance.clock),
      })
      world.note?.(instance.name, `is asked to send “${content}” with ${ids}${key ? ` under ${key}` : ''}`)
      const end = (code: string): void => {
        world.note?.(instance.name, `answers “${content}”: ${code}`)
        world.count(code)
        hear(code)
      }
      sendMessage(instance.deps, draft).then(
        ({ message }) => {
          checks.onAcknowledged(message, draft)
          end('OK')
        },
        (error: unknown) => {
          const code = error instanceof Refusal ? error.code : String(error)
          checks.onRefused(code, draft)
          end(code)
        },
      )
    })
  }

  /** Asks again, also when it hears nothing, so that two requests of one client may run at once. */
  function pursue(intent: Intent, triesLeft: number, at?: RunningInstance): void {
    let isHeard = false
    const hear = (code: string): void => {
      if (isHeard) return
      isHeard = true
      if (code === 'OK' || triesLeft === 0 || world.weather === calm) return
      const waitMs = dice.pick([
        dice.between(10, 300),
        dice.between(1_000, 5_000),
        dice.between(20_000, 100_000),
      ])
      timeline.after(waitMs, () => world.weather !== calm && pursue(intent, triesLeft - 1))
    }
    ask(intent, hear, at)
    timeline.after(patienceMs, () => hear('cut'))
  }

  function begin(): void {
    const stormEndMs = dice.between(20_000, 300_000)
    // All at once at one instance, which claims them together; or at any time.
    const isBurst = dice.chance(0.2)
    for (let count = isBurst ? dice.whole(5, 9) : dice.whole(2, 7); count > 0; count -= 1) {
      const ids = dice.some(uploads, dice.whole(1, uploads.length + 1)).map(({ id }) => id)
      const key = dice.chance(0.5) ? `key ${count}` : undefined
      const type = dice.pick<MessageType>(['image', 'video', 'file', 'text'])
      const intent = { ids, content: `message ${count}`, type, key }
      const atMs = isBurst ? 0 : dice.chance(0.3) ? dice.between(0, 500) : dice.between(0, stormEndMs)
      timeline.after(atMs, () => pursue(intent, dice.whole(0, 5), isBurst ? instances[0] : undefined))
    }
    for (let count = dice.pick([0, 0, 1, 2]); count > 0; count -= 1)
      timeline.after(dice.between(0, stormEndMs), uploadAnew)
    for (let count = dice.pick([0, 0, 1, 2]); count > 0; count -= 1)
      timeline.after(dice.between(0, stormEndMs), () => blockFor(dice.between(500, 20_000)))
    timeline.after(stormEndMs, () => {
      world.weather = calm
      world.note?.('world', 'the storm is over')
      timeline.after(Math.max(0, world.lastFaultMs - timeline.nowMs) + recoveryMs, recovered)
    })
  }

  function uploadAnew(): void {
    const { id, type } = uploads[dice.whole(0, uploads.length)] ?? { id: '', type: 'image' }
    const as = dice.chance(0.8) ? type : dice.pick<ResourceType>(resourceTypes)
    if (storage.at(as, id) === undefined) storage.upload(as, id)
  }

  function blockFor(ms: number): void {
    database.people.blocks = [{ blockerId: bob, blockedId: alice }]
    timeline.after(ms, unblock)
  }

  function unblock(): void {
    database.people.blocks = []
  }

  function recovered(): void {
    checks.nothingIsLeftPromoted('two minutes after the last fault')
    unblock()
    const free = uploads.filter(({ id, type }) => storage.at(type, id) && !checks.isAttached(id))
    world.isResting = free.length === 0 || dice.chance(0.5)
    if (!world.isResting)
      sendAll(
        free.map(({ id }) => id),
        5,
      )
  }

  /** A sweeper may be looking at one of them just now, for less than a second. */
  function sendAll(ids: string[], triesLeft: number): void {
    ask({ ids, content: 'all that is left', type: 'image', key: undefined }, (code) => {
      const isBusy = code === 'REQUEST_IN_PROGRESS' && triesLeft > 0
      world.isResting = !isBusy
      if (isBusy) timeline.after(1_000, () => sendAll(ids, triesLeft - 1))
      else if (code !== 'OK') world.violate(`what is free could not be sent: ${code}`)
    })
  }

  begin()
  let events = 0
  return {
    violations: world.violations,
    step() {
      events += 1
      if (events > eventsMax) world.violate('never comes to rest')
      if (events <= eventsMax && timeline.step()) return true
      checks.atRest()
      return false
    },
  }
}
