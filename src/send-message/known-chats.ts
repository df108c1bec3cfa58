import type { ObjectId } from 'mongodb'

/** Chats that are known to exist: a chat is never deleted, so what is in here is right for ever. */
export interface KnownChats {
  has(conversationId: ObjectId): boolean
  add(conversationIds: readonly ObjectId[]): void
}

// About 100 bytes each. Beyond it those go that were not used for longest, and cost one no-op upsert when they are again.
const knownChatsMax = 200_000

/**
 * Two halves, and the older one is dropped as a whole when the younger is full. One set that forgets its oldest entry each
 * time would walk over all that it has forgotten before to find it: 0.1 ms at this size.
 */
export function createKnownChats(chatsMax: number = knownChatsMax): KnownChats {
  let older = new Set<string>()
  let younger = new Set<string>()

  function remember(id: string): void {
    if (younger.size >= chatsMax / 2) {
      older = younger
      younger = new Set()
    }
    younger.add(id)
  }

  return {
    has(conversationId) {
      const id = conversationId.toHexString()
      if (younger.has(id)) return true
      if (!older.has(id)) return false
      remember(id)
      return true
    },
    add(conversationIds) {
      for (const id of conversationIds) remember(id.toHexString())
    },
  }
}
