import { type Static, Type } from '@sinclair/typebox'
import { closed, oneOf, ref } from './closed.ts'
import { exampleSenderId, Id, MongoId, Timestamp } from './ids.ts'

/** Code points. Longer texts are documents, and a batch of the longest must fit into one write of the database. */
export const contentLengthMax = 4096

/** Items of a message: each is a call to the storage, and all of them must end within the request's time. */
export const mediaItemsMax = 10

/** Code points: `messages/` is 4 longer than `temp/`, and Cloudinary takes ids of 255. */
export const publicIdLengthMax = 251

export const messageTypes = ['text', 'image', 'video', 'file'] as const
export const mediaTypes = ['image', 'video', 'file'] as const

export const MessageType = oneOf(messageTypes, {
  description: 'How the message is to be shown. Any type may carry media; none has to.',
})
export type MessageType = Static<typeof MessageType>

const Content = Type.String({
  minLength: 1,
  maxLength: contentLengthMax,
  pattern: '\\S',
  format: 'unicode-text',
  description:
    '1 to 4096 Unicode code points, at least one of them not white space. Stored as sent: not trimmed, not ' +
    'normalised, not escaped. U+0000 and lone surrogates are refused. Required even when there is media.',
  examples: ['Hello there'],
})

export const MediaReference = closed(
  {
    publicId: Type.String({
      maxLength: publicIdLengthMax,
      description:
        'The public id of a temporary upload of your own: `temp/user_<your user id in lower case>/…`, compared exactly. ' +
        "It must not have an empty, '.' or `..` path segment, a control character, a lone surrogate, any of " +
        '`\\ % ? # & + < >`, or white space at either end; otherwise the answer is `INVALID_MEDIA_REFERENCE`. Each upload ' +
        'can be used by one message only.',
      examples: [`temp/user_${exampleSenderId}/holiday`],
    }),
  },
  {
    $id: 'MediaReference',
    description: 'An asset that the sender has uploaded to temporary storage at Cloudinary.',
  },
)
export type MediaReference = Static<typeof MediaReference>

export const SendMessageParams = closed({ userId: MongoId })
export type SendMessageParams = Static<typeof SendMessageParams>

/** The one object that stays open: a request has other headers than ours. */
export const SendMessageHeaders = Type.Object({
  'Idempotency-Key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[\\x21-\\x7e]*$',
      description:
        'Makes a repeat safe: a request with the same key, sender, receiver and body is answered with the message that ' +
        'the first one stored, and `Idempotent-Replayed: true`. 1 to 255 visible ASCII characters, sent at most once. ' +
        'Use a new random value for each message, and the same one for each repeat of it. Works for as long as the message exists.',
      examples: ['0f8fad5b-d9cb-469f-a165-70867728950e'],
    }),
  ),
})

export const SendMessageBody = closed(
  {
    content: Content,
    type: MessageType,
    media: Type.Optional(
      Type.Array(ref(MediaReference), {
        maxItems: mediaItemsMax,
        uniqueItems: true,
        description: 'At most 10 uploads, none of them twice. Their order is kept.',
      }),
    ),
  },
  {
    $id: 'SendMessageBody',
    description: 'The message to send. Unknown fields are refused, at any depth; nothing is coerced.',
  },
)
export type SendMessageBody = Static<typeof SendMessageBody>

const nullableInteger = (description: string) =>
  Type.Unsafe<number | null>({ type: ['integer', 'null'], minimum: 0, description })

export const MediaItem = closed(
  {
    url: Type.String({
      format: 'uri',
      description: 'Where the asset can be read (`secure_url` at Cloudinary).',
    }),
    publicId: Type.String({
      description:
        'The id that the asset has after its promotion, under `messages/`. The temporary id that was sent no longer works.',
    }),
    assetId: Type.String({ description: "Cloudinary's `asset_id`, which survives the promotion." }),
    type: oneOf(mediaTypes, { description: "The asset's own type: `file` is what Cloudinary calls `raw`." }),
    height: nullableInteger('In pixels; `null` if the asset has none.'),
    width: nullableInteger('In pixels; `null` if the asset has none.'),
    bytes: Type.Integer({ minimum: 0, description: 'Size in bytes.' }),
  },
  { $id: 'MediaItem', description: 'An asset in permanent storage, attached to a message.' },
)
export type MediaItem = Static<typeof MediaItem>

export const Message = closed(
  {
    conversationId: Type.String({
      ...Id,
      description:
        'The private chat of sender and receiver. It is the same in both directions, and never changes.',
    }),
    senderId: Id,
    type: MessageType,
    content: Type.String({ description: 'As it was sent, byte for byte.' }),
    media: Type.Array(ref(MediaItem), {
      description: 'In the order in which they were sent; `[]` if there were none.',
    }),
    deliveredTo: Type.Array(Id, { description: 'Ids of the users to whom it was delivered.' }),
    seenBy: Type.Array(Id, { description: 'Ids of the users who have seen it.' }),
    isDeleted: Type.Boolean(),
    _id: Type.String({ ...Id, description: 'The id of the message.' }),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  },
  { $id: 'Message', description: 'A stored message.' },
)
export type Message = Static<typeof Message>

export const SendMessageResponse = closed(
  {
    success: Type.Unsafe<true>({ type: 'boolean', const: true }),
    message: Type.String({
      description: 'For people; may change.',
      examples: ['request processed successfully'],
    }),
    data: ref(Message),
    timestamp: Timestamp,
  },
  {
    $id: 'SendMessageResponse',
    description: "The message, committed by a majority of the database's members.",
  },
)
export type SendMessageResponse = Static<typeof SendMessageResponse>
