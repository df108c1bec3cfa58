import { monotonicMs } from '../lib/deadline.ts'
import { forgetOldest } from '../lib/forget-oldest.ts'
import type { Draft } from './draft.ts'
import { nameOf } from './judge.ts'
import type { KnownChats } from './known-chats.ts'
import { openTransactionMs } from './session.ts'

/**
 * Documents that a message, alone in its transaction, has just met in somebody else's open one. Until they are free, who
 * wants them would fail every batch that it is in, and its repeats the next ones.
 */
export interface Suspects {
  has(draft: Draft): boolean
  add(draft: Draft): void
  delete(draft: Draft): void
}

// More than can be in flight; beyond it the oldest go, and cost a batch its conflict.
const suspectsMax = 10_000

export function createSuspects(knownChats: KnownChats, clock: () => number = monotonicMs): Suspects {
  const untilMs = new Map<string, number>()
  return {
    has: (draft) => untilMs.size > 0 && namesOf(draft).some((name) => (untilMs.get(name) ?? 0) > clock()),
    add(draft) {
      for (const name of namesOf(draft)) {
        untilMs.delete(name)
        untilMs.set(name, clock() + openTransactionMs)
      }
      forgetOldest(untilMs, suspectsMax)
    },
    delete(draft) {
      if (untilMs.size === 0) return
      for (const name of namesOf(draft)) untilMs.delete(name)
    },
  }

  function namesOf(draft: Draft): string[] {
    const { conversationId, mediaIds } = draft
    const chat = knownChats.has(conversationId) ? '' : conversationId.toHexString()
    return [nameOf(draft), chat, ...mediaIds].filter((name) => name !== '')
  }
}
