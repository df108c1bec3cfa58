import { isDeepStrictEqual } from 'node:util'
import type { MediaRecordDocument, MessageDocument } from '../../../src/collections.ts'
import { createMediaRecords } from '../../../src/send-message/media-records.ts'
import { sweepOnce } from '../../../src/send-message/sweep-media.ts'
import { eventually } from '../eventually.ts'
import { letTimePass, promoted, promotionOf, recordOf, undoOf, whereIs } from '../media.ts'
import type { Answer, Person } from '../people.ts'
import type { Service } from '../service.ts'
import {
  land,
  type Model,
  type ModelMessage,
  type ModelUpload,
  type Name,
  type StorageFault,
} from './state.ts'

/** The two instances as the model's people meet them; new people for each run. */
export interface Real {
  readonly services: readonly [Service, Service]
  readonly people: Record<Name, Person>
  /** Public ids, by the model's numbers. */
  readonly uploads: string[]
}

export async function newPeople(services: Real['services'], { uploads }: Model): Promise<Real> {
  const [{ person }] = services
  const people = { alice: await person(), bob: await person(), carol: await person() }
  return { services, people, uploads: uploads.map((upload, index) => putUpload(people, upload, index)) }
}

/**
 * Claims go in the order of public ids. Here the later uploads come first in it: so whoever wants a new one and one that
 * somebody has gets the new one, and has to give it back.
 */
export function putUpload(people: Real['people'], { owner, kind }: ModelUpload, index: number): string {
  return people[owner].uploads(kind, String(999 - index))
}

/** `instance`: which of the two. */
export function ask(real: Real, message: ModelMessage, instance: number): Promise<Answer> {
  const { services, people, uploads } = real
  const { from, to, content, type, key } = message
  const media = message.media.map((index) => ({ publicId: uploads[index] }))
  const options = { via: services[instance % 2]?.url ?? '', ...(key === undefined ? {} : { key }) }
  return people[from].sends(people[to], { content, type, media }, options)
}

/** As `ask`; but an instance's own sweeper may be looking at an upload just now, which is over soon. */
export async function askTwice(
  real: Real,
  message: ModelMessage,
  instance: number,
  expected: string,
): Promise<Answer> {
  const answer = await ask(real, message, instance)
  if (answer.code !== 'REQUEST_IN_PROGRESS' || expected === answer.code) return answer
  await sweepersAreDone(real)
  return await ask(real, message, instance)
}

const kinds = {
  refused: { kind: 'status', status: 420 },
  'cut before': { kind: 'reset-before' },
  'cut after': { kind: 'reset-after' },
} as const

/** Lets the storage treat a message's uploads so, until the function that is given back is called. */
export function breakStorage(
  { services: [{ storage }], uploads }: Real,
  { media }: ModelMessage,
  { first, back }: StorageFault,
): () => void {
  const [id = '', ...others] = media.map((index) => uploads[index] ?? '')
  const { faults } = storage
  const ends = [faults.on(promotionOf(id), kinds[first])]
  if (back !== 'answered') ends.push(...others.map((each) => faults.on(undoOf(each), kinds[back])))
  return () => {
    for (const end of ends) end()
  }
}

/** Both instances' sweepers at once, when everything is due or when nothing is. */
export async function sweepAll({ services, uploads }: Real, when: 'due' | 'early'): Promise<void> {
  const [{ db }] = services
  if (when === 'due') await letTimePass(db, ...uploads)
  await Promise.all(services.map((service) => sweepOn(service)))
  // The instances sweep by themselves, too, and may have been faster; nothing is ever under way for longer.
  await sweepersAreDone({ services, uploads })
}

/** One instance's sweep; `whenLooked` comes between what it has found and what it takes. */
export async function sweepOn({ app }: Service, whenLooked = async (): Promise<void> => {}): Promise<void> {
  const records = createMediaRecords(app.mongo.db)
  async function findDue(limit: number): Promise<MediaRecordDocument[]> {
    const due = await records.findDue(limit)
    await whenLooked()
    return due
  }
  await sweepOnce({
    storage: app.storage,
    records: { ...records, findDue },
    clock: () => performance.now(),
    onPromotion() {},
  })
}

async function sweepersAreDone({
  services: [{ db }],
  uploads,
}: Pick<Real, 'services' | 'uploads'>): Promise<void> {
  const undoing = { _id: { $in: uploads }, state: 'undoing' }
  await eventually(async () => (await db.collection<{ _id: string }>('media').countDocuments(undoing)) === 0)
}

/** A promotion that was not answered is carried out now. */
export async function landLate({ uploads }: Model, real: Real, index: number): Promise<void> {
  const [upload, id] = [uploads[index], real.uploads[index]]
  if (!upload || id === undefined) return
  const answer = await real.services[0].app.storage.rename(
    resourceTypes[upload.kind],
    id,
    promoted(id),
    10_000,
  )
  equal(answer.kind, 'renamed')
  land(upload)
}

/** The instances sweep when they like, what was left to them: the model has to be told. */
export function observeSweepers({ uploads }: Model, { services: [{ storage }], uploads: ids }: Real): void {
  for (const [index, upload] of uploads.entries()) {
    const place = whereIs(storage, ids[index] ?? '', resourceTypes[upload.kind])
    if (upload.mayBeSwept && place === 'temp') Object.assign(upload, { place, mayBeSwept: false })
  }
}

/** Throws where the database or the storage is not as the model has it. */
export async function compare(model: Model, real: Real): Promise<void> {
  const [{ db, storage }] = real.services
  observeSweepers(model, real)
  const ids = Object.values(real.people).map(({ id }) => id)
  const stored = await db
    .collection<MessageDocument>('messages')
    .find({ senderId: { $in: ids } })
    .sort({ _id: 1 })
    .toArray()
  equal(
    stored.map((message) => toldOf(real, message)),
    model.messages.map((message) => expectedOf(real, message)),
  )
  for (const [index, upload] of model.uploads.entries()) {
    const id = real.uploads[index] ?? ''
    const { state, messageId } = (await recordOf(db, id)) ?? {}
    const owner = stored.find(({ media }) => media.some(({ publicId }) => publicId === promoted(id)))
    equal(
      [index, whereIs(storage, id, resourceTypes[upload.kind]), state === 'attached', String(messageId)],
      [index, upload.place, upload.isAttached, String(owner?._id)],
    )
  }
  const chats = await db.collection('conversations').countDocuments({ participants: { $in: ids } })
  equal(chats, new Set(model.messages.map(({ from, to }) => [from, to].sort().join())).size)
}

const resourceTypes: Record<ModelUpload['kind'], 'image' | 'video' | 'raw'> = {
  image: 'image',
  video: 'video',
  file: 'raw',
}

function toldOf({ people }: Real, { senderId, content, type, media, idempotency }: MessageDocument): unknown {
  const from = Object.entries(people).find(([, { id }]) => id.equals(senderId))?.[0]
  return { from, content, type, media: media.map(({ publicId }) => publicId), key: idempotency?.key }
}

function expectedOf({ uploads }: Real, { from, content, type, media, key }: ModelMessage): unknown {
  return { from, content, type, media: media.map((index) => promoted(uploads[index] ?? '')), key }
}

export function equal(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected))
    throw new Error(`is ${JSON.stringify(actual)}, should be ${JSON.stringify(expected)}`)
}
