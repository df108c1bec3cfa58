import { createHash } from 'node:crypto'

/** People made from their number alone, so that the seed and the load agree on them without a file between. */
export interface BenchPerson {
  userId: string
  deviceId: string
}

export const contactsOf = 5

/** People write to one contact for a while, and then others do. It also keeps a seed from writing an index's page for each message. */
export const burstMessages = 10

export function personAt(index: number): BenchPerson {
  return { userId: idOf('user', index), deviceId: idOf('device', index) }
}

/** The numbers of somebody's contacts: spread over all, the same in every run. */
export function contactAt(person: number, nth: number, peopleMax: number): number {
  const offset = 1 + ((person * 7919 + nth * 104729) % (peopleMax - 1))
  return (person + offset) % peopleMax
}

/** Everybody once in `peopleMax` steps, and never neighbours in a row: 7,919 is a prime, and no size divides by it. */
export function scattered(step: number, peopleMax: number): number {
  return (step * 7919) % peopleMax
}

function idOf(kind: string, index: number): string {
  return createHash('sha256').update(`${kind} ${index}`).digest('hex').slice(0, 24)
}
