import type { ObjectId } from 'mongodb'
import { evaluate, type Fields, isFields, known, type Moment, matches } from './expressions.ts'

/** Documents by `_id`. They are replaced and never changed, so that what was read stays as it was. */
export type Documents = Map<string, Fields>

/** A statement that the database refuses, with the server's code. */
export class StatementRefused extends Error {
  constructor(readonly code: number) {
    super(`refused with code ${code}`)
  }
}

const duplicateKey = 11000
const replacedByNoDocument = 40228

export interface Written {
  n: number
  upsertedId?: unknown
  before?: Fields
  document?: Fields | undefined
}

/** Tells every document before it is written, so that a transaction can be taken back. */
type Tell = (documents: Documents, id: string, before: Fields | undefined) => void

export function find(documents: Documents, query: Fields, moment: Moment): Fields[] {
  const found: Fields[] = []
  const filter = asFields(query.filter)
  for (const document of documents.values()) if (matches(document, filter, moment)) found.push(document)
  const [sort] = Object.entries(asFields(query.sort))
  if (sort) found.sort((one, other) => (Number(one[sort[0]]) - Number(other[sort[0]])) * Number(sort[1]))
  return typeof query.limit === 'number' && query.limit > 0 ? found.slice(0, query.limit) : found
}

/** One statement of an update. */
export function update(documents: Documents, statement: Fields, moment: Moment, tell: Tell): Written {
  const filter = asFields(statement.q)
  const written: Written = { n: 0 }
  for (const [id, document] of documents) {
    if (!matches(document, filter, moment)) continue
    written.before = document
    written.document = changed(document, statement.u, moment, 'update')
    tell(documents, id, document)
    documents.set(id, written.document)
    written.n += 1
    if (statement.multi !== true) return written
  }
  if (written.n > 0 || statement.upsert !== true) return written

  const document = changed({ _id: filter._id }, statement.u, moment, 'insert')
  const id = idOf(document)
  if (documents.has(id)) throw new StatementRefused(duplicateKey)
  tell(documents, id, undefined)
  documents.set(id, document)
  return { n: 1, upsertedId: document._id, document }
}

export function remove(documents: Documents, statement: Fields, moment: Moment, tell: Tell): Written {
  const written: Written = { n: 0 }
  for (const [id, document] of documents) {
    if (!matches(document, asFields(statement.q), moment)) continue
    tell(documents, id, document)
    documents.delete(id)
    written.n += 1
    written.before = document
    if (statement.limit === 1) break
  }
  return written
}

/** `isTaken`: by another document, in a unique index. */
export function insert(
  documents: Documents,
  document: Fields,
  isTaken: (other: Fields) => boolean,
  tell: Tell,
): Written {
  const id = idOf(document)
  if (documents.has(id) || [...documents.values()].some(isTaken)) throw new StatementRefused(duplicateKey)
  tell(documents, id, undefined)
  documents.set(id, document)
  return { n: 1 }
}

type Change = (document: Fields, value: unknown, moment: Moment) => Fields

const stages: Readonly<Record<string, Change>> = {
  $set: (document, value, moment) => {
    const next: Record<string, unknown> = { ...document }
    const expressions = asFields(value)
    for (const name in expressions) {
      const result = evaluate(expressions[name], document, moment)
      if (result === undefined) delete next[name]
      else next[name] = result
    }
    return next
  },
  $unset: (document, value) => without(document, Array.isArray(value) ? value : [value]),
  $replaceWith: (document, value, moment) => {
    const next = evaluate(value, document, moment)
    if (!isFields(next)) throw new StatementRefused(replacedByNoDocument)
    return { _id: document._id, ...next }
  },
}

const modifiers: Readonly<Record<string, Change>> = {
  $set: (document, value) => ({ ...document, ...asFields(value) }),
  $unset: (document, value) => without(document, Object.keys(asFields(value))),
}

function changed(document: Fields, change: unknown, moment: Moment, how: 'update' | 'insert'): Fields {
  const steps = Array.isArray(change) ? change : [change]
  const changes = Array.isArray(change) ? stages : modifiers
  let next = document
  for (const each of steps) {
    const step = asFields(each)
    for (const name in step) {
      const value = step[name]
      if (name === '$setOnInsert') next = how === 'insert' ? { ...next, ...asFields(value) } : next
      else next = known(changes, name)(next, value, moment)
    }
  }
  return next
}

function without(document: Fields, names: readonly unknown[]): Fields {
  const rest: Record<string, unknown> = {}
  for (const name in document) if (!names.includes(name)) rest[name] = document[name]
  return rest
}

function asFields(value: unknown = {}): Fields {
  if (!isFields(value)) throw new Error('the simulated database takes fields here')
  return value
}

function idOf({ _id }: Fields): string {
  return typeof _id === 'string' ? _id : (_id as ObjectId).toHexString()
}
