import { createHash } from 'node:crypto'
import { ObjectId } from 'mongodb'
import type { MediaItem, MessageType } from '../../schemas/message.ts'
import type { MessageDocument } from '../collections.ts'
import type { Deadline } from '../lib/deadline.ts'
import { conversationIdOf, type Pair, pairOf } from './conversation.ts'

/** What somebody wants to send to somebody: past the schemas, not yet looked up anywhere. Ids are lower-case hex. */
export interface Draft {
  readonly senderId: string
  readonly deviceId: string
  readonly receiverId: string
  readonly participants: Pair
  readonly conversationId: ObjectId
  readonly type: MessageType
  readonly content: string
  /** Temporary public ids, in the order that was sent. */
  readonly mediaIds: readonly string[]
  /** The client's Idempotency-Key with a digest of what it sent: another body under the same key is told by it. */
  readonly idempotency?: { readonly key: string; readonly digest: string }
  /** When the request must have its answer; the undo of a promotion has its own time after it. */
  readonly deadline: Deadline
}

export interface DraftRequest {
  sender: { userId: string; deviceId: string }
  receiverId: string
  content: string
  type: MessageType
  media?: readonly { publicId: string }[] | undefined
  key?: string | undefined
  deadline: Deadline
}

export function draftOf(request: DraftRequest): Draft {
  const { sender, content, type, key, deadline } = request
  const receiverId = request.receiverId.toLowerCase()
  const participants = pairOf(
    ObjectId.createFromHexString(sender.userId),
    ObjectId.createFromHexString(receiverId),
  )
  const mediaIds = request.media?.map(({ publicId }) => publicId) ?? []
  return {
    senderId: sender.userId,
    deviceId: sender.deviceId,
    receiverId,
    participants,
    conversationId: conversationIdOf(participants),
    type,
    content,
    mediaIds,
    ...(key === undefined ? {} : { idempotency: { key, digest: digestOf(content, type, mediaIds) } }),
    deadline,
  }
}

// What a message has beside its content, and a media item at most: ids of 251 code points, twice, once in an address
// where each can take 12 bytes.
const frameBytes = 1_024
const mediaItemBytesMax = 5_120

/** What the message will take in the database and in memory, at most: for bounds. Serialising it to know costs more. */
export function bytesOf({ content, mediaIds }: Draft): number {
  return frameBytes + Buffer.byteLength(content) + mediaItemBytesMax * mediaIds.length
}

/** The message that a draft becomes. Made when it enters a run, so that it sorts behind what others have already read. */
export function messageOf(draft: Draft, media: MediaItem[], now: Date): MessageDocument {
  return {
    _id: new ObjectId(),
    conversationId: draft.conversationId,
    senderId: ObjectId.createFromHexString(draft.senderId),
    type: draft.type,
    content: draft.content,
    media,
    deliveredTo: [],
    seenBy: [],
    isDeleted: false,
    createdAt: now,
    updatedAt: now,
    ...(draft.idempotency ? { idempotency: draft.idempotency } : {}),
  }
}

/** JSON makes the parts unmistakable: no content can look like another content with media. */
function digestOf(content: string, type: MessageType, mediaIds: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([content, type, mediaIds]))
    .digest('base64url')
}
