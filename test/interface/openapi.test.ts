import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ObjectId } from 'mongodb'
import t from 'tap'
import { parse } from 'yaml'
import type { SendMessageBody, SendMessageResponse } from '../../schemas/message.ts'
import * as messageSchemas from '../../schemas/message.ts'
import { type RefusalCode, refusalCodes, refusals } from '../../schemas/refusal.ts'
import { describeApp } from '../../src/dev/describe-app.ts'
import * as errors from '../../src/errors.ts'
import { conformanceTo } from '../support/conformance.ts'
import { tokenOf } from '../support/people.ts'
import { root, rootUrl } from '../support/root.ts'
import { startService } from '../support/service.ts'

interface Response {
  description: string
  headers: Record<string, { description: string }>
  content: Content<object>
}

type Content<T> = Record<string, { examples: Record<string, { value: T }> }>

interface Operation {
  operationId: string
  summary: string
  security?: object[]
  parameters: { in: string; name: string; required: boolean; example: string }[]
  requestBody: { content: Content<SendMessageBody> }
  responses: Record<string, Response>
}

interface Document {
  openapi: string
  servers: object[]
  security: object[]
  paths: Record<string, Record<string, Operation>>
  components: { securitySchemes: object; schemas: Record<string, object> }
}

const service = await startService(t)
const document = (await (await fetch(`${service.url}/openapi.json`)).json()) as Document
const send = document.paths['/message/send/{userId}']?.post as Operation
const committed = await readFile(new URL('openapi.yaml', rootUrl), 'utf8')

/** Every schema in it that says it is an object, by its place. */
function objectsIn(value: unknown, place = ''): { place: string; closed: boolean }[] {
  if (typeof value !== 'object' || value === null) return []
  const own = 'properties' in value || ('type' in value && value.type === 'object')
  return [
    ...(own
      ? [{ place, closed: (value as { additionalProperties?: unknown }).additionalProperties === false }]
      : []),
    ...Object.entries(value).flatMap(([key, child]) => objectsIn(child, `${place}/${key}`)),
  ]
}

function openObjectsIn(value: unknown): string[] {
  return objectsIn(value)
    .filter(({ closed }) => !closed)
    .map(({ place }) => place)
}

function examplesOf(code: RefusalCode): { value: object } | undefined {
  return send.responses[refusals[code].status]?.content['application/json']?.examples[code]
}

t.test('the committed document is what the schemas say', async (t) => {
  t.equal(await describeApp(), committed)
})

t.test('a running service serves it, as YAML and as JSON', async (t) => {
  const yaml = await fetch(`${service.url}/openapi.yaml`)
  const json = await fetch(`${service.url}/openapi.json`)

  t.equal(await yaml.text(), committed)
  t.match(yaml.headers.get('content-type'), /^application\/yaml/)
  t.match(json.headers.get('content-type'), /^application\/json/)
  t.equal(await json.text(), JSON.stringify(service.app.swagger()))
})

t.test('readers of YAML 1.1 find the same in it as those of 1.2', async (t) => {
  t.strictSame(parse(committed, { version: '1.1' }), document)
  t.strictSame(parse(committed), document)
  // tap takes the times of 1.1 out of the parser.
  t.notMatch(committed, /[:-] \d{4}-\d\d-\d\d/)
})

t.test('Redocly finds no fault in it, not even a warning', async (t) => {
  const cli = join(root, 'node_modules/@redocly/cli/bin/cli.js')
  const path = join(root, 'openapi.yaml')
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
  const args = [cli, 'lint', path, '--extends', 'recommended', '--format', 'json']

  // It exits with 0 on warnings, and with 1 on errors: either way the report says it.
  const report = await promisify(execFile)(process.execPath, args, { env }).catch((error) => error)

  t.match(JSON.parse(report.stdout), { totals: { errors: 0, warnings: 0, ignored: 0 }, problems: [] })
})

t.test('it describes the send call and the probes, and nothing else', async (t) => {
  t.equal(document.openapi, '3.1.0')
  t.strictSame(document.servers, [{ url: '/' }])
  t.strictSame(Object.keys(document.paths).sort(), [
    '/health/live',
    '/health/ready',
    '/message/send/{userId}',
  ])
  t.match(send, { operationId: 'sendPrivateMessage', summary: 'Send a private message to a user' })
  t.strictSame(document.security, [{ bearerAuth: [] }])
  t.match(document.components.securitySchemes, { bearerAuth: { type: 'http', scheme: 'bearer' } })
  t.strictSame(document.paths['/health/live']?.get?.security, [])
  t.match(send.parameters, [
    { in: 'path', name: 'userId', required: true },
    { in: 'header', name: 'Idempotency-Key', required: false },
  ])
})

t.test('every code has one class that throws it, and an example under its status that fits', async (t) => {
  const classes = Object.values(errors).filter((each) => each !== errors.Refusal) as errors.RefusalClass[]
  const conformance = conformanceTo(document)
  const headers = new Headers({ 'x-request-id': 'an id' })

  const thrown = classes.map((RefusalClass) => new RefusalClass())
  const missing = refusalCodes.filter((code) => examplesOf(code) === undefined)

  t.strictSame(thrown.map(({ code }) => code).sort(), [...refusalCodes].sort())
  t.strictSame(missing, [])
  for (const code of refusalCodes) {
    const answer = { status: refusals[code].status, headers, body: examplesOf(code)?.value }
    t.doesNotThrow(() => conformance.check('POST', '/message/send/x', answer), code)
    t.match(answer.body, { code })
  }
})

t.test(
  'the example of each body goes through, and is answered as the example of its answer is',
  async (t) => {
    const bodies = send.requestBody.content['application/json']?.examples ?? {}
    const sent = send.responses[200]?.content['application/json']?.examples ?? {}
    const messages = Object.values(sent).map(({ value }) => (value as SendMessageResponse).data)
    const [senderId = '', receiverId = ''] = [messages[0]?.senderId, send.parameters[0]?.example]
    const deviceId = new ObjectId()
    const ids = [senderId, receiverId].map((id) => ObjectId.createFromHexString(id))
    await service.db.collection('users').insertMany(ids.map((_id) => ({ _id, status: 'active' })))
    await service.db.collection('devices').insertOne({ _id: deviceId, userId: ids[0], trusted: true })
    for (const { publicId, type } of messages.flatMap(({ media }) => media)) {
      const resourceType = type === 'file' ? 'raw' : type
      service.storage.put({ publicId: publicId.replace('messages/', 'temp/'), resourceType })
    }
    const token = tokenOf({ sub: senderId, deviceId: deviceId.toHexString() })
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }

    const answers = await Promise.all(
      Object.values(bodies).map(({ value }) =>
        service.request(`/message/send/${receiverId}`, {
          method: 'POST',
          headers,
          body: JSON.stringify(value),
        }),
      ),
    )

    t.strictSame(Object.keys(bodies), Object.keys(sent))
    t.ok(answers.length > 2)
    t.strictSame(
      answers.map(({ code, body }) => ({ code, ...withoutChance(body.data) })),
      messages.map((message) => ({ code: 'OK', ...withoutChance(message) })),
    )
  },
)

/** What is the same whenever it is sent, and whatever the bytes of the uploads are. */
function withoutChance({ conversationId, senderId, type, content, media }: SendMessageResponse['data']) {
  const items = media.map(({ publicId, type }) => ({ publicId, type }))
  return { conversationId, senderId, type, content, items }
}

t.test('every status is described, and has nothing but codes of its own', async (t) => {
  const statuses = [...new Set(Object.values(refusals).map(({ status }) => String(status)))]
  t.strictSame(Object.keys(send.responses).sort(), ['200', ...statuses].sort())
  for (const status of statuses) {
    const codes = refusalCodes.filter((code) => String(refusals[code].status) === status)
    const response = send.responses[status] as Response
    t.strictSame(Object.keys(response.content['application/json']?.examples ?? {}), codes)
    t.ok(
      codes.every((code) =>
        response.description.includes(`\`${code}\`: ${refusals[code].meaning.split(' ')[0]}`),
      ),
    )
  }
})

t.test('the headers of an answer are told where they occur', async (t) => {
  const statusesWith = (name: string) =>
    Object.keys(send.responses).filter((status) => send.responses[status]?.headers[name])
  t.strictSame(statusesWith('X-Request-Id'), Object.keys(send.responses))
  t.strictSame(statusesWith('X-RateLimit-Limit'), ['200', '400', '401', '409', '422', '429', '500', '503'])
  t.strictSame(statusesWith('X-RateLimit-Remaining'), statusesWith('X-RateLimit-Limit'))
  t.strictSame(statusesWith('X-RateLimit-Reset'), statusesWith('X-RateLimit-Limit'))
  t.strictSame(statusesWith('Retry-After'), ['409', '429', '503'])
  t.strictSame(statusesWith('WWW-Authenticate'), ['401'])
  t.strictSame(statusesWith('Allow'), ['405'])
  t.strictSame(statusesWith('Idempotent-Replayed'), ['200'])
})

t.test('all objects are closed, but for the headers of a request', async (t) => {
  t.ok(objectsIn(document.components.schemas).length >= 7)
  t.strictSame(openObjectsIn(document), [])
  t.strictSame(openObjectsIn(messageSchemas), ['/SendMessageHeaders'])
})
