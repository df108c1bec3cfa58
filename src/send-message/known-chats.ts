import type { ObjectId } from 'mongodb'
import { forgetOldest } from '../lib/forget-oldest.ts'

/** Chats that are known to exist: a chat is never deleted, so what is in here is right for ever. */
export interface KnownChats {
  has(conversationId: ObjectId): boolean
  add(conversationIds: readonly ObjectId[]): void
}

// About 100 bytes each. Beyond it the oldest go, and cost one no-op upsert when they write again.
const knownChatsMax = 200_000

export function createKnownChats(chatsMax: number = knownChatsMax): KnownChats {
  const known = new Set<string>()
  return {
    has: (conversationId) => known.has(conversationId.toHexString()),
    add(conversationIds) {
      for (const id of conversationIds) known.add(id.toHexString())
      forgetOldest(known, chatsMax)
    },
  }
}
