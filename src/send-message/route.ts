import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { ref } from '../../schemas/closed.ts'
import {
  MediaItem,
  MediaReference,
  Message,
  SendMessageBody,
  SendMessageHeaders,
  SendMessageParams,
  SendMessageResponse,
} from '../../schemas/message.ts'
import { sendMessageResponses } from '../../schemas/responses.ts'
import type { MessageDocument } from '../collections.ts'
import { deadlineIn } from '../lib/deadline.ts'
import type { Committed } from './commit.ts'
import { type Draft, draftOf } from './draft.ts'
import type { RefuseExcess } from './refuse-excess.ts'
import type { Turns } from './turns.ts'

// The contract gives 8 s, and 18 with media, of which an undo may take 3: half a second is left for what is between.
const deadlineMs = { text: 7_500, media: 14_500 }

declare module 'fastify' {
  interface FastifyRequest {
    /** Milliseconds for which the send call's request may have been there before its body was read. */
    waitedMs: number
  }
}

export interface RouteDeps {
  /** Before anything else is done for a request. */
  refuseExcess: RefuseExcess
  turns: Pick<Turns, 'queue' | 'waitedMs'>
  send(draft: Draft): Promise<Committed>
}

/** HTTP in, `send`, HTTP out. */
export function registerRoute(app: FastifyInstance, { refuseExcess, turns, send }: RouteDeps): void {
  for (const schema of [MediaReference, SendMessageBody, MediaItem, Message, SendMessageResponse])
    app.addSchema(schema)

  app.decorateRequest('waitedMs', 0)
  app.withTypeProvider<TypeBoxTypeProvider>().post(
    '/message/send/:userId',
    {
      schema: routeSchema,
      onRequest: [
        (_request, _reply, done) => refuseExcess(done),
        app.authenticate,
        app.requireJson,
        (request, reply, done) => {
          // For its turn, for room, or for token keys: its body may have been there all the time.
          request.waitedMs = turns.waitedMs(request.raw.socket) + reply.elapsedTime
          done()
        },
      ],
      onResponse: (request, _reply, done) => {
        turns.queue(request.raw.socket)
        done()
      },
      config: { metrics: 'send', rateLimit: {} },
    },
    async ({ params, headers, body, sender, waitedMs }, reply) => {
      const wholeMs = body.media?.length ? deadlineMs.media : deadlineMs.text
      // Each by its name: a spread of what JSON has read takes V8's slow way at every message.
      const draft = draftOf({
        content: body.content,
        type: body.type,
        media: body.media,
        sender,
        receiverId: params.userId,
        key: headers['idempotency-key'],
        deadline: deadlineIn(wholeMs - waitedMs),
      })
      const { message, replayed } = await send(draft)
      if (replayed) reply.header('Idempotent-Replayed', 'true')
      return responseOf(message)
    },
  )
}

const routeSchema = {
  operationId: 'sendPrivateMessage',
  summary: 'Send a private message to a user',
  description:
    'Stores a message from the token’s user to `userId`, in the private chat of the two, which their first message creates. ' +
    'Checked in this order: token, request, rate limit, not to oneself, account and device, a finished repeat, receiver, ' +
    'blocks, media. A refusal with a 4xx has changed nothing.',
  tags: ['messages'],
  params: SendMessageParams,
  headers: SendMessageHeaders,
  body: ref(SendMessageBody),
  response: sendMessageResponses,
}

function responseOf(message: MessageDocument): SendMessageResponse {
  const { _id, conversationId, senderId, type, content, media, deliveredTo, seenBy, isDeleted } = message
  return {
    success: true,
    message: 'request processed successfully',
    data: {
      conversationId: conversationId.toHexString(),
      senderId: senderId.toHexString(),
      type,
      content,
      media,
      deliveredTo: deliveredTo.map((id) => id.toHexString()),
      seenBy: seenBy.map((id) => id.toHexString()),
      isDeleted,
      _id: _id.toHexString(),
      createdAt: message.createdAt.toISOString(),
      updatedAt: message.updatedAt.toISOString(),
    },
    timestamp: new Date().toISOString(),
  }
}
