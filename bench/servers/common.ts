import { randomBytes } from 'node:crypto'
import jwt from '@fastify/jwt'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import {
  MediaItem,
  MediaReference,
  Message,
  SendMessageBody,
  SendMessageHeaders,
  SendMessageParams,
  SendMessageResponse,
} from '../../schemas/message.ts'
import { ajvOptions } from '../../src/plugins/validation.ts'

const { JWT_SECRET, JWT_PUBLIC_KEY, MONGODB_URI = '' } = process.env

export const environment = {
  mongodbUri: MONGODB_URI,
  jwt: JWT_SECRET
    ? { secret: JWT_SECRET, verify: { algorithms: ['HS256' as const] } }
    : { secret: { public: JWT_PUBLIC_KEY ?? '' }, verify: { algorithms: ['EdDSA' as const], cache: 10_000 } },
}

export interface Claims {
  sub: string
  deviceId: string
}

type Answer = (claims: Claims, receiverId: string, body: SendMessageBody) => Promise<SendMessageResponse>

/** The same framework, token check, schemas and logging as the service; says its address as the service does. */
export async function serve(answer: Answer): Promise<void> {
  const app = Fastify({ logger: true, ajv: ajvOptions }).withTypeProvider<TypeBoxTypeProvider>()
  await app.register(jwt, environment.jwt)
  for (const schema of [MediaReference, MediaItem, Message, SendMessageResponse]) app.addSchema(schema)
  const schema = {
    params: SendMessageParams,
    headers: SendMessageHeaders,
    body: SendMessageBody,
    response: { 200: SendMessageResponse },
  }
  app.post(
    '/message/send/:userId',
    {
      schema,
      onRequest: (request, _reply, done) => {
        request.user = app.jwt.verify(request.headers.authorization?.slice('Bearer '.length) ?? '')
        done()
      },
    },
    ({ user, params, body }) => answer(user as Claims, params.userId, body),
  )
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
