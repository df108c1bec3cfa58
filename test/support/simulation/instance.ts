import { DatabaseUnavailable, InternalError } from '../../../src/errors.ts'
import { msLeft } from '../../../src/lib/deadline.ts'
import { createAdmission } from '../../../src/send-message/admission.ts'
import { createAfterwards } from '../../../src/send-message/afterwards.ts'
import type { Committed } from '../../../src/send-message/commit.ts'
import { type Draft, messageOf } from '../../../src/send-message/draft.ts'
import type { Entry, Outcome } from '../../../src/send-message/entry.ts'
import { createKnownChats } from '../../../src/send-message/known-chats.ts'
import { leaseMs } from '../../../src/send-message/media-claims.ts'
import { createMediaRecords } from '../../../src/send-message/media-records.ts'
import type { SendMessageDeps } from '../../../src/send-message/send-message.ts'
import { sweepIntervalMs, sweepOnce } from '../../../src/send-message/sweep-media.ts'
import { transactBatch } from '../../../src/send-message/transaction.ts'
import type { SimulatedDatabase } from './database.ts'
import type { SimulatedStorage } from './storage.ts'
import { answerWithin, type Instance } from './time.ts'
import { calm, fateOfCommit, type World } from './world.ts'

export interface Parts {
  readonly world: World
  readonly database: SimulatedDatabase
  readonly storage: SimulatedStorage
  /** Called where a message is stored, before anybody hears of it. */
  onStored(message: Committed['message'], draft: Draft): void
}

export interface RunningInstance extends Instance {
  readonly deps: SendMessageDeps
}

// A transaction at once needs no end.
const { signal } = new AbortController()

/** The service's own functions, wired as `index.ts` wires them, with a sweeper. */
export function startInstance(parts: Parts, name: string): RunningInstance {
  const { world, database, storage } = parts
  const { timeline, dice, breaks } = world
  const beganAtMs = timeline.nowMs
  const offsetMs = dice.between(0, 1e9)
  // What a broken clock does not count.
  let missedMs = 0
  let countedUntilMs = 0
  const clock = (): number => {
    if (breaks.has('clocks stand still, too') && base.standsStillUntilMs > countedUntilMs) {
      missedMs += base.standsStillUntilMs - base.stoodStillFromMs
      countedUntilMs = base.standsStillUntilMs
    }
    return offsetMs + timeline.nowMs - beganAtMs - missedMs
  }
  const base: Instance = { name, clock, isKilled: false, standsStillUntilMs: 0, stoodStillFromMs: 0 }
  const db = database.of(base)
  const records = createMediaRecords(db)
  const deps: SendMessageDeps = {
    storage: storage.of(base),
    records,
    clock,
    onPromotion() {},
    afterwards: (write) => {
      // The service's runs for ever; one that ends with its work does the same, with fewer events.
      const afterwards = createAfterwards(clock)
      afterwards.add(async () => {
        await write()
        timeline.wake(base, 0, () => void afterwards.stop())
      })
      timeline.wake(base, 2 * leaseMs, () => void afterwards.stop())
    },
    ...createAdmission({ db }),
    commit: (draft, promoted) => commit(parts, base, draft, promoted),
  }
  const instance = Object.assign(base, { deps })
  timeline.wake(instance, dice.between(0, sweepIntervalMs), () => void sweep(parts, instance))
  return instance
}

/** As the service's own loop, but for the sweeps that would find nothing: those are left out. */
async function sweep(parts: Parts, instance: RunningInstance): Promise<void> {
  const { world, database } = parts
  const dueInMs = database.firstDueInMs()
  // Past, not now: so the database compares.
  if (dueInMs < 0) {
    const { weather } = world
    await sweepOnce(instance.deps).catch((error: unknown) => {
      if (weather === calm) world.violate(`a sweep failed in calm weather: ${error}`)
    })
  }
  const waitMs = world.isResting ? Math.max(0, database.firstDueInMs()) : 0
  if (waitMs === Number.POSITIVE_INFINITY) return
  world.timeline.wake(instance, waitMs + sweepIntervalMs, () => void sweep(parts, instance))
}

/**
 * The commit as one step: the service's own transaction, with nobody in between, which is what the database's isolation
 * comes to. Its answer may be lost, and it may be carried out after the request has given it up.
 */
async function commit(
  parts: Parts,
  instance: Instance,
  draft: Draft,
  promoted: Parameters<SendMessageDeps['commit']>[1],
): Promise<Committed> {
  const { world } = parts
  const limitMs = msLeft(draft.deadline, instance.clock)
  if (limitMs === 0) throw new DatabaseUnavailable()
  const message = messageOf(draft, promoted?.media ?? [], new Date(0))
  const entry: Entry = { draft, message, claimToken: promoted?.claim.token }
  const { executeInMs, answerInMs } = fateOfCommit(world)
  let outcome: Outcome | undefined
  const execute = (): void => {
    transact(parts, entry).then(
      (of) => {
        outcome = of
        world.note?.('database', `commits for ${instance.name}: ${of.kind}`)
      },
      (error: unknown) => world.violate(`a transaction failed: ${error}`),
    )
  }
  // Between the last look at the deadline and the transaction's first command an instance may stand still for any time.
  if (executeInMs !== undefined)
    world.timeline.wake(instance, 0, () => world.timeline.after(executeInMs, execute))
  const answer = await new Promise<Outcome | undefined>((resolve) => {
    const giveUp = (): void => resolve(undefined)
    answerWithin(world, instance, { answerInMs, limitMs }, { answer: () => resolve(outcome), giveUp })
  })
  if (!answer) throw new DatabaseUnavailable()
  if (answer.kind === 'refused') throw answer.refusal
  if (answer.kind === 'failed') throw new InternalError({ cause: answer.cause })
  return { message: answer.message, replayed: answer.kind === 'replayed' }
}

async function transact({ world, database, onStored }: Parts, entry: Entry): Promise<Outcome> {
  const entries = [{ ...entry, claimToken: claimTokenOf(world, database, entry) }]
  const outcomes = await database.transact((db, session) => {
    const deps = { db, knownChats: createKnownChats() }
    return transactBatch(deps, session, entries, { mayBeStored: false, signal })
  })
  const [outcome] = outcomes.values()
  if (!outcome) throw new Error('no outcome')
  if (outcome.kind === 'stored') onStored(outcome.message, entry.draft)
  return outcome
}

/** Broken: whoever holds the record now. */
function claimTokenOf(
  world: World,
  database: SimulatedDatabase,
  { draft, claimToken }: Entry,
): string | undefined {
  if (!world.breaks.has('settlement ignores tokens')) return claimToken
  const [id = ''] = draft.mediaIds
  const token = database.media.get(id)?.token
  return typeof token === 'string' ? token : claimToken
}
