import type { Db } from 'mongodb'
import type { ResourceType } from '../../src/asset-storage.ts'
import type { MediaRecordDocument } from '../../src/collections.ts'
import type { CallSubject } from '../../src/dev/cloudinary/call.ts'
import type { Matcher } from '../../src/dev/cloudinary/faults.ts'
import type { CloudinaryStandIn } from '../../src/dev/cloudinary/server.ts'

/** A message with these uploads. */
export function picture(...publicIds: string[]): {
  content: string
  type: string
  media: { publicId: string }[]
} {
  return { content: 'Look', type: 'image', media: publicIds.map((publicId) => ({ publicId })) }
}

/** Where an upload is after its promotion. */
export function promoted(temporaryId: string): string {
  return temporaryId.replace(/^temp\//, 'messages/')
}

/** The promotion of an upload, in whatever resource type it is tried. */
export function promotionOf(publicId: string): Matcher {
  return (call) => call.action === 'rename' && call.publicId === publicId
}

/** Its way back. */
export function undoOf(publicId: string): Matcher {
  return (call) => call.action === 'rename' && call.toPublicId === publicId
}

/** Every call about an upload, under either id. */
export function callsAbout(publicId: string): (call: CallSubject) => boolean {
  return (call) => [publicId, promoted(publicId)].includes(call.publicId ?? '')
}

/** `temp`, `messages`, both or none: where the storage has the upload. */
export function whereIs(storage: CloudinaryStandIn, publicId: string, type: ResourceType = 'image'): string {
  const places = [publicId, promoted(publicId)].filter((id) => storage.has(type, id))
  return places.map((id) => id.split('/')[0]).join(' and ')
}

/** A promise that a test keeps when it likes. */
export function latch(): { until: Promise<void>; open(): void } {
  let open = (): void => {}
  const until = new Promise<void>((resolve) => {
    open = resolve
  })
  return { until, open: () => open() }
}

export async function recordOf(db: Db, publicId: string): Promise<MediaRecordDocument | null> {
  return await db.collection<MediaRecordDocument>('media').findOne({ _id: publicId })
}

/** What the time is by the clock that leases and quiet times are told by. */
export async function databaseNowMs(db: Db): Promise<number> {
  const { localTime } = await db.admin().command({ hello: 1 })
  return localTime.getTime()
}

/** As if the lease, or the quiet time, had passed: the clock that counts is the database's. */
export async function letTimePass(db: Db, ...publicIds: string[]): Promise<void> {
  await db
    .collection<MediaRecordDocument>('media')
    .updateMany(
      { _id: { $in: publicIds }, until: { $exists: true } },
      { $set: { until: new Date(0) } },
      { writeConcern: { w: 'majority' } },
    )
}
