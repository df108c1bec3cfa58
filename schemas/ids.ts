import { Type } from '@sinclair/typebox'

/** Who writes to whom in the examples. */
export const exampleSenderId = '6543a1b2c3d4e5f6a7b8c9d0'
const exampleReceiverId = '65a7c3d9e1f20b4c6d8e9f01'

/** 24 hexadecimal digits in either case: how a client may write a MongoDB ObjectId. Only the receiver's is sent so. */
export const MongoId = Type.String({
  pattern: '^[0-9a-fA-F]{24}$',
  description: 'A MongoDB ObjectId: 24 hexadecimal digits, in either case.',
  examples: [exampleReceiverId],
})

/** 24 hexadecimal digits in lower case: how the service writes an ObjectId. */
export const Id = Type.String({
  pattern: '^[0-9a-f]{24}$',
  description: 'A MongoDB ObjectId: 24 hexadecimal digits, in lower case.',
})

/** A time as RFC 3339, UTC, in milliseconds. */
export const Timestamp = Type.String({
  format: 'date-time',
  description: 'RFC 3339, UTC, to the millisecond.',
})
