import { ObjectId } from 'mongodb'

/**
 * As much of MongoDB's language as the feature uses, and what is close to it: whatever else is sent throws, so that the
 * simulation does not go on with a database that did something else. `undefined` is a missing field.
 */
export type Fields = Readonly<Record<string, unknown>>

export interface Moment {
  readonly now: Date
  /** Milliseconds added to the time: a broken world makes them fewer. */
  later(ms: number): number
}

type Operator = (value: unknown, fields: Fields, moment: Moment) => unknown

const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value])

const operators: Readonly<Record<string, Operator>> = {
  $literal: (value) => value,
  $eq: (...of) => both(of, same),
  $ne: (...of) => both(of, (one, other) => !same(one, other)),
  $lt: (...of) => both(of, (one, other) => order(one, other) < 0),
  $lte: (...of) => both(of, (one, other) => order(one, other) <= 0),
  $in: (...of) => both(of, (one, list) => asList(list).some((each) => same(one, each))),
  $and: (value, ...where) => asList(value).every((each) => isTrue(evaluate(each, ...where))),
  $or: (value, ...where) => asList(value).some((each) => isTrue(evaluate(each, ...where))),
  $not: (value, ...where) => !isTrue(evaluate(asList(value)[0], ...where)),
  $cond(value, ...where) {
    const { if: condition, then, else: otherwise } = conditionOf(value)
    return evaluate(isTrue(evaluate(condition, ...where)) ? then : otherwise, ...where)
  },
  $type(value, ...where) {
    return typeOf(evaluate(value, ...where))
  },
  $add(value, fields, moment) {
    const parts = asList(value).map((each) => evaluate(each, fields, moment))
    const numbers = parts.filter((part) => typeof part === 'number').reduce((sum, part) => sum + part, 0)
    const date = parts.find((part) => part instanceof Date)
    return date ? new Date(date.getTime() + moment.later(numbers)) : numbers
  },
  $indexOfArray(value, ...where) {
    const [list, wanted] = asList(value).map((each) => evaluate(each, ...where))
    return asList(list).findIndex((each) => same(each, wanted))
  },
  $arrayElemAt(value, ...where) {
    const [list, index] = asList(value).map((each) => evaluate(each, ...where))
    return asList(list).at(Number(index))
  },
}

export function evaluate(expression: unknown, fields: Fields, moment: Moment): unknown {
  if (typeof expression === 'string') {
    if (expression === '$$NOW') return moment.now
    if (expression === '$$REMOVE') return undefined
    return expression.startsWith('$') ? fieldOf(fields, expression.slice(1)) : expression
  }
  if (Array.isArray(expression)) return expression.map((each) => evaluate(each, fields, moment))
  if (!isFields(expression)) return expression
  const operator = operatorOf(expression)
  if (operator === undefined) return evaluateEach(expression, fields, moment)
  return known(operators, operator)(expression[operator], fields, moment)
}

/** What is missing stays missing. */
export function evaluateEach(expressions: Fields, fields: Fields, moment: Moment): Fields {
  const evaluated: Record<string, unknown> = {}
  for (const key in expressions) {
    const value = evaluate(expressions[key], fields, moment)
    if (value !== undefined) evaluated[key] = value
  }
  return evaluated
}

type Condition = (value: unknown, expected: unknown) => boolean

const conditions: Readonly<Record<string, Condition>> = {
  $eq: isOrLacks,
  $ne: (value, expected) => !isOrLacks(value, expected),
  $in: (value, expected) => asList(expected).some((each) => isOrLacks(value, each)),
  $exists: (value, expected) => (value !== undefined) === expected,
  // Unlike the operators above, these hold only between values of one type.
  $lt: (value, expected) => typeOf(value) === typeOf(expected) && order(value, expected) < 0,
  $lte: (value, expected) => typeOf(value) === typeOf(expected) && order(value, expected) <= 0,
}

export function matches(fields: Fields, filter: Fields, moment: Moment): boolean {
  for (const key in filter) {
    const expected = filter[key]
    if (key === '$expr') {
      if (!isTrue(evaluate(expected, fields, moment))) return false
    } else if (key === '$or') {
      if (!asList(expected).some((each) => matches(fields, each as Fields, moment))) return false
    } else if (key === '$and') {
      if (!asList(expected).every((each) => matches(fields, each as Fields, moment))) return false
    } else if (!fulfils(fieldOf(fields, key), expected)) return false
  }
  return true
}

function fulfils(value: unknown, expected: unknown): boolean {
  if (!isFields(expected) || operatorOf(expected) === undefined) return isOrLacks(value, expected)
  return Object.entries(expected).every(([name, operand]) => known(conditions, name)(value, operand))
}

export function fieldOf(fields: Fields, path: string): unknown {
  if (!path.includes('.')) return fields[path]
  let value: unknown = fields
  for (const key of path.split('.')) value = isFields(value) ? value[key] : undefined
  return value
}

export function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype
}

function operatorOf(expression: Fields): string | undefined {
  for (const key in expression) return key.startsWith('$') ? key : undefined
  return undefined
}

export function known<T>(of: Readonly<Record<string, T>>, name: string): T {
  const value = of[name]
  if (value === undefined) throw new Error(`the simulated database does not know ${name}`)
  return value
}

function both(
  [value, fields, moment]: Parameters<Operator>,
  holds: (one: unknown, other: unknown) => boolean,
): boolean {
  const [one, other] = asList(value)
  return holds(evaluate(one, fields, moment), evaluate(other, fields, moment))
}

function conditionOf(value: unknown): Fields {
  if (isFields(value)) return value
  const [condition, then, otherwise] = asList(value)
  return { if: condition, then, else: otherwise }
}

/** In a filter, `null` is what is missing, too. */
function isOrLacks(value: unknown, expected: unknown): boolean {
  return same(value ?? null, expected)
}

function isTrue(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== 0
}

function same(one: unknown, other: unknown): boolean {
  if (one instanceof ObjectId) return other instanceof ObjectId && one.equals(other)
  if (one instanceof Date) return other instanceof Date && one.getTime() === other.getTime()
  return one === other
}

// As BSON orders its types, of those that are used.
const types = ['missing', 'null', 'number', 'string', 'object', 'array', 'objectId', 'bool', 'date'] as const

function typeOf(value: unknown): (typeof types)[number] {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (value instanceof ObjectId) return 'objectId'
  if (value instanceof Date) return 'date'
  if (typeof value === 'boolean') return 'bool'
  return typeof value === 'number' || typeof value === 'string'
    ? (typeof value as 'number' | 'string')
    : 'object'
}

function order(one: unknown, other: unknown): number {
  const type = typeOf(one)
  if (type !== typeOf(other)) return types.indexOf(type) - types.indexOf(typeOf(other))
  if (type === 'missing' || type === 'null') return 0
  const [left, right] = [comparable(one), comparable(other)]
  return left < right ? -1 : left > right ? 1 : 0
}

function comparable(value: unknown): number | string {
  if (value instanceof Date) return value.getTime()
  if (value instanceof ObjectId) return value.toHexString()
  if (typeof value === 'number' || typeof value === 'string') return value
  throw new Error('the simulated database does not order these')
}
