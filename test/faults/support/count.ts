import { ObjectId } from 'mongodb'
import type { MediaRecordDocument, MessageDocument } from '../../../src/collections.ts'
import { conversationIdOf, pairOf } from '../../../src/send-message/conversation.ts'
import { groupBy } from './group-by.ts'
import { type Entry, refusedKinds } from './ledger.ts'

export type StoredMessage = Pick<
  MessageDocument,
  '_id' | 'conversationId' | 'senderId' | 'content' | 'media' | 'idempotency'
>

/** What is there when everybody has stopped. */
export interface Found {
  messages: readonly StoredMessage[]
  records: readonly MediaRecordDocument[]
  /** Ids of the chats. */
  conversations: ReadonlySet<string>
  /** Public ids in the storage. */
  assets: ReadonlySet<string>
}

export interface Count {
  acknowledged: number
  found: number
  lost: number
  doubled: number
  broken: string[]
}

/**
 * Compares what the clients were told with what is there: every message, every key, every asset. `held`: clients that had
 * less patience than an upload may be held for.
 */
export function countUp(
  entries: readonly Entry[],
  found: Found,
  { held = 'is broken' }: { held?: 'is broken' | 'is allowed' } = {},
): Count {
  const byMark = groupBy(found.messages, ({ content }) => content)
  const acknowledged = entries.filter((entry) => entry.acknowledged !== undefined)
  const lost = acknowledged.filter(
    ({ mark, acknowledged: id }) => !byMark.get(mark)?.some(({ _id }) => _id.toHexString() === id),
  )
  const doubled = [...byMark.values()].filter((copies) => copies.length > 1)
  const sent = new Map(entries.map((entry) => [entry.mark, entry]))
  const broken = [
    ...told(
      'acknowledged and lost',
      lost.map(({ mark }) => mark),
    ),
    ...told(
      'stored twice',
      doubled.map(([copy]) => copy?.content ?? ''),
    ),
    ...told(
      'stored, and sent by nobody',
      [...byMark.keys()].filter((mark) => !sent.has(mark)),
    ),
    ...told(
      'refused, and stored',
      entries.filter(isStoredAllTheSame).map(({ mark, refused }) => `${mark} ${refused}`),
    ),
    ...told(
      'acknowledged, and should have been refused',
      acknowledged.filter(({ kind }) => refusedKinds.has(kind)).map(({ mark, kind }) => `${mark} ${kind}`),
    ),
    ...told(
      'repeated to its end without a 200 or a refusal',
      entries.filter(isOpen).map(({ mark }) => mark),
    ),
    ...told(
      'not as it was sent',
      found.messages.filter(isChanged).map(({ content }) => content),
    ),
    ...told(
      'in a chat that is not there',
      found.messages.filter(isHomeless).map(({ content }) => content),
    ),
    ...assetsAtFault(entries, found),
  ]
  return {
    acknowledged: acknowledged.length,
    found: found.messages.length,
    lost: lost.length,
    doubled: doubled.length,
    broken,
  }

  function isStoredAllTheSame({ mark, refused, unknown, acknowledged: id }: Entry): boolean {
    return refused !== undefined && !unknown && id === undefined && byMark.has(mark)
  }

  function isOpen({ key, acknowledged: id, refused, isHeld }: Entry): boolean {
    if (isHeld && held === 'is allowed') return false
    return key !== undefined && id === undefined && refused === undefined
  }

  function isChanged({ content, senderId, conversationId, idempotency, media }: StoredMessage): boolean {
    const entry = sent.get(content)
    if (!entry) return false
    const chat = conversationIdOf(
      pairOf(ObjectId.createFromHexString(entry.senderId), ObjectId.createFromHexString(entry.receiverId)),
    )
    return (
      senderId.toHexString() !== entry.senderId ||
      !conversationId.equals(chat) ||
      idempotency?.key !== entry.key ||
      media.map(({ publicId }) => publicId).join() !== entry.mediaIds.map(permanent).join()
    )
  }

  function isHomeless({ conversationId }: StoredMessage): boolean {
    return !found.conversations.has(conversationId.toHexString())
  }
}

/** Every promoted asset belongs to a stored message; every other is back, or a record says that the sweeper will see to it. */
function assetsAtFault(entries: readonly Entry[], { messages, records, assets }: Found): string[] {
  const messageOf = new Map(
    messages.flatMap(({ _id, media }) => media.map(({ publicId }) => [publicId, _id.toHexString()])),
  )
  const recordOf = new Map(records.map((record) => [record._id, record]))
  const uploads = entries.flatMap(({ mediaIds }) => mediaIds)
  const isDue = (id: string): boolean => recordOf.get(id)?.until !== undefined
  const stored = uploads.filter((id) => messageOf.has(permanent(id)))
  const rest = uploads.filter((id) => !messageOf.has(permanent(id)))
  return [
    ...told(
      'a stored message, without its asset',
      stored.filter((id) => !assets.has(permanent(id))),
    ),
    ...told('a stored message, its asset not recorded as attached to it', stored.filter(isNotAttached)),
    ...told(
      'promoted without a message, and due to nobody',
      rest.filter((id) => assets.has(permanent(id)) && !isDue(id)),
    ),
    ...told(
      'neither promoted nor back',
      rest.filter((id) => !assets.has(permanent(id)) && !assets.has(id)),
    ),
  ]

  function isNotAttached(id: string): boolean {
    const record = recordOf.get(id)
    return record?.state !== 'attached' || record.messageId?.toHexString() !== messageOf.get(permanent(id))
  }
}

function permanent(temporaryId: string): string {
  return temporaryId.replace(/^temp\//, 'messages/')
}

function told(what: string, which: readonly string[]): string[] {
  if (which.length === 0) return []
  return [`${which.length} ${what}: ${which.slice(0, 3).join(', ')}${which.length > 3 ? ', …' : ''}`]
}
