import type { Fault } from '../../../src/dev/cloudinary/faults.ts'
import type { Command } from '../database-messages.ts'
import { undoOf } from '../media.ts'
import type { Stage } from './scene.ts'

/** A place on the way of a message with three uploads. */
export interface CrashPoint {
  what: string
  reach(stage: Stage): Promise<unknown>
  /** What a process that is killed there leaves of each upload. */
  leaves: string[]
}

const hang: Fault = { kind: 'hang' }
const [back, claimed, there] = ['temp undoing', 'temp promoting', 'messages promoting']

/** The promotions of the later ones are still to be done when those of the earlier ones are. */
export function promoted(earlier: number, later: Fault = hang): CrashPoint['reach'] {
  return async ({ trio, storage }) => {
    const all = [...trio.ids.keys()]
    for (const at of all.slice(earlier)) storage.faults.on(trio.promotionAt(at), later)
    await Promise.all(all.map((at) => storage.nextRequest(trio.promotionAt(at))))
  }
}

/** The same after the last one was refused, which makes the others go back. */
function failed(reach: CrashPoint['reach']): CrashPoint['reach'] {
  return async (stage) => {
    stage.storage.faults.on(stage.trio.promotionAt(2), { kind: 'status', status: 400 })
    await reach(stage)
  }
}

const writesRecord = ({ name, collection }: Command): boolean => name === 'update' && collection === 'media'
/** Makes this of a record. */
const makes =
  (state: string) =>
  (command: Command): boolean =>
    writesRecord(command) && command.body.updates[0].u[0].$set?.state === state

export const beforeTheRecord: CrashPoint = {
  what: 'before the record is written',
  reach: ({ proxy }) => proxy.endBefore(writesRecord),
  leaves: ['temp', 'temp', 'temp'],
}

export const afterTheLast: CrashPoint = {
  what: 'after the last promotion',
  reach: ({ proxy }) => proxy.endBefore(({ inTransaction }) => inTransaction),
  leaves: [there, there, there],
}

export const afterTheFirst: CrashPoint = {
  what: 'after the first promotion',
  reach: promoted(1),
  leaves: [there, claimed, claimed],
}

export const betweenPromotions: CrashPoint[] = [
  {
    what: 'after the record is written',
    reach: ({ proxy }) => proxy.endAfter(writesRecord),
    leaves: [claimed, claimed, claimed],
  },
  { what: 'before the first promotion', reach: promoted(0), leaves: [claimed, claimed, claimed] },
  afterTheFirst,
  { what: 'after the second promotion', reach: promoted(2), leaves: [there, there, claimed] },
  {
    what: 'after the third promotion, before its answer',
    reach: promoted(2, { kind: 'hang-after' }),
    leaves: [there, there, there],
  },
  afterTheLast,
]

export const inTheUndo: CrashPoint[] = [
  {
    what: 'before the undo is recorded',
    reach: failed(({ proxy }) => proxy.endBefore(makes('undoing'))),
    leaves: [there, there, claimed],
  },
  {
    what: 'after the undo is recorded',
    reach: failed(({ proxy }) => proxy.endAfter(makes('undoing'))),
    leaves: ['messages undoing', 'messages undoing', back],
  },
  {
    what: 'after the first is back, before that is recorded',
    reach: failed(async ({ trio, storage, proxy }) => {
      const [first = '', second = ''] = trio.ids
      storage.faults.on(undoOf(second), hang)
      await Promise.all([storage.nextRequest(undoOf(first)), proxy.endBefore(makes('undone'))])
    }),
    leaves: [back, 'messages undoing', back],
  },
]

export const beforeTheCommit: CrashPoint = {
  what: 'before the commit',
  reach: ({ proxy }) => proxy.endBefore(({ name }) => name === 'commitTransaction'),
  leaves: [there, there, there],
}

export const inTheTransaction: CrashPoint[] = [
  {
    what: 'after the transaction’s first command',
    reach: ({ proxy }) => proxy.endAfter(({ inTransaction }) => inTransaction),
    leaves: [there, there, there],
  },
  {
    what: 'after the message is inserted',
    reach: ({ proxy }) => proxy.endAfter(({ name, inTransaction }) => name === 'insert' && inTransaction),
    leaves: [there, there, there],
  },
  beforeTheCommit,
]

export const afterTheCommit: CrashPoint = {
  what: 'after the commit, before the answer',
  reach: ({ proxy }) => proxy.endAfter(({ name }) => name === 'commitTransaction'),
  leaves: ['messages attached', 'messages attached', 'messages attached'],
}
