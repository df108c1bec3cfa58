import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { peopleScript } from './docs-script.ts'
import type { Cast } from './people.ts'

/** What the page at /docs has in the demo only: its people, whose tokens are a click away, and requests that go through. */
export interface DocsPage {
  show(cast: Cast): void
}

const channel = 'fastify.initialization'
const scriptPath = '/docs/people.js'

/** Of the next app that is made. Fastify tells of each before its plugins, so that the service itself knows of no demo. */
export function openDocsPage(): DocsPage {
  let cast: Cast | undefined
  const extend = (message: unknown): void => {
    unsubscribe(channel, extend)
    // Documented: https://fastify.dev/docs/latest/Reference/Hooks/#diagnostics-channel-hooks.
    const { fastify: app } = message as { fastify: FastifyInstance }
    app.get(scriptPath, { schema: { hide: true } }, async (_request, reply) => {
      return reply.type('text/javascript; charset=utf-8').send(cast ? peopleScript(cast) : '')
    })
    app.addHook('onSend', async ({ routeOptions: { url } }, _reply, payload) => {
      if (url === '/docs' || url === '/docs/') {
        return String(payload).replace('</body>', `<script src="${scriptPath}"></script></body>`)
      }
      return url === '/docs/json' && cast ? withRequestsOf(cast, String(payload)) : payload
    })
  }
  subscribe(channel, extend)
  return {
    show(shown) {
      cast = shown
    },
  }
}

interface SendDocument {
  paths: Record<'/message/send/{userId}', { post: SendOperation }>
}

interface SendOperation {
  parameters: { name: string; example?: string }[]
  requestBody: { content: Record<'application/json', { examples?: unknown }> }
}

/** The receiver is Bob, the bodies are Alice's, and no key is filled in: with the same one each send would be a repeat. */
function withRequestsOf({ bob, uploads }: Cast, json: string): string {
  const document = JSON.parse(json) as SendDocument
  const { parameters, requestBody } = document.paths['/message/send/{userId}'].post
  for (const parameter of parameters) {
    if (parameter.name === 'userId') parameter.example = bob.userId
    else delete parameter.example
  }
  requestBody.content['application/json'].examples = {
    text: { summary: 'A text', value: { content: 'Hello there', type: 'text' } },
    picture: {
      summary: 'A picture that Alice has uploaded',
      value: { content: 'The meadow', type: 'image', media: [{ publicId: uploads.spare }] },
    },
  }
  return JSON.stringify(document)
}
