import { exampleSenderId } from './ids.ts'
import type { MediaItem, Message, SendMessageBody, SendMessageResponse } from './message.ts'
import { type Fault, type Refusal, type RefusalCode, refusals } from './refusal.ts'

/** The values that the document shows. The bodies go through, and are answered so: a test sends them. */

interface Example<T> {
  summary: string
  value: T
}

const requestId = '018f2b7e-6c1d-4f3a-9b0e-2a7c5d1e8f90'
const timestamp = '2026-02-06T12:37:51.549Z'

const text: Message = {
  // Of the two people of the examples, like every chat's id.
  conversationId: 'da5c1c3467ec52ac92044dea',
  senderId: exampleSenderId,
  type: 'text',
  content: 'Hello there',
  media: [],
  deliveredTo: [],
  seenBy: [],
  isDeleted: false,
  _id: '6985e09f0b1c2d3e4f5a6b70',
  createdAt: '2026-02-06T12:37:51.523Z',
  updatedAt: '2026-02-06T12:37:51.523Z',
}

const image: Message = {
  ...text,
  type: 'image',
  content: 'The view from here',
  media: [
    stored({
      name: 'holiday',
      extension: '.png',
      assetId: '3515c6000a548515f1134043f9785c2f',
      type: 'image',
      height: 800,
      width: 600,
      bytes: 102_400,
    }),
  ],
  _id: '6985e09f0b1c2d3e4f5a6b71',
}

const files: Message = {
  ...text,
  type: 'file',
  content: 'What to bring, and how it looks there',
  media: [
    stored({
      name: 'packing-list.txt',
      extension: '',
      assetId: '8f2d1b7c4e6a09d35c17e2b4a6f80d93',
      type: 'file',
      height: null,
      width: null,
      bytes: 1_843,
    }),
    stored({
      name: 'meadow',
      extension: '.jpg',
      assetId: 'c04b9e6f2a7d18530e6bd9f471a25c8e',
      type: 'image',
      height: 900,
      width: 1_200,
      bytes: 187_316,
    }),
  ],
  _id: '6985e09f0b1c2d3e4f5a6b72',
}

export const sentExamples: Record<string, Example<SendMessageResponse>> = {
  text: { summary: 'A text', value: answerWith(text) },
  image: { summary: 'A picture', value: answerWith(image) },
  files: { summary: 'A file and a picture', value: answerWith(files) },
}

/** Of request bodies, by the `$id` of their schema. */
export const bodyExamples: Record<string, Record<string, Example<SendMessageBody>>> = {
  SendMessageBody: {
    text: { summary: 'A text', value: bodyOf(text) },
    image: { summary: 'A picture that was uploaded before', value: bodyOf(image) },
    files: { summary: 'A file and a picture, in this order', value: bodyOf(files) },
  },
}

const faults: Partial<Record<RefusalCode, Fault[]>> = {
  INVALID_BODY: [{ path: '/content', message: 'is required' }],
  INVALID_MEDIA_REFERENCE: [{ path: '/media/0', message: 'is not one of your temporary uploads' }],
  MEDIA_ALREADY_USED: [{ path: '/media/0', message: 'belongs to another message' }],
  MEDIA_PROMOTION_FAILED: [{ path: '/media/0', message: 'could not be moved to permanent storage' }],
}

export function refusalExample(code: RefusalCode): Refusal {
  const { message } = refusals[code]
  const errors = faults[code]
  return { success: false, code, message, ...(errors ? { errors } : {}), requestId, timestamp }
}

interface Asset extends Omit<MediaItem, 'url' | 'publicId'> {
  name: string
  /** What the address has behind the id; a file's id has it already. */
  extension: string
}

function stored({ name, extension, assetId, type, height, width, bytes }: Asset): MediaItem {
  const publicId = `messages/user_${exampleSenderId}/${name}`
  const resourceType = type === 'file' ? 'raw' : type
  const url = `https://res.cloudinary.com/demo/${resourceType}/upload/v1/${publicId}${extension}`
  return { url, publicId, assetId, type, height, width, bytes }
}

/** What the message was sent as. */
function bodyOf({ content, type, media }: Message): SendMessageBody {
  const references = media.map(({ publicId }) => ({ publicId: publicId.replace('messages/', 'temp/') }))
  return { content, type, ...(references.length > 0 ? { media: references } : {}) }
}

function answerWith(data: Message): SendMessageResponse {
  return { success: true, message: 'request processed successfully', data, timestamp }
}
