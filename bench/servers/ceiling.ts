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
import { announce, echoOf, environment } from './common.ts'

/**
 * The ceiling: the same framework, token check, schemas and logging, and an answer without a database. Nothing else of the
 * service. What no design of the send path can be faster than.
 */
const app = Fastify({ logger: true, ajv: ajvOptions }).withTypeProvider<TypeBoxTypeProvider>()
await app.register(jwt, environment.jwt)
for (const schema of [MediaReference, MediaItem, Message, SendMessageResponse]) app.addSchema(schema)

app.post(
  '/message/send/:userId',
  {
    schema: {
      params: SendMessageParams,
      headers: SendMessageHeaders,
      body: SendMessageBody,
      response: { 200: SendMessageResponse },
    },
    onRequest: (request, _reply, done) => {
      request.user = app.jwt.verify(request.headers.authorization?.slice('Bearer '.length) ?? '')
      done()
    },
  },
  async ({ user, params, body }) => echoOf((user as { sub: string }).sub, params.userId, body),
)

await announce(app)
