import { type Db, ObjectId } from 'mongodb'
import type { MediaRecordDocument } from '../../../src/collections.ts'
import { deadlineIn } from '../../../src/lib/deadline.ts'
import type { Entry } from '../../../src/send-message/entry.ts'
import { createMediaRecords, type MediaRecords } from '../../../src/send-message/media-records.ts'
import { readClaims, settleMedia } from '../../../src/send-message/settle-media.ts'
import type { Dice } from './dice.ts'

/** Some uploads' records in one database, to be changed by the service's own functions. */
export interface Side {
  readonly db: Db
  readonly records: MediaRecords
  /** As they are, by id. */
  all(): Promise<MediaRecordDocument[]>
  /** As if their time had passed. */
  letTimePass(ids: readonly string[]): Promise<void>
}

export function sideOf(db: Db, more: Pick<Side, 'all' | 'letTimePass'>): Side {
  return { db, records: createMediaRecords(db), ...more }
}

/** A change of the records, decided once and then made on every side. */
export interface Step {
  readonly name: string
  on(side: Side): Promise<unknown>
}

const ids = ['a', 'b', 'c'] as const
const senders = [new ObjectId(), new ObjectId()] as const
const messageId = new ObjectId()

/** Any change, often by who holds a record and sometimes by who did. `next`: a token that nobody has yet. */
export function anyStep(dice: Dice, records: readonly MediaRecordDocument[], next: string): Step {
  const some = dice.some(ids, dice.whole(1, ids.length + 1))
  const record = records[dice.whole(0, records.length)]
  const id = record?._id ?? dice.pick(ids)
  const token = record && dice.chance(0.8) ? record.token : 'of nobody'
  const step = (name: string, on: Step['on']): Step => ({ name, on })
  return dice.pick<() => Step>([
    () => claim(some, dice.pick(senders), next),
    () => claim(some, senders[0], next),
    () => step(`release ${id}`, ({ records: side }) => side.release([id], token)),
    () => {
      const items = some.map((each) => ({ id: each, uncertain: dice.chance(0.5) }))
      return step(`begin to undo ${some}`, async ({ records: side }) =>
        (await side.beginUndo(items, { held: token, next })).sort(),
      )
    },
    () => {
      const uncertain = dice.pick<'back' | undefined>(['back', undefined])
      return step(`undo ${id}, ${uncertain}`, ({ records: side }) => side.finishUndo(id, token, uncertain))
    },
    () => step(`postpone ${id}`, ({ records: side }) => side.postponeUndo(record ?? { _id: id }, token)),
    () => step('find', async ({ records: side }) => (await side.findDue(10)).map(({ _id }) => _id).sort()),
    () => step(`take ${id}`, async ({ records: side }) => record && (await side.takeDue(record, next))),
    () => step(`close ${id}`, async ({ records: side }) => record && (await side.close(record, token))),
    () => step(`look at ${id}`, async (side) => record && (await look(side, record, next))),
    () => settle(id, token),
    () => step(`let time pass for ${some}`, (side) => side.letTimePass(some)),
    () => step(`let time pass for ${id}`, (side) => side.letTimePass([id])),
  ])()
}

function claim(some: readonly string[], senderId: ObjectId, token: string): Step {
  return {
    name: `claim ${some} for ${senders.indexOf(senderId)}`,
    async on({ records }) {
      const answer = await records.claim(some, { senderId, token }, deadlineIn(5_000))
      return Object.entries(answer).map(([name, value]) => [
        name,
        value instanceof Set ? [...value].sort() : value,
      ])
    },
  }
}

/** A sweeper's, that finds nothing. */
async function look(side: Side, record: MediaRecordDocument, token: string): Promise<boolean> {
  await side.letTimePass([record._id])
  const isTaken = await side.records.takeDue(record, token)
  if (isTaken) await side.records.close(record, token)
  return isTaken
}

function settle(id: string, claimToken: string): Step {
  // What a settlement looks at, of a draft and its message.
  const message = { _id: messageId, media: [{ type: 'file' }] }
  const entry = { draft: { mediaIds: [id] }, message, claimToken } as unknown as Entry
  const options = { signal: AbortSignal.timeout(5_000) }
  return {
    name: `settle ${id}`,
    on: async ({ db }) =>
      settleMedia(db, [entry], await readClaims(db, [entry], options), options).then(
        () => 'settled',
        (error: unknown) => String(error),
      ),
  }
}
