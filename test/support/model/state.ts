import type { MessageType } from '../../../schemas/message.ts'

/**
 * What people know of the service: who may write to whom, what is stored, and which uploads are free. Nothing of batches,
 * tokens, leases or retries. `send` says what must be answered, and what is true afterwards.
 */
export const names = ['alice', 'bob', 'carol'] as const
export type Name = (typeof names)[number]
export type Status = 'active' | 'inactive' | 'suspended' | 'deleted'

export interface ModelUpload {
  readonly owner: Name
  readonly kind: 'image' | 'video' | 'file'
  place: 'temp' | 'messages'
  isAttached: boolean
  /** Its way back was not answered: nobody may send it before it was looked at. */
  isBarred: boolean
  /** Left under `messages/`, free to be sent, until a sweeper comes. */
  mayBeSwept: boolean
  /** Its promotion was not answered, and may land late: until sweepers have looked so often, after an hour. */
  mayLandFor: number
}

export interface ModelMessage {
  readonly from: Name
  readonly to: Name
  readonly content: string
  readonly type: MessageType
  /** Uploads, by their number. */
  readonly media: readonly number[]
  readonly key: string | undefined
}

export interface Model {
  readonly statuses: Record<Name, Status>
  readonly trusted: Record<Name, boolean>
  /** `<blocker> <blocked>` */
  readonly blocks: Set<string>
  readonly uploads: ModelUpload[]
  readonly messages: ModelMessage[]
  /** What somebody tried to send last, whatever became of it. */
  last: ModelMessage | undefined
}

/** Nobody has written to anybody; some have something to show. */
export function newModel(): Model {
  return {
    statuses: { alice: 'active', bob: 'active', carol: 'active' },
    trusted: { alice: true, bob: true, carol: true },
    blocks: new Set(),
    uploads: [
      newUpload('alice', 'image'),
      newUpload('alice', 'video'),
      newUpload('alice', 'image'),
      newUpload('bob', 'file'),
    ],
    messages: [],
    last: undefined,
  }
}

/** What the storage does with the first upload of a message, and then with the way back of the others. */
export interface StorageFault {
  readonly first: 'refused' | 'cut before' | 'cut after'
  readonly back: 'answered' | 'refused' | 'cut before' | 'cut after'
}

export function newUpload(owner: Name, kind: ModelUpload['kind']): ModelUpload {
  return { owner, kind, place: 'temp', isAttached: false, isBarred: false, mayBeSwept: false, mayLandFor: 0 }
}

export interface Expected {
  readonly code: string
  /** The message of before that is answered again. */
  readonly replayed?: ModelMessage
}

/** The kind of upload that is looked for first. */
const likelyKind = { text: 'image', image: 'image', video: 'video', file: 'file' } as const

/** What must be answered; changes the model as the service must change. */
export function send(model: Model, message: ModelMessage, fault?: StorageFault): Expected {
  model.last = message
  const refused = refusalOf(model, message)
  if (refused) return refused
  const media = message.media.flatMap((index) => model.uploads[index] ?? [])
  const [first, ...others] = media
  // One that was left promoted is found, and not moved again; and a move whose answer was lost is seen where it was looked
  // for first.
  const isLikely = first?.kind === likelyKind[message.type]
  const isSeen = fault?.first === 'cut after' && isLikely
  if (fault && !isSeen && first?.place === 'temp') {
    if (fault.first === 'cut before' && isLikely) first.mayLandFor = 2
    for (const upload of others) leaveBehind(upload, fault.back)
    return { code: 'MEDIA_PROMOTION_FAILED' }
  }
  for (const upload of media)
    Object.assign(upload, { place: 'messages', isAttached: true, mayBeSwept: false, mayLandFor: 0 })
  model.messages.push(message)
  return { code: 'OK' }
}

/** The contract's checks, in its order. */
export function refusalOf(model: Model, message: ModelMessage): Expected | undefined {
  const { from, to } = message
  if (from === to) return { code: 'MESSAGE_TO_SELF' }
  if (model.statuses[from] === 'suspended') return { code: 'ACCOUNT_SUSPENDED' }
  if (model.statuses[from] !== 'active') return { code: 'ACCOUNT_INACTIVE' }
  if (!model.trusted[from]) return { code: 'DEVICE_NOT_TRUSTED' }
  const finished = message.key === undefined ? undefined : finishedOf(model, message)
  if (finished) return isSameBody(finished, message) ? { code: 'OK', replayed: finished } : reused
  if (model.statuses[to] === 'deleted') return { code: 'RECEIVER_NOT_FOUND' }
  if (model.blocks.has(`${from} ${to}`) || model.blocks.has(`${to} ${from}`))
    return { code: 'BLOCKED_RELATIONSHIP' }
  const media = message.media.flatMap((index) => model.uploads[index] ?? [])
  if (media.some(({ owner }) => owner !== from)) return { code: 'INVALID_MEDIA_REFERENCE' }
  if (media.some(({ isAttached }) => isAttached)) return { code: 'MEDIA_ALREADY_USED' }
  if (media.some(({ isBarred }) => isBarred)) return { code: 'REQUEST_IN_PROGRESS' }
  return undefined
}

const reused: Expected = { code: 'IDEMPOTENCY_KEY_REUSED' }

function finishedOf({ messages }: Model, { from, to, key }: ModelMessage): ModelMessage | undefined {
  return messages.find((message) => message.from === from && message.to === to && message.key === key)
}

function isSameBody(one: ModelMessage, other: ModelMessage): boolean {
  return one.content === other.content && one.type === other.type && one.media.join() === other.media.join()
}

/** What an undo leaves. */
function leaveBehind(upload: ModelUpload, back: StorageFault['back']): void {
  upload.place = back === 'refused' || back === 'cut before' ? 'messages' : 'temp'
  upload.isBarred = back === 'cut before' || back === 'cut after'
  upload.mayBeSwept = back === 'refused'
}

/** The sweepers have come when everything was due. */
export function sweep({ uploads }: Model): void {
  for (const upload of uploads) {
    if (upload.isAttached) continue
    const mayLandFor = Math.max(0, upload.mayLandFor - 1)
    Object.assign(upload, { place: 'temp', isBarred: false, mayBeSwept: false, mayLandFor })
  }
}

/** Whether a promotion that was not answered may be carried out now. */
export function mayLand({ place, mayLandFor }: ModelUpload): boolean {
  return mayLandFor > 0 && place === 'temp'
}

/** It was: nobody knows, and the sweepers have to find it. */
export function land(upload: ModelUpload): void {
  Object.assign(upload, { place: 'messages', mayBeSwept: true, mayLandFor: 0 })
}

export function copyOf(model: Model): Model {
  return structuredClone(model)
}
