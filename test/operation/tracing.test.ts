import type { SpanContext } from '@opentelemetry/api'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { MongoClient, ObjectId } from 'mongodb'
import t from 'tap'
import { findMongod } from '../../src/dev/mongod.ts'
import { startReplicaSet } from '../../src/dev/replica-set.ts'
import { traceTransactions } from '../../src/plugins/traced-calls.ts'
import type { CollectedSpan, Collector } from '../support/collector.ts'
import { halfOpen } from '../support/connection.ts'
import { databaseUri, dropDatabase } from '../support/database.ts'
import { startDatabaseProxy } from '../support/database-proxy.ts'
import { picture, promotionOf } from '../support/media.ts'
import { isRequest, spanId, startTraced, traceId, traceparent } from '../support/traced.ts'

// What the traces tell. Whether there are any, and how they come to a collector, is in tracing-collector.test.ts.

const isBatch = ({ name }: CollectedSpan): boolean => name === 'commit batch'

function childrenOf({ spans }: Collector, parent: CollectedSpan | undefined): CollectedSpan[] {
  return spans.filter(({ parentSpanId }) => parent && parentSpanId === parent.spanId)
}

t.test('a request is one span, in the trace of whoever called', async (t) => {
  const { collector, service } = await startTraced(t)
  const [alice, bob] = [await service.person(), await service.person()]

  const answer = await alice.sends(bob, 'Hello', { headers: { traceparent } })
  await service.app.close()

  const [span, ...others] = collector.spans.filter(isRequest)
  t.equal(others.length, 0)
  t.match(span, { traceId, parentSpanId: spanId, kind: 2, status: { code: 0 } })
  t.strictSame(span?.attributes, {
    'http.request.method': 'POST',
    'http.route': '/message/send/:userId',
    'http.response.status_code': 200,
    'request.id': answer.headers.get('x-request-id'),
  })
  t.ok(BigInt(span?.endTimeUnixNano ?? 0) > BigInt(span?.startTimeUnixNano ?? 0))
})

t.test(
  'the batch that stored a message is a trace of its own, to which the request has a link',
  async (t) => {
    const { collector, service } = await startTraced(t)
    const [alice, bob] = [await service.person(), await service.person()]

    await alice.sends(bob, 'Hello', { key: 'a-key' })
    await service.app.close()

    const [batch, ...others] = collector.spans.filter(isBatch)
    const [request] = collector.spans.filter(isRequest)
    t.equal(others.length, 0)
    t.match(batch, { parentSpanId: undefined, attributes: { 'messages.batch.size': 1 }, status: { code: 0 } })
    t.match(request?.links, [{ traceId: batch?.traceId, spanId: batch?.spanId }])
    t.not(request?.traceId, batch?.traceId)
    const commands = childrenOf(collector, batch)
    t.strictSame(
      commands.map(({ name }) => name),
      ['find blocks', 'find messages', 'update conversations', 'insert messages', 'commitTransaction'],
    )
    t.strictSame(commands[3]?.attributes, {
      'db.system.name': 'mongodb',
      'db.operation.name': 'insert',
      'db.collection.name': 'messages',
      'db.operation.batch.size': 1,
    })
  },
)

t.test('messages that are committed together have links to one batch', async (t) => {
  const { collector, service } = await startTraced(t)
  const [alice, bob] = [await service.person(), await service.person()]

  await Promise.all(Array.from({ length: 20 }, (_, index) => alice.sends(bob, `message ${index}`)))
  await service.app.close()

  const sizes = new Map<string, number>()
  for (const { links = [] } of collector.spans.filter(isRequest))
    for (const link of links) sizes.set(link.spanId, (sizes.get(link.spanId) ?? 0) + 1)
  const batches = collector.spans.filter(isBatch)
  t.strictSame(
    sizes,
    new Map(batches.map((batch) => [batch.spanId, Number(batch.attributes['messages.batch.size'])])),
  )
  t.ok(batches.length < 20)
})

t.test('each call to the storage is a child of its own request, also of two at once', async (t) => {
  const { collector, service } = await startTraced(t)
  const [alice, bob] = [await service.person(), await service.person()]
  const uploads = [alice.uploads('image'), alice.uploads('video')]

  const answers = await Promise.all(uploads.map((upload) => alice.sends(bob, picture(upload))))
  await service.app.close()

  const callsOf = (requestId: string | null) => {
    const request = collector.spans.find(({ attributes }) => attributes['request.id'] === requestId)
    return childrenOf(collector, request).map(({ name, kind, attributes }) => [name, kind, attributes])
  }
  const rename = (type: string, answer: string, status = {}) => [
    'storage rename',
    3,
    {
      'storage.operation': 'rename',
      'storage.resource_type': type,
      'storage.answer': answer,
      ...status,
    },
  ]
  const [image, video] = answers.map(({ headers }) => callsOf(headers.get('x-request-id')))
  t.strictSame(image, [rename('image', 'renamed')])
  t.strictSame(video, [rename('image', 'source-missing'), rename('video', 'renamed')])
})

t.test('a storage that refuses, or does not say, is seen in the calls', async (t) => {
  const { collector, service } = await startTraced(t)
  const [alice, bob] = [await service.person(), await service.person()]
  const [refused, reset] = [alice.uploads('image'), alice.uploads('image')]
  service.storage.faults.on(promotionOf(refused), { kind: 'status', status: 420 })
  service.storage.faults.on(promotionOf(reset), { kind: 'reset-before' })

  const answers = [await alice.sends(bob, picture(refused)), await alice.sends(bob, picture(reset))]
  await service.app.close()

  t.match(answers, [{ code: 'MEDIA_PROMOTION_FAILED' }, { code: 'MEDIA_PROMOTION_FAILED' }])
  const calls = collector.spans.filter(({ name }) => name.startsWith('storage'))
  const kinds = (status: number) =>
    calls
      .filter((call) => call.status.code === status)
      .map(({ name, attributes }) => [
        name,
        attributes['storage.answer'],
        attributes['http.response.status_code'],
      ])
  t.strictSame(kinds(2), [['storage rename', 'unanswered', undefined]])
  t.match(kinds(0), [
    ['storage rename', 'refused', 420],
    ['storage find', 'found', undefined],
    ['storage find', 'missing', undefined],
  ])
})

t.test(
  'a call that the storage answers with another upload in the way is followed by its removal',
  async (t) => {
    const { collector, service } = await startTraced(t)
    const [alice, bob] = [await service.person(), await service.person()]
    const [good, bad] = [alice.uploads('image', 'good'), `temp/user_${alice.id.toHexString()}/nothing`]
    service.storage.faults.on((call) => call.action === 'rename' && call.toPublicId === good, {
      kind: 'status',
      status: 400,
      body: { error: { message: `to_public_id(${good}) already exists` } },
    })

    await alice.sends(bob, picture(good, bad))
    await service.app.close()

    const names = collector.spans.map(({ name }) => name).filter((name) => name.startsWith('storage'))
    t.ok(names.includes('storage destroy'))
  },
)

t.test('a refusal has its code, and only a fault of the service is an error', async (t) => {
  const { collector, service } = await startTraced(t)
  const [alice, bob] = [await service.person(), await service.person()]

  await alice.sends(alice, 'to myself')
  await alice.sends(bob, 'forged', { token: 'a.b.c' })
  await alice.sends(bob, picture(`temp/user_${alice.id.toHexString()}/nothing`))
  await service.request('/health/live')
  await service.request('/message/send')
  const socket = await halfOpen(service.url, `POST /message/send/${bob.id.toHexString()} HTTP/1.1\r\n\r\n`)
  await socket.resume().toArray()
  await service.app.close()

  const seen = collector.spans.filter(isRequest).map(({ status, attributes }) => ({
    status: attributes['http.response.status_code'],
    code: attributes['refusal.code'],
    error: attributes['error.type'],
    isError: status.code === 2,
  }))
  t.strictSame(seen, [
    { status: 400, code: 'MESSAGE_TO_SELF', error: undefined, isError: false },
    { status: 401, code: 'TOKEN_INVALID', error: undefined, isError: false },
    { status: 500, code: 'MEDIA_PROMOTION_FAILED', error: 'MEDIA_PROMOTION_FAILED', isError: true },
    // Before any hook of the plugin: no Host.
    { status: 400, code: 'MALFORMED_REQUEST', error: undefined, isError: false },
  ])
  t.strictSame(
    collector.spans.filter(({ name }) => /health/.test(name)),
    [],
  )
})

t.test('no span tells of people, contents, keys, uploads or tokens', async (t) => {
  const { collector, service } = await startTraced(t)
  const [alice, bob] = [await service.person(), await service.person()]
  const upload = alice.uploads('image', 'private-upload')

  const sent = await alice.sends(bob, 'private content', { key: 'private-key' })
  await alice.sends(bob, 'private content', { key: 'private-key' })
  await alice.sends(bob, picture(upload))
  await alice.sends(bob, picture(upload))
  await alice.sends(bob, { content: 'private content', type: 'text', 'private-field': 1 })
  await alice.sends(bob, 'private content', { userId: 'private-id' })
  await service.app.close()

  const told = collector.bodies.join('\n')
  const ids = [alice.id, alice.deviceId, bob.id].map((id) => id.toHexString())
  const { _id, conversationId } = sent.body.data
  const secrets = [alice.token, new URL(service.mongodbUri).host, service.db.databaseName, 'cloudinary:']
  t.equal(collector.spans.filter(isRequest).length, 6)
  const own = ['private content', 'private-key', 'private-upload', 'private-field', 'private-id', 'temp/']
  t.strictSame(
    [...ids, _id, conversationId, ...secrets, ...own].filter((each) => told.includes(each)),
    [],
  )
  t.strictSame(
    collector.spans.flatMap(({ events = [] }) => events),
    [],
  )
})

t.test('a command that fails is an error of its batch, and the next try is in the same one', async (t) => {
  const mongodbUri = await databaseUri('_frozen')
  t.teardown(() => dropDatabase(mongodbUri))
  const proxy = await startDatabaseProxy(t, mongodbUri)
  const { collector, service } = await startTraced(t, { mongodbUri: proxy.uri })
  const [alice, bob] = [await service.person(), await service.person()]

  proxy.freeze()
  const answering = alice.sends(bob, 'Hello')
  const failed = await collector.collected(({ status }) => status.code === 2)
  proxy.mend()
  const answer = await answering
  await service.app.close()

  const [batch] = collector.spans.filter(isBatch)
  t.equal(answer.code, 'OK')
  t.match(failed, { parentSpanId: batch?.spanId, attributes: { 'error.type': /Error$/ } })
  t.match(batch?.status, { code: 0 })
  t.ok(childrenOf(collector, batch).some(({ name }) => name === 'commitTransaction'))
})

t.test('a batch whose last command has failed is an error', async (t) => {
  const binary = await findMongod({ env: process.env, say: () => undefined })
  const { uri, stop } = await startReplicaSet({ binary, testCommands: true })
  t.teardown(stop)
  const { collector, service } = await startTraced(t, { mongodbUri: uri('traced') })
  const [alice, bob] = [await service.person(), await service.person()]
  const data = { failCommands: ['insert'], namespace: 'traced.messages', errorCode: 13 }
  await service.app.mongo.client
    .db('admin')
    .command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data })

  const answer = await alice.sends(bob, 'Hello')
  await service.app.close()

  t.equal(answer.code, 'INTERNAL_ERROR')
  t.match(collector.spans.find(isRequest), {
    status: { code: 2 },
    attributes: { 'error.type': 'INTERNAL_ERROR' },
  })
  t.match(collector.spans.find(isBatch), { status: { code: 2 } })
  t.match(
    collector.spans.find(({ name }) => name === 'insert messages'),
    { status: { code: 2 }, attributes: { 'error.type': '13' } },
  )
})

t.test('which batch has written a document is remembered for so many', async (t) => {
  const mongodbUri = await databaseUri('_remembered')
  const client = new MongoClient(mongodbUri)
  t.teardown(async () => {
    await client.close()
    await dropDatabase(mongodbUri)
  })
  const db = client.db()
  const { batchOf } = traceTransactions({ client, db }, new TracerProvider().getTracer('tests'))
  const documents = Array.from({ length: 8_193 }, () => ({ _id: new ObjectId() }))
  const session = client.startSession()

  await db.command({ insert: 'messages', documents }, { session })
  await session.endSession()

  const known = documents.map(({ _id }) => batchOf(_id.toHexString()))
  t.equal(known[0], undefined)
  t.equal(new Set(known.slice(1).map((context?: SpanContext) => context?.spanId)).size, 1)
  t.ok(known[1])
})
