import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { SendMessageBody, SendMessageResponse } from '../../schemas/message.ts'

const { JWT_SECRET, JWT_PUBLIC_KEY, MONGODB_URI = '' } = process.env

export const environment = {
  mongodbUri: MONGODB_URI,
  jwt: JWT_SECRET
    ? { secret: JWT_SECRET, verify: { algorithms: ['HS256' as const] } }
    : { secret: { public: JWT_PUBLIC_KEY ?? '' }, verify: { algorithms: ['EdDSA' as const], cache: 10_000 } },
}

/** As the service does it: a line with the address, on standard output. */
export async function announce(app: Pick<FastifyInstance, 'listen' | 'log'>): Promise<void> {
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  app.log.info({ address }, 'listening')
}

/** An answer of the right shape and size, made of nothing but the request. */
export function echoOf(
  senderId: string,
  receiverId: string,
  { content, type }: SendMessageBody,
): SendMessageResponse {
  const now = new Date().toISOString()
  return {
    success: true,
    message: 'request processed successfully',
    data: {
      conversationId: receiverId,
      senderId,
      type,
      content,
      media: [],
      deliveredTo: [],
      seenBy: [],
      isDeleted: false,
      _id: randomBytes(12).toString('hex'),
      createdAt: now,
      updatedAt: now,
    },
    timestamp: now,
  }
}
