import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import { Document, Scalar, visit } from 'yaml'
import { bodyExamples } from '../../schemas/examples.ts'
import { Fault, Refusal } from '../../schemas/refusal.ts'

/** The document, from the routes' own schemas, at `/openapi.json` and `/openapi.yaml`; `npm run openapi` writes the same. */
export default fp(
  async (app) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Private messages',
          version: '1.0.0',
          description: documentDescription,
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [{ url: '/' }],
        tags: [
          { name: 'messages', description: 'Sending private messages.' },
          { name: 'health', description: 'For balancers and orchestrators; no token needed.' },
        ],
        components: { securitySchemes: { bearerAuth } },
        security: [{ bearerAuth: [] }],
      },
      convertConstToEnum: false,
      transform: ({ schema, url }) => ({ schema: withReferredBody(schema), url }),
      transformObject: (given) => withBodyExamples(given as { openapiObject: Described }),
      refResolver: {
        buildLocalReference: ({ $id }) => String($id),
      },
    })
    app.addSchema(Fault)
    app.addSchema(Refusal)

    app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
    let yaml: string | undefined
    app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) => {
      yaml ??= openapiYaml(app)
      return reply.type('application/yaml; charset=utf-8').send(yaml)
    })
  },
  { name: 'openapi' },
)

/** @fastify/swagger's own leaves times unquoted, which readers of YAML 1.1 (PyYAML, for one) take for dates, not for texts. */
export function openapiYaml(app: FastifyInstance): string {
  const document = new Document(app.swagger())
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === 'string' && /^\d{4}-\d\d-\d\d/.test(node.value))
        node.type = Scalar.QUOTE_DOUBLE
    },
  })
  return document.toString()
}

/** @fastify/swagger copies a body that is a reference, and leaves its component unused, unless a media type is around it. */
function withReferredBody(schema: FastifySchema): FastifySchema {
  const { body } = schema as { body?: object }
  return body && '$ref' in body
    ? { ...schema, body: { content: { 'application/json': { schema: body } } } }
    : schema
}

/** As much of the document as is looked at below. */
interface Described {
  paths: Record<string, { post?: { requestBody: { content: Record<string, DescribedBody> } } }>
}

interface DescribedBody {
  schema: { $ref: string }
  examples?: object | undefined
}

/** With names, for which a schema has no place; and what stands beside a reference @fastify/swagger drops. */
function withBodyExamples({ openapiObject }: { openapiObject: Described }): object {
  for (const { post } of Object.values(openapiObject.paths)) {
    for (const body of Object.values(post?.requestBody.content ?? {}))
      body.examples = bodyExamples[body.schema.$ref.replace(/.*\//, '')]
  }
  return openapiObject
}

const bearerAuth = {
  type: 'http',
  scheme: 'bearer',
  bearerFormat: 'JWT',
  description:
    "A signed JWT with `sub` (the sender's user id), `deviceId` (both 24 hexadecimal digits) and `exp`. HS256, RS256, ES256 " +
    'or EdDSA, depending on how the service is configured.',
} as const

// Lines that the YAML can keep as they are: it would fold longer ones, and double the ends of all.
const documentDescription = `
Sends private messages from one person to another.

**Send an \`Idempotency-Key\` with every message**, and the same key with
every repeat of it. Then the message is stored once, whatever the network
or the service does, and each repeat is answered with the stored message.
Only a stored message is remembered: a request that was refused may be
repeated with its key.

**You may repeat, unchanged,** a request whose connection was lost, or that
was answered with \`408\`, \`409\`, \`429\`, \`500\` or \`503\`. Wait for as long
as \`Retry-After\` says if it is there, and longer before each further repeat.
After a lost connection or \`DATABASE_UNAVAILABLE\` the message may be stored:
without a key, a repeat may then send it twice. After any other refusal
nothing is stored, and the same request will be refused again until the
cause is gone. After \`TOKEN_EXPIRED\`, send it with a new token.

**Media.** Upload to Cloudinary under
\`temp/user_<your user id in lower case>/…\` first, and name the public ids
of the uploads in \`media\`. Sending moves them to permanent storage. The
\`publicId\` in the answer therefore begins with \`messages/\`: it differs, on
purpose, from the one that was sent, which no longer works.

**Decide by \`code\`**, never by \`message\`, which is for people and may
change. New codes may come: if you do not know a code, go by its status.
Every request is answered within 8 seconds of its last byte, 18 with media.
Query strings are ignored.
`.trim()
