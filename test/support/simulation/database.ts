import type { ClientSession, Db } from 'mongodb'
import { type Documents, find, insert, remove, update, type Written } from './collections.ts'
import { answered, looking, type Work, writing } from './commands.ts'
import { type Fields, fieldOf, isFields, known, type Moment } from './expressions.ts'
import { answerWithin, type Instance, type TimeLimit } from './time.ts'
import { fateOfCommand, type World } from './world.ts'

/** A database that carries out plain commands, statement by statement: others may come between two statements. */
export interface SimulatedDatabase {
  readonly media: Documents
  readonly messages: Documents
  /** What `users`, `devices` and `blocks` hold; answered at once. */
  readonly people: Record<string, Fields[]>
  /** As an instance reaches it: with commands that come late, are lost, or are not taken. */
  of(instance: Instance): Db
  now(): Date
  /** Without any delay or fault. */
  readonly atOnce: Db
  /** Until the first record is due: 0 or less where one is, infinite where none is open. */
  firstDueInMs(): number
  /** All or nothing, with nobody in between. */
  transact<T>(work: (db: Db, session: ClientSession) => Promise<T>): Promise<T>
}

// Any day: the instances' own calendars do not count.
const beginning = Date.UTC(2026, 0, 1)

export function createDatabase(world: World): SimulatedDatabase {
  const { timeline, dice, breaks } = world
  const media: Documents = new Map()
  const messages: Documents = new Map()
  const people: SimulatedDatabase['people'] = { users: [], devices: [], blocks: [] }
  const collections: Record<string, Documents> = { media, messages, conversations: new Map() }
  let undoLog: (() => void)[] | undefined

  const tell = (documents: Documents, id: string, before: Fields | undefined): void =>
    void undoLog?.unshift(() => (before ? documents.set(id, before) : documents.delete(id)))

  const now = (): Date => new Date(beginning + timeline.nowMs)

  /** What a break leaves of a statement's time. */
  function momentOf(statement: Fields): Moment {
    const isOver = endsAtOnce(statement)
    return { now: now(), later: (ms) => (isOver ? 0 : ms) }
  }

  function endsAtOnce({ u }: Fields): boolean {
    if (!breaks.has('no leases') && !breaks.has('no quiet time')) return false
    const isForALook = /"state":"(undone|attached)"/.test(JSON.stringify(u) ?? '')
    return breaks.has(isForALook ? 'no quiet time' : 'no leases')
  }

  function withBreaks(documents: Documents, statement: Fields): Fields {
    if (documents !== media || !breaks.has('updates ignore tokens') || !isFields(statement.q))
      return statement
    const { token: _, ...q } = statement.q
    return { ...statement, q }
  }

  function carryOut(kind: string, documents: Documents, sent: Fields): Written {
    const statement = withBreaks(documents, sent)
    const moment = momentOf(statement)
    if (kind === 'delete') {
      const removed = remove(documents, statement, moment, tell)
      if (removed.before && documents === media) world.count(`${removed.before.state} → none`)
      return removed
    }
    if (kind === 'insert') return insert(documents, statement, sharesKey(documents, statement), tell)
    const written = update(documents, statement, moment, tell)
    const { document } = written
    if (document && documents === media) {
      world.count(`${written.before?.state ?? 'none'} → ${document.state}`)
      world.note?.('database', JSON.stringify(document))
    }
    if (breaks.has('directions change')) forget('uncertain', ({ uncertain }) => uncertain === 'back')
    if (breaks.has('attached is out of sight')) forget('until', ({ state }) => state === 'attached')
    return written
  }

  function forget(name: string, which: (record: Fields) => boolean): void {
    for (const [id, record] of media) {
      if (!which(record)) continue
      const { [name]: _, ...rest } = record
      media.set(id, rest)
    }
  }

  /** The one unique index beside `_id`. */
  function sharesKey(documents: Documents, document: Fields): (other: Fields) => boolean {
    const key = fieldOf(document, 'idempotency.key')
    return (other) => documents === messages && key !== undefined && fieldOf(other, 'idempotency.key') === key
  }

  function begin(command: Fields): Work {
    const kind = Object.keys(command)[0] ?? ''
    const name = String(command[kind])
    if (kind === 'find' && people[name]) return answered({ cursor: { firstBatch: people[name] }, ok: 1 })
    const documents = known(collections, name)
    if (kind === 'find') return looking(() => find(documents, command, momentOf(command)))
    const statements = command[known({ update: 'updates', delete: 'deletes', insert: 'documents' }, kind)]
    return writing(statements as Fields[], command.ordered !== false, (statement) =>
      carryOut(kind, documents, statement),
    )
  }

  /** What the simulated database itself does not know must not pass for a refusal. */
  function defend(command: Fields, happen: () => void): () => void {
    return () => {
      try {
        happen()
      } catch (error) {
        world.violate(`${Object.keys(command)[0]} failed: ${error}`)
      }
    }
  }

  async function send(instance: Instance, command: Fields, { limitMs }: TimeLimit): Promise<Fields> {
    const work = begin(command)
    if (work.steps.length === 0) return work.reply()
    const { executeInMs, answerInMs, isRefused } = fateOfCommand(world)
    let atMs = executeInMs ?? 0
    if (executeInMs !== undefined)
      for (const step of work.steps) {
        timeline.after(atMs, defend(command, step))
        // Half of the commands are interrupted by nobody.
        if (work.steps.length > 1 && dice.chance(0.5)) atMs += dice.between(0, 4)
      }
    const lateMs = atMs - (executeInMs ?? 0)
    return await new Promise((resolve, reject) => {
      const fail = (name: string) => () => reject(Object.assign(new Error('not answered'), { name }))
      const answer = () => (isRefused ? fail('MongoNetworkError')() : resolve(work.reply()))
      const limits = { answerInMs: answerInMs + lateMs, limitMs }
      answerWithin(world, instance, limits, { answer, giveUp: fail('TimeoutError') })
    })
  }

  // Of a `Db`, the feature's commands need no more.
  function dbOf(command: (command: Fields, options: { signal: TimeLimit }) => Promise<Fields>): Db {
    const db = { command, client: { db: () => db } }
    return db as unknown as Db
  }

  const atOnce = dbOf(async (command) => {
    if ('commitTransaction' in command) undoLog = []
    if ('commitTransaction' in command) return { ok: 1 }
    const { steps, reply } = begin(command)
    for (const step of steps) defend(command, step)()
    return reply()
  })

  return {
    media,
    messages,
    people,
    now,
    atOnce,
    of: (instance) => dbOf((command, { signal }) => send(instance, command, signal)),
    firstDueInMs() {
      let firstMs = Number.POSITIVE_INFINITY
      for (const { until } of media.values())
        if (until instanceof Date) firstMs = Math.min(firstMs, until.getTime() - beginning)
      return firstMs - timeline.nowMs
    },
    async transact(work) {
      undoLog = []
      // A session that the driver's states are no concern of.
      const session = { transaction: { transition() {} } } as unknown as ClientSession
      try {
        return await work(atOnce, session)
      } finally {
        for (const undo of undoLog) undo()
        undoLog = undefined
      }
    },
  }
}
