import type { Test } from 'tap'
import type { ResourceType } from '../../../src/asset-storage.ts'
import type { Fault, Matcher } from '../../../src/dev/cloudinary/faults.ts'
import { within } from '../../../src/lib/within.ts'
import { picture, promoted, promotionOf, recordOf, whereIs } from '../media.ts'
import type { Answer, Person } from '../people.ts'
import type { Service } from '../service.ts'
import { outcomeOf } from '../wire.ts'

/** Three uploads, each in a namespace of its own, and two people who have no part in any other test. */
export interface Trio {
  alice: Person
  bob: Person
  ids: readonly string[]
  /** Where each is found. */
  types: readonly ResourceType[]
  /** As one picture message with a key, always the same: images are looked for first, then videos, then files. */
  send(via?: string): Promise<Sent>
  /** Of each, where it is and what its record says: `temp undone back`. */
  state(): Promise<string[]>
  /** Of each, where it is. */
  places(): string[]
  /** Their promotion in the namespace where they are: the calls before are answered with 404. */
  promotionAt(at: number): Matcher
}

export interface Sent {
  /** `200 OK` */
  outcome: string
  errors: Answer['body']['errors']
  replayed: boolean
  ms: number
  /** As the answer found them. */
  places: string[]
  state: string[]
}

export type Kind = Parameters<Person['uploads']>[0]

const typeOf: Record<Kind, ResourceType> = { image: 'image', video: 'video', file: 'raw' }

// The contract gives a request with media 18 s. Who waits a little longer can tell late from never.
const answerTimeoutMs = 20_000
const answeredWithinMs = 18_000

export async function trioIn(
  { person, db, storage }: Pick<Service, 'person' | 'db' | 'storage'>,
  kinds: readonly Kind[] = ['image', 'video', 'file'],
): Promise<Trio> {
  const [alice, bob] = [await person(), await person()]
  const ids = kinds.map((kind) => alice.uploads(kind))
  const types = kinds.map((kind) => typeOf[kind])

  async function stateOf(id: string, at: number): Promise<string> {
    const record = await recordOf(db, id)
    const place = whereIs(storage, id, types[at])
    // What is attached is so for good, also where the sweeper still looks for others beside it.
    const uncertain = record?.state === 'attached' ? undefined : record?.uncertain
    return [place, record?.state, uncertain].filter(Boolean).join(' ')
  }
  const state = () => Promise.all(ids.map(stateOf))
  const places = () => ids.map((id, at) => whereIs(storage, id, types[at]))

  return {
    alice,
    bob,
    ids,
    types,
    state,
    places,
    async send(via) {
      const start = performance.now()
      const options = { key: 'k', ...(via === undefined ? {} : { via }) }
      const answer = await within(answerTimeoutMs, alice.sends(bob, picture(...ids), options))
      const ms = performance.now() - start
      const found = { places: places(), state: await state() }
      const replayed = answer?.headers.get('idempotent-replayed') === 'true'
      return { outcome: outcomeOf(answer), errors: answer?.body.errors, replayed, ms, ...found }
    },
    promotionAt(at) {
      const isPromotion = promotionOf(ids[at] ?? '')
      return (call) => isPromotion(call) && call.resourceType === types[at]
    },
  }
}

/** With these the storage says no: nothing was done. */
export const refusalCodes = [400, 401, 403, 409, 420, 423, 429]

/** An answer with that status, before the deed or after it. */
export function status(code: number, when?: 'after'): Fault {
  return { kind: 'status', status: code, ...(when && { when }) }
}

export const back = ['temp', 'temp', 'temp']
export const itemNames = ['first', 'second', 'third']

/** The same fact for each of three items. */
export function eachItem(
  t: Test,
  what: string,
  fact: string,
  check: (t: Test, at: number) => Promise<void>,
): void {
  for (const [at, name] of itemNames.entries())
    t.test(`the ${name} of three ${what}: ${fact}`, (t) => check(t, at))
}

/** What two of them have, and what the third has. */
export function allBut(state: string, at: number, other: string): string[] {
  return Array.from({ length: 3 }, (_, index) => (index === at ? other : state))
}

/** What the contract says of a failed promotion, with no word of the storage's. */
export function refused(t: Test, { outcome, errors, ms }: Sent, ...at: number[]): void {
  t.equal(outcome, '500 MEDIA_PROMOTION_FAILED')
  t.strictSame(
    errors,
    at.map((index) => ({ path: `/media/${index}`, message: 'could not be moved to permanent storage' })),
  )
  t.ok(ms < answeredWithinMs)
}

/** One message, with all three in the order that was sent. */
export async function storedOnce(
  t: Test,
  { alice, bob, ids }: Trio,
  { outcome, ms, state }: Sent,
): Promise<void> {
  t.equal(outcome, '200 OK')
  t.ok(ms < answeredWithinMs)
  t.strictSame(
    state,
    ids.map(() => 'messages attached'),
  )
  const messages = (await alice.sentTo(bob)).filter(({ media }) => media.length > 0)
  t.strictSame(
    messages.map(({ media }) => media.map(({ publicId }) => publicId)),
    [ids.map(promoted)],
  )
}
