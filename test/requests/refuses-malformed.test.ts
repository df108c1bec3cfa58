import t from 'tap'
import { contentLengthMax, publicIdLengthMax } from '../../schemas/message.ts'
import type { Answer } from '../support/people.ts'
import { startService } from '../support/service.ts'
import { createWire, each, outcomes } from '../support/wire.ts'

const service = await startService(t)
const wire = createWire(t, service)
const [alice, bob] = [await service.person(), await service.person()]
const bobId = bob.id.toHexString()
const text = { content: 'hi', type: 'text' }

const visibleAscii = String.fromCharCode(...Array.from({ length: 94 }, (_, index) => 0x21 + index))

const body = (body: unknown): Promise<Answer> => wire.post(alice, bobId, body)
const headers = (headers: Record<string, unknown>): Promise<Answer> => wire.post(alice, bobId, text, headers)
const userId = (userId: string): Promise<Answer> => wire.post(alice, userId, text)
/** Bodies, each with the paths that are expected to be at fault, beside those that were found to be. */
const faults = async (bodies: [sent: unknown, paths: string][]) => ({
  expected: bodies,
  found: await Promise.all(
    bodies.map(async ([sent]) => {
      const { code, body: answer } = await body(sent)
      return [sent, code === 'INVALID_BODY' ? answer.errors?.map(({ path }) => path).join(' ') : code]
    }),
  ),
})

t.test('a body of another media type is refused', async (t) => {
  const before = await wire.stored()

  const answers = await outcomes({
    none: headers({ 'content-type': undefined }),
    'none, and an empty body': wire.post(alice, bobId, '', { 'content-type': undefined }),
    empty: headers({ 'content-type': '' }),
    text: headers({ 'content-type': 'text/plain' }),
    'text, and an empty body': wire.post(alice, bobId, '', { 'content-type': 'text/plain' }),
    form: headers({ 'content-type': 'application/x-www-form-urlencoded' }),
    'another JSON': headers({ 'content-type': 'application/problem+json' }),
    longer: headers({ 'content-type': 'application/jsonp' }),
    'two types': headers({ 'content-type': 'application/json, text/plain' }),
    'another charset': headers({ 'content-type': 'application/json; charset=latin1' }),
    'an empty charset': headers({ 'content-type': 'application/json; charset=' }),
    'an open quote': headers({ 'content-type': 'application/json; charset="utf-8' }),
    'another parameter': headers({ 'content-type': 'application/json; profile=x' }),
    'a second parameter': headers({ 'content-type': 'application/json; charset=utf-8; profile=x' }),
    gzip: headers({ 'content-encoding': 'gzip' }),
    identity: headers({ 'content-encoding': 'identity' }),
    'an empty encoding': headers({ 'content-encoding': '' }),
  })

  t.same(answers, each(answers, '415 UNSUPPORTED_MEDIA_TYPE'))
  t.same(await wire.stored(), before)
})

t.test('a body that is no JSON in UTF-8 is refused', async (t) => {
  const before = await wire.stored()
  const json = JSON.stringify(text)
  const quoted = (bytes: number[]): Buffer =>
    Buffer.concat([Buffer.from('{"type":"text","content":"'), Buffer.from(bytes), Buffer.from('"}')])

  const answers = await outcomes({
    empty: body(''),
    spaces: body('  \n'),
    truncated: body(json.slice(0, -1)),
    'two values': body(json + json),
    'a comma too many': body('{"content":"hi","type":"text",}'),
    'single quotes': body("{'content':'hi','type':'text'}"),
    'a comment': body(`/**/${json}`),
    'a raw line end in a string': body('{"content":"a\nb","type":"text"}'),
    NaN: body('{"content":NaN,"type":"text"}'),
    'a form': body('content=hi&type=text'),
    'a byte order mark': body(`\ufeff${json}`),
    'UTF-16': body(Buffer.from(json, 'utf16le')),
    'a lone continuation byte': body(quoted([0x80])),
    'an overlong slash': body(quoted([0xc0, 0xaf])),
    'a surrogate in UTF-8': body(quoted([0xed, 0xa0, 0x80])),
    'beyond U+10FFFF': body(quoted([0xf4, 0x90, 0x80, 0x80])),
    'a cut character': body(quoted([0xf0, 0x9f, 0x98])),
    __proto__: body('{"content":"hi","type":"text","__proto__":{}}'),
    '__proto__ deep inside': body('{"content":"hi","type":"text","media":[{"a":{"__proto__":1}}]}'),
    '__proto__ in escapes': body('{"content":"hi","type":"text","\\u005f\\u005fproto\\u005F_" : null}'),
    'constructor.prototype': body('{"content":"hi","type":"text","constructor":{"prototype":{}}}'),
    'constructor.prototype in escapes': body('{"c\\u006fnstructor":{"\\u0070rototype":1}}'),
  })

  t.same(answers, each(answers, '400 INVALID_JSON'))
  t.same(await wire.stored(), before)
})

t.test('of a body, each field at fault is named by its JSON Pointer', async (t) => {
  const before = await wire.stored()
  const item = { publicId: 'a' }

  const { found, expected } = await faults([
    [{ type: 'text' }, '/content'],
    [{ content: 'hi' }, '/type'],
    [{}, '/content /type'],
    [{ ...text, x: 1 }, '/x'],
    [{ ...text, 'a/b~c': 1 }, '/a~1b~0c'],
    [{ ...text, '': 1 }, '/'],
    [{ ...text, constructor: null }, '/constructor'],
    [{ ...text, Content: 'hi' }, '/Content'],
    [{ ...text, content: null }, '/content'],
    [{ ...text, content: 42 }, '/content'],
    [{ ...text, content: '' }, '/content'],
    [{ ...text, content: { $ne: '' } }, '/content'],
    [{ ...text, content: ['hi'] }, '/content'],
    [{ ...text, type: null }, '/type'],
    [{ ...text, type: 'Text' }, '/type'],
    [{ ...text, type: ['text'] }, '/type'],
    [{ ...text, media: null }, '/media'],
    [{ ...text, media: item }, '/media'],
    [{ ...text, media: 'a' }, '/media'],
    [{ ...text, media: [null] }, '/media/0'],
    [{ ...text, media: [item, 'a'] }, '/media/1'],
    [{ ...text, media: [[item]] }, '/media/0'],
    [{ ...text, media: [{}] }, '/media/0/publicId'],
    [{ ...text, media: [{ publicId: 1 }] }, '/media/0/publicId'],
    [{ ...text, media: [{ publicId: null }] }, '/media/0/publicId'],
    [{ ...text, media: [{ ...item, url: '' }] }, '/media/0/url'],
    [{ x: 1, media: [{ y: 1 }] }, '/content /type /x /media/0/publicId /media/0/y'],
  ])

  t.strictSame(found, expected)
  t.same(await wire.stored(), before)
})

t.test('a body that is no object is at fault as a whole', async (t) => {
  const before = await wire.stored()
  const sent = ['null', '[]', JSON.stringify([text]), '"text"', '42', 'true', 'false', '0', '""']

  const { found, expected } = await faults(sent.map((json) => [json, '']))

  t.strictSame(found, expected)
  t.same(await wire.stored(), before)
})

t.test('of equal media items the later ones are at fault', async (t) => {
  const before = await wire.stored()
  const [a, b] = [{ publicId: 'a' }, { publicId: 'b' }]

  const { found, expected } = await faults([
    [{ ...text, media: [a, b, a] }, '/media/2/publicId'],
    [{ ...text, media: [a, b, b, a] }, '/media/2/publicId /media/3/publicId'],
    [{ ...text, media: [a, { ...a, x: 1 }] }, '/media/1/x /media/1/publicId'],
    [{ ...text, media: [{}, {}] }, '/media/0/publicId /media/1/publicId'],
    [{ ...text, media: [1, 1, null, null] }, '/media/0 /media/1 /media/2 /media/3'],
  ])

  t.strictSame(found, expected)
  t.same(await wire.stored(), before)
})

t.test('more than ten media items are at fault, and a hundred faults are named', async (t) => {
  const before = await wire.stored()
  const eleven = Array.from({ length: 11 }, (_, index) => ({ publicId: `${index}` }))
  const thousands = Array.from({ length: 20_000 }, () => ({}))

  const tooMany = await body({ ...text, media: eleven })
  const answer = await body({ ...text, media: thousands })

  t.match(tooMany.body, { code: 'INVALID_BODY', errors: [{ path: '/media' }] })
  t.equal(answer.code, 'INVALID_BODY')
  t.equal(answer.body.errors?.length, 100)
  t.ok(JSON.stringify(answer.body).length < 10_000, 'whatever is sent, the answer is small')
  t.same(await wire.stored(), before)
})

t.test('content is measured in code points, and must show something', async (t) => {
  const before = await wire.stored()
  const white = '\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a'
  const rest = '\u2028\u2029\u202f\u205f\u3000\ufeff'
  const content = (content: string): Promise<Answer> => body({ ...text, content })

  const answers = await outcomes({
    empty: content(''),
    'white space of every kind': content(white + rest),
    'one too many': content('a'.repeat(contentLengthMax + 1)),
    'one emoji too many': content('😀'.repeat(contentLengthMax + 1)),
    'U+0000': content('a\u0000b'),
    'U+0000 alone': content('\u0000'),
    'a high surrogate': body('{"type":"text","content":"a\\ud83d"}'),
    'a low surrogate': body('{"type":"text","content":"\\ude00a"}'),
    'surrogates the wrong way round': body('{"type":"text","content":"\\ude00\\ud83d"}'),
    'a publicId too long': body({ ...text, media: [{ publicId: 'a'.repeat(publicIdLengthMax + 1) }] }),
  })

  t.same(answers, each(answers, '400 INVALID_BODY'))
  t.same(await wire.stored(), before)
})

t.test('an Idempotency-Key that breaks its rule is refused', async (t) => {
  const before = await wire.stored()
  const key = (key: string | string[]): Promise<Answer> => headers({ 'idempotency-key': key })

  const answers = await outcomes({
    empty: key(''),
    '256 characters': key('a'.repeat(256)),
    'a space inside': key('a b'),
    'a tab inside': key('a\tb'),
    'not ASCII': key('clé'),
    twice: key(['a', 'b']),
    'twice the same': key(['a', 'a']),
    'twice empty': key(['', '']),
  })

  t.same(answers, each(answers, '400 INVALID_IDEMPOTENCY_KEY'))
  t.same(await wire.stored(), before)
})

t.test('of several faults the first in the order of checks is answered', async (t) => {
  const before = await wire.stored()
  const bad = { 'content-type': 'text/plain', 'idempotency-key': '' }
  const large = ' '.repeat(65_537)

  const answers = await outcomes({
    'media type': wire.post(alice, '%zz', large, bad),
    size: wire.post(alice, '%zz', large, { 'idempotency-key': '' }),
    JSON: wire.post(alice, '%zz', '{', { 'idempotency-key': '' }),
    userId: wire.post(alice, '%zz', {}, { 'idempotency-key': '' }),
    body: wire.post(alice, alice.id.toHexString(), {}, { 'idempotency-key': '' }),
    key: wire.post(alice, alice.id.toHexString(), text, { 'idempotency-key': '' }),
  })

  t.same(answers, {
    'media type': '415 UNSUPPORTED_MEDIA_TYPE',
    size: '413 BODY_TOO_LARGE',
    JSON: '400 INVALID_JSON',
    userId: '400 INVALID_USER_ID',
    body: '400 INVALID_BODY',
    key: '400 INVALID_IDEMPOTENCY_KEY',
  })
  t.same(await wire.stored(), before)
})

t.test('a request that is unusual but right is taken', async (t) => {
  const answers = await outcomes({
    charset: headers({ 'content-type': 'application/json; charset=utf-8' }),
    'charset in quotes, other letters': headers({ 'content-type': 'Application/JSON ;\tCharset="UTF-8" ;' }),
    'upper case id': userId(bobId.toUpperCase()),
    'an encoded id': userId(bobId.replace(/^./, (digit) => `%${digit.charCodeAt(0).toString(16)}`)),
    'a query': userId(`${bobId}?userId=x&content=y`),
    'a broken query': userId(`${bobId}?q=%zz`),
    'an encoded id and a broken query': userId(`%3${bobId[0]}${bobId.slice(1)}?q=%`),
    'a key of 255 characters': headers({ 'idempotency-key': 'a'.repeat(255) }),
    'a key of every character': headers({ 'idempotency-key': visibleAscii }),
    'the longest content': body({ ...text, content: '😀'.repeat(contentLengthMax) }),
    'white space around': body({ ...text, content: '\n a \t' }),
    'no media': body({ ...text, media: [] }),
    'a type with nothing to show': body({ ...text, type: 'video' }),
    'the last of equal keys': body('{"content":1,"type":"text","content":"hi"}'),
    'escaped names': body('{"c\\u006fntent":"hi","type":"text"}'),
  })

  t.same(answers, each(answers, '200 OK'))
})
