import type { Db } from 'mongodb'
import type { LoadResult } from './overload-load.ts'
import { numberIn } from './overload-requests.ts'

export interface OverloadCount {
  acknowledged: number
  found: number
  lost: number
  doubled: number
  broken: string[]
}

/** What is stored, one after another: some 300,000 of them need not be here all at once. */
export async function* storedIn(db: Db): AsyncGenerator<{ id: string; content: string }> {
  const options = { readConcern: { level: 'majority' }, projection: { content: 1 } } as const
  for await (const { _id, content } of db.collection('messages').find({}, options)) {
    yield { id: _id.toHexString(), content }
  }
}

/** Every 200 once and under its id, and nothing else but what nobody can know. */
export async function countOverload(
  loads: readonly Pick<LoadResult, 'mark' | 'ids' | 'unknown'>[],
  stored: AsyncIterable<{ id: string; content: string }>,
): Promise<OverloadCount> {
  const copies = loads.map(({ ids }) => new Uint8Array(ids.length))
  const isThere = loads.map(({ ids }) => new Uint8Array(ids.length))
  let found = 0
  let foreign = 0
  for await (const { id, content } of stored) {
    found += 1
    const nth = loads.findIndex(({ mark }) => numberIn(content, mark) !== undefined)
    const { mark = '', ids = [] } = loads[nth] ?? {}
    const number = numberIn(content, mark) ?? -1
    const count = copies[nth]?.[number]
    if (count === undefined) foreign += 1
    else copies[nth]?.fill(Math.min(count + 1, 255), number, number + 1)
    if (ids[number] === id) isThere[nth]?.fill(1, number, number + 1)
  }
  let acknowledged = 0
  let lost = 0
  let doubled = 0
  let unasked = 0
  for (const [nth, { ids, unknown }] of loads.entries()) {
    const mayBe = new Set(unknown)
    for (const [number, id] of ids.entries()) {
      const stored = copies[nth]?.[number] ?? 0
      if (id !== null) acknowledged += 1
      if (id !== null && isThere[nth]?.[number] !== 1) lost += 1
      if (stored > 1) doubled += 1
      if (id === null && stored > 0 && !mayBe.has(number)) unasked += 1
    }
  }
  const broken = [
    ...told(lost, 'acknowledged and lost'),
    ...told(doubled, 'stored twice'),
    ...told(unasked, 'stored, and refused to the end'),
    ...told(foreign, 'stored, and sent by nobody'),
  ]
  return { acknowledged, found, lost, doubled, broken }
}

function told(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}`]
}
