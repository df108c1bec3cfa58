import type { Message, SendMessageResponse } from './message.ts'
import { type Fault, type Refusal, type RefusalCode, refusals } from './refusal.ts'

/** The values that the document shows; a test holds each against its schema. */

const requestId = '018f2b7e-6c1d-4f3a-9b0e-2a7c5d1e8f90'
const timestamp = '2026-02-06T12:37:51.549Z'

const text: Message = {
  conversationId: '65631f0c2a9d4e7b8c0f1a2b',
  senderId: '6543a1b2c3d4e5f6a7b8c9d0',
  type: 'text',
  content: 'Hello there',
  media: [],
  deliveredTo: [],
  seenBy: [],
  isDeleted: false,
  _id: '6783d4e5f6a7b8c9d0e1f2a3',
  createdAt: '2026-02-06T12:37:51.523Z',
  updatedAt: '2026-02-06T12:37:51.523Z',
}

const image: Message = {
  ...text,
  type: 'image',
  content: 'The view from here',
  media: [
    {
      url: 'https://res.cloudinary.com/demo/image/upload/v1/messages/user_6543a1b2c3d4e5f6a7b8c9d0/holiday.png',
      publicId: 'messages/user_6543a1b2c3d4e5f6a7b8c9d0/holiday',
      assetId: '3515c6000a548515f1134043f9785c2f',
      type: 'image',
      height: 800,
      width: 600,
      bytes: 102_400,
    },
  ],
}

export const sentExamples: Record<string, { summary: string; value: SendMessageResponse }> = {
  text: { summary: 'A text', value: answerWith(text) },
  image: { summary: 'A picture', value: answerWith(image) },
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

function answerWith(data: Message): SendMessageResponse {
  return { success: true, message: 'request processed successfully', data, timestamp }
}
