import { deepStrictEqual as deepEqual } from 'node:assert'
import fc from 'fast-check'
import { ObjectId } from 'mongodb'
import t from 'tap'
import { contentLengthMax, publicIdLengthMax } from '../../schemas/message.ts'
import { alwaysRefused, anyJson, fieldName, operators, refusedAsItShould } from '../support/properties.ts'
import { startService } from '../support/service.ts'
import { createWire } from '../support/wire.ts'

// fast-check prints the seed and the path of a failure; `fc.assert(property, { seed, path })` repeats it.
const service = await startService(t, { env: { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'error' } })
const wire = createWire(t, service)
const [alice, bob] = [await service.person(), await service.person()]
const bobId = bob.id.toHexString()
const text = { content: 'hi', type: 'text' }

t.test('content is answered and stored exactly as it was sent', async (t) => {
  const shown = (content: string): boolean =>
    /\S/.test(content) && content.isWellFormed() && !content.includes('\0')
  const content = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: contentLengthMax }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }),
    fc.string({
      unit: fc.constantFrom('😀', '\u2028', '"', '\\', '\u0001', 'é', 'e\u0301', ' '),
      maxLength: 99,
    }),
    fc.constantFrom('😀'.repeat(contentLengthMax), '\u0001'.repeat(contentLengthMax - 1).concat('a')),
  )
  const type = fc.constantFrom('text', 'image', 'video', 'file')

  const property = fc.asyncProperty(content.filter(shown), type, async (content, type) => {
    const { body } = await wire.post(alice, bobId, { content, type })
    const stored = await service.db.collection('messages').findOne({ _id: new ObjectId(body.data._id) })
    deepEqual([body.data.content, body.data.type], [content, type])
    deepEqual([stored?.content, stored?.type], [content, type])
  })
  await fc.assert(property, { numRuns: 60 })

  t.same(service.logs, [])
})

t.test('a body with anything in the place of a field is refused', async (t) => {
  const wrong = fc.oneof(
    fc.record({ content: anyJson.filter((value) => typeof value !== 'string'), type: fc.constant('text') }),
    fc.record({ content: fc.constant('hi'), type: anyJson.filter((value) => !isType(value)) }),
    fc.record({ ...constants(text), media: anyJson.filter((value) => !Array.isArray(value)) }),
    fc.record({ ...constants(text), media: fc.array(anyJson, { minLength: 1, maxLength: 12 }) }),
    fc.record({ ...constants(text), media: fc.array(fc.record({ publicId: operators }), { minLength: 1 }) }),
    fc
      .tuple(
        fieldName.filter((name) => !['content', 'type', 'media'].includes(name)),
        anyJson,
      )
      .map(([name, value]) => ({ ...text, [name]: value })),
  )

  await alwaysRefused(t, { service, wire }, wrong, (body) => wire.post(alice, bobId, body), 200)
})

t.test('any other JSON is refused', async (t) => {
  const other = fc.oneof(
    anyJson.map((value) => JSON.stringify(value)),
    fc.dictionary(fieldName, anyJson).map((value) => JSON.stringify(value)),
    // What JSON can say and JSON.stringify does not: keys that occur twice, numbers of any length, escapes, prototypes.
    fc.array(fc.tuple(fieldName, rawValue()), { minLength: 1 }).map((fields) => rawObject(fields)),
  )

  await alwaysRefused(
    t,
    { service, wire },
    other,
    (json) => wire.post(alice, alice.id.toHexString(), json),
    200,
  )
})

t.test('any bytes are refused as a body', async (t) => {
  const valid = Buffer.from(JSON.stringify(text))
  const broken = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.nat(valid.length - 1).map((length) => valid.subarray(0, length)),
    fc
      .tuple(fc.nat(valid.length - 1), fc.integer({ min: 0x80, max: 0xff }))
      .map(([at, byte]) =>
        Buffer.concat([valid.subarray(0, at), Buffer.from([byte]), valid.subarray(at + 1)]),
      ),
  )

  await alwaysRefused(
    t,
    { service, wire },
    broken,
    (body) => wire.post(alice, alice.id.toHexString(), body),
    150,
  )
})

t.test('the largest and the deepest bodies are answered, and answered briefly', async (t) => {
  const fill = (unit: string): string => unit.repeat(Math.floor(65_000 / unit.length))
  const media = (items: string): string => `{"content":"hi","type":"text","media":[${items.slice(0, -1)}]}`
  const bodies = [
    fill('['),
    `${'['.repeat(32_000)}${']'.repeat(32_000)}`,
    `${fill('{"a":')}`,
    `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
    `{"content":"hi","type":"text","constructor":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`,
    media(fill('1,')),
    media(fill('{},')),
    media(fill('[],')),
    media(fill('{"publicId":1},')),
    media(fill('{"publicId":"a"},').slice(0, -17)),
    media(Array.from({ length: 3_500 }, (_, index) => `{"publicId":"${index}"},`).join('')),
    `{${Array.from({ length: 5_000 }, (_, index) => `"k${index}":1`).join()}}`,
    `{${fill('"content":"hi",')}"type":1}`,
    `{"content":${'9'.repeat(60_000)},"type":"text"}`,
    `{"content":"${'a'.repeat(60_000)}","type":"text"}`,
    `{"content":"${' '.repeat(60_000)}","type":"text"}`,
    `{"content":"hi","type":"text","media":[{"publicId":"${'a'.repeat(publicIdLengthMax + 1)}"}]}`,
    `{"${'/~'.repeat(30_000)}":1}`,
  ]

  const answers = await Promise.all(bodies.map((body) => wire.post(alice, bobId, body)))

  answers.forEach(refusedAsItShould)
  t.ok(answers.every(({ body }) => (body.errors?.length ?? 0) <= 100))
})

function isType(value: unknown): boolean {
  return ['text', 'image', 'video', 'file'].some((type) => type === value)
}

function constants<T extends object>(value: T): { [K in keyof T]: fc.Arbitrary<T[K]> } {
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, fc.constant(each)])) as never
}

/** JSON's own spelling of values that no program would write. */
function rawValue(): fc.Arbitrary<string> {
  const spelled = fc.constantFrom(
    '1e9999',
    '-0',
    '1E+2',
    '"\\ud800"',
    '"\\u0000"',
    '{"__proto__":1}',
    '[[[]]]',
  )
  return fc.oneof(
    spelled,
    fc.nat(400).map((digits) => '9'.repeat(digits + 1)),
    fc.json(),
  )
}

function rawObject(fields: readonly (readonly [string, string])[]): string {
  return `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`
}
