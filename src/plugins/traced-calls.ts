import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import {
  type ClientSession,
  type Db,
  type Document,
  type MongoClient,
  MongoServerError,
  type ObjectId,
} from 'mongodb'
import type { AssetStorage, ResourceType } from '../asset-storage.ts'
import { forgetOldest } from '../lib/forget-oldest.ts'

interface StorageTracing {
  tracer: Tracer
  parent(): Span | undefined
}

/** Spans of what a request asks of the storage. What the sweeper asks belongs to no request, and has its counts in the metrics. */
export function traceStorage(storage: AssetStorage, { tracer, parent }: StorageTracing): AssetStorage {
  async function traced<A extends { kind: string; status?: number }>(
    operation: string,
    type: ResourceType,
    call: () => Promise<A>,
  ): Promise<A> {
    const request = parent()
    // Also what goes on after its request has been answered, an undo for example.
    if (!request?.isRecording()) return call()
    const attributes = { 'storage.operation': operation, 'storage.resource_type': type }
    const options = { kind: SpanKind.CLIENT, attributes }
    const span = tracer.startSpan(`storage ${operation}`, options, trace.setSpan(ROOT_CONTEXT, request))
    const answer = await call()
    span.setAttribute('storage.answer', answer.kind)
    if (answer.status !== undefined) span.setAttribute('http.response.status_code', answer.status)
    if (answer.kind === 'unanswered') span.setStatus({ code: SpanStatusCode.ERROR })
    span.end()
    return answer
  }

  return {
    rename: (type, from, to, timeoutMs) =>
      traced('rename', type, () => storage.rename(type, from, to, timeoutMs)),
    find: (type, publicId, timeoutMs) => traced('find', type, () => storage.find(type, publicId, timeoutMs)),
    destroy: (type, publicId, timeoutMs) =>
      traced('destroy', type, () => storage.destroy(type, publicId, timeoutMs)),
  }
}

interface Batch {
  span: Span
  /** When its last command ended: the session may end later, at a member that does not answer. */
  endedAt: number
  failed: boolean
}

// More than there are requests in flight, each of which asks once for its message: who asks finds it.
const rememberedMax = 8_192

/**
 * Spans of the transactions, each shared by many requests and thus a trace of its own: one for a session, from its first
 * command to its last, and below it one for each command. `batchOf` tells in which one a document was written.
 */
export function traceTransactions(
  { client, db }: { client: MongoClient; db: Db },
  tracer: Tracer,
): { batchOf(documentId: string): SpanContext | undefined } {
  const batches = new WeakMap<ClientSession, Batch>()
  const writtenIn = new Map<string, SpanContext>()

  function begin(session: ClientSession): Batch {
    const span = tracer.startSpan('commit batch', {}, ROOT_CONTEXT)
    const batch: Batch = { span, endedAt: Date.now(), failed: false }
    session.once('ended', () => {
      if (batch.failed) span.setStatus({ code: SpanStatusCode.ERROR })
      span.end(batch.endedAt)
    })
    batches.set(session, batch)
    return batch
  }

  function remember(documents: readonly { _id: ObjectId }[], { span }: Batch): void {
    span.setAttribute('messages.batch.size', documents.length)
    for (const { _id } of documents) writtenIn.set(_id.toHexString(), span.spanContext())
    forgetOldest(writtenIn, rememberedMax)
  }

  /** `Db` has no events of its own for this, and the driver's tell each command's content to whoever listens. */
  function traced(db: Db): Db {
    const send = db.command.bind(db)
    db.command = (command: Document, options?: { session?: ClientSession }) => {
      const session = options?.session
      const batch = session && (batches.get(session) ?? begin(session))
      if (!batch?.span.isRecording()) return send(command, options)

      if (command.insert) remember(command.documents, batch)
      const span = startCommand(tracer, command, batch)
      const end = (failed: boolean): void => {
        span.end()
        // The work is over by then, and it has failed.
        if (command.abortTransaction) return
        batch.failed = failed
        batch.endedAt = Date.now()
      }
      return send(command, options).then(
        (answer) => {
          end(false)
          return answer
        },
        (error: unknown) => {
          span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', typeOf(error))
          end(true)
          throw error
        },
      )
    }
    return db
  }

  const dbOf = client.db.bind(client)
  client.db = (...args) => traced(dbOf(...args))
  traced(db)
  return { batchOf: (documentId) => writtenIn.get(documentId) }
}

/** Names and numbers only: filters and documents hold what nobody else may read. */
function startCommand(tracer: Tracer, command: Document, batch: Batch): Span {
  const operation = String(Object.keys(command)[0])
  const collection: unknown = command[operation]
  const sent: unknown = command.documents ?? command.updates
  const attributes: Attributes = { 'db.system.name': 'mongodb', 'db.operation.name': operation }
  if (typeof collection === 'string') attributes['db.collection.name'] = collection
  if (Array.isArray(sent)) attributes['db.operation.batch.size'] = sent.length
  const name = typeof collection === 'string' ? `${operation} ${collection}` : operation
  const options = { kind: SpanKind.CLIENT, attributes }
  return tracer.startSpan(name, options, trace.setSpan(ROOT_CONTEXT, batch.span))
}

/** The server's code, or the class of error: never its text. */
function typeOf(error: unknown): string {
  return error instanceof MongoServerError ? String(error.code) : (error as Error).name
}
