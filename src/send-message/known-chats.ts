import type { ObjectId } from 'mongodb'
import { createRecentMap } from '../lib/recent-map.ts'

/** Chats that are known to exist: a chat is never deleted, so what is in here is right for ever. */
export interface KnownChats {
  has(conversationId: ObjectId): boolean
  add(conversationIds: readonly ObjectId[]): void
}

// About 100 bytes each. Beyond it those go that were not used for longest, and cost one no-op upsert when they are again.
const knownChatsMax = 200_000

export function createKnownChats(chatsMax: number = knownChatsMax): KnownChats {
  const known = createRecentMap<string, true>(chatsMax)
  return {
    has: (conversationId) => known.get(conversationId.toHexString()) === true,
    add(conversationIds) {
      for (const id of conversationIds) known.set(id.toHexString(), true)
    },
  }
}
