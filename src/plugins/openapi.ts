import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'
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
        components: {
          securitySchemes: {
            bearerAuth: {
              type: 'http',
              scheme: 'bearer',
              bearerFormat: 'JWT',
              description:
                'A signed JWT with `sub` (the sender’s user id), `deviceId` (both 24 hexadecimal digits) and `exp`. HS256, RS256, ' +
                'ES256 or EdDSA, as the service is configured.',
            },
          },
        },
        security: [{ bearerAuth: [] }],
      },
      refResolver: {
        buildLocalReference: ({ $id }, _base, _fragment, index) =>
          typeof $id === 'string' ? $id : `Schema${index}`,
      },
    })
    app.addSchema(Fault)
    app.addSchema(Refusal)

    app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
    app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) => {
      return reply.type('application/yaml; charset=utf-8').send(app.swagger({ yaml: true }))
    })
  },
  { name: 'openapi' },
)

const documentDescription = `
Sends private messages from one person to another.

**Repeats.** Send an \`Idempotency-Key\` with every message, and the same one with every repeat of it: then whatever the
network or the service does, the message is stored once. Repeat after a lost connection, \`408\`, \`409\`, \`429\`, \`500\` and
\`503\`; wait for \`Retry-After\` where there is one. Without a key, a repeat after \`DATABASE_UNAVAILABLE\` or a lost
connection may send the message twice.

**Media.** Upload to Cloudinary under \`temp/user_<your user id in lower case>/…\` first, and name the uploads' public ids
in \`media\`. They are promoted to permanent storage: the answer's \`publicId\` begins with \`messages/\`, and the temporary
id is dead from then on.

**Decide by \`code\`**, never by \`message\`, which is for people. Every request is answered within 8 seconds of its last
byte, 18 with media. Query strings are ignored.
`.trim()
