import { hash } from 'node:crypto'
import { ObjectId } from 'mongodb'

export type Pair = readonly [smaller: ObjectId, larger: ObjectId]

/** Two people's ids in the order that their chat has them, whoever writes. */
export function pairOf(one: ObjectId, other: ObjectId): Pair {
  return Buffer.compare(one.id, other.id) < 0 ? [one, other] : [other, one]
}

/**
 * The chat's id from its two people alone: the first 12 bytes of SHA-256 over their ids, the smaller first. So two first
 * messages at once meet in one chat without a look-up or a second unique index. With 10^9 chats, the chance that any two
 * share an id is about 6 in 10^12.
 */
export function conversationIdOf([smaller, larger]: Pair): ObjectId {
  return new ObjectId(hash('sha256', Buffer.concat([smaller.id, larger.id]), 'buffer').subarray(0, 12))
}
