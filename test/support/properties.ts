import fc from 'fast-check'
import type { Test } from 'tap'
import { refusals } from '../../schemas/refusal.ts'
import type { Answer } from './people.ts'
import type { Service } from './service.ts'
import type { Wire } from './wire.ts'

/** Every answer is checked against the document as it comes in; here: that it is a refusal, and the client's fault. */
export function refusedAsItShould({ status, code, body, headers }: Answer): void {
  const known = Object.entries(refusals).some(([name, refusal]) => name === code && refusal.status === status)
  if (!known || status >= 500) throw new Error(`${status} ${code}`)
  if (body.requestId !== headers.get('x-request-id')) throw new Error('another request id')
  // Enough for a hundred names of fields; an answer must not grow with what was sent.
  if (JSON.stringify(body).length > 200_000) throw new Error('an answer of unbounded size')
}

/** What is refused for any sample leaves nothing behind, and no error in the log. */
export async function alwaysRefused<T>(
  t: Test,
  { service, wire }: { service: Service; wire: Wire },
  samples: fc.Arbitrary<T>,
  ask: (sample: T) => Promise<Answer>,
  numRuns: number,
): Promise<void> {
  const before = await wire.stored()
  const property = fc.asyncProperty(samples, async (sample) => refusedAsItShould(await ask(sample)))

  await fc.assert(property, { numRuns })

  t.same(await wire.stored(), before)
  t.same(service.logs, [])
}

export const anyText = fc.string({ unit: 'binary', maxLength: 40 })
export const operators = fc.constantFrom<unknown>(
  { $ne: null },
  { $gt: '' },
  { $regex: '.*' },
  { $where: 'sleep(1000)' },
  { $in: [] },
  { $expr: { $eq: [1, 1] } },
  { toString: 'x' },
  { length: 1 },
  { _bsontype: 'ObjectId' },
  { $oid: '6543a1b2c3d4e5f6a7b8c9d0' },
)
export const anyNumber = fc.constantFrom(0, -0, 5e-324, 2 ** 53, 1e308, 0.1, -1)
export const anyJson = fc.oneof(fc.jsonValue(), operators, anyNumber, fc.string({ unit: 'grapheme' }))
export const fieldName = fc.oneof(
  fc.constantFrom('content', 'type', 'media', 'publicId', 'senderId', '_id', 'isDeleted', '$set', 'toString'),
  fc.constantFrom(
    'constructor',
    'prototype',
    'hasOwnProperty',
    '__defineGetter__',
    'valueOf',
    'then',
    'toJSON',
  ),
  anyText,
)
