import t from 'tap'
import type { MediaItem } from '../../schemas/message.ts'
import { textFile } from '../../src/dev/media-samples.ts'
import { picture, promoted, recordOf, whereIs } from '../support/media.ts'
import type { Person } from '../support/people.ts'
import { startService } from '../support/service.ts'

const service = await startService(t)
const { db, storage } = service

async function two(): Promise<[Person, Person]> {
  return [await service.person(), await service.person()]
}

/** As the contract words it. */
function itemOf(
  temporaryId: string,
  type: MediaItem['type'],
  size: Pick<MediaItem, 'height' | 'width'>,
): MediaItem {
  const asset = storage.list().find(({ publicId }) => publicId === promoted(temporaryId))
  const resourceType = type === 'file' ? 'raw' : type
  const file =
    asset?.format === undefined ? promoted(temporaryId) : `${promoted(temporaryId)}.${asset.format}`
  return {
    url: `${storage.baseUrl}/demo/${resourceType}/upload/v${asset?.version}/${file}`,
    publicId: promoted(temporaryId),
    assetId: asset?.assetId ?? '',
    type,
    ...size,
    bytes: asset?.bytes.length ?? -1,
  }
}

t.test('an image is moved to permanent storage, and attached to its message', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image', 'holiday')
  const [before] = storage.list().filter(({ publicId }) => publicId === id)

  const answer = await alice.sends(bob, picture(id))

  const item = itemOf(id, 'image', { height: 40, width: 60 })
  const [stored] = await alice.sentTo(bob)
  t.equal(answer.status, 200)
  t.strictSame(answer.body.data.media, [item])
  t.strictSame(stored?.media, [item])
  t.equal(item.publicId, `messages/user_${alice.id.toHexString()}/holiday`)
  t.equal(item.assetId, before?.assetId)
  t.equal(whereIs(storage, id), 'messages')
})

t.test('its record says for good which message has it', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')

  const answer = await alice.sends(bob, picture(id))

  const record = await recordOf(db, id)
  const { token, messageId, ...rest } = record ?? {}
  t.strictSame(rest, { _id: id, state: 'attached', senderId: alice.id, takenOver: false })
  t.equal(messageId?.toHexString(), answer.body.data._id)
  t.type(token, 'string')
})

t.test('a video and a file are found in whatever type of message they are sent', async (t) => {
  const [alice, bob] = await two()
  const [video, file] = [alice.uploads('video'), alice.uploads('file', 'notes.txt')]
  const audio = alice.uploads('video', 'audio')
  storage.put({ publicId: audio, resourceType: 'video', bytes: textFile() })

  const [videoItem] = (await alice.sends(bob, { ...picture(video), type: 'file' })).body.data.media
  const [fileItem] = (await alice.sends(bob, { ...picture(file), type: 'text' })).body.data.media
  const [audioItem] = (await alice.sends(bob, { ...picture(audio), type: 'video' })).body.data.media

  t.equal(videoItem?.type, 'video')
  t.ok((videoItem?.width ?? 0) > 0)
  t.strictSame(fileItem, itemOf(file, 'file', { height: null, width: null }))
  t.strictSame(audioItem, itemOf(audio, 'video', { height: null, width: null }))
})

t.test('ten uploads of every type keep the order that was sent', async (t) => {
  const [alice, bob] = await two()
  const kinds = [
    'file',
    'image',
    'video',
    'image',
    'file',
    'video',
    'image',
    'file',
    'image',
    'video',
  ] as const
  const ids = kinds.map((kind) => alice.uploads(kind))

  const answer = await alice.sends(bob, { ...picture(...ids), type: 'text' })

  const { media, type } = answer.body.data
  t.equal(type, 'text')
  t.strictSame(
    media.map(({ publicId }) => publicId),
    ids.map(promoted),
  )
  t.strictSame(
    media.map((item) => item.type),
    kinds,
  )
  t.strictSame((await alice.sentTo(bob))[0]?.media, media)
})

t.test('the url opens with the bytes that were uploaded', async (t) => {
  const [alice, bob] = await two()
  const ids = [alice.uploads('image', 'ein Bild – 1'), alice.uploads('file', 'ü/notes.txt')]
  const bytes = ids.map((id) => storage.list().find(({ publicId }) => publicId === id)?.bytes)

  const { media } = (await alice.sends(bob, picture(...ids))).body.data

  const opened = await Promise.all(
    media.map(async ({ url }) => Buffer.from(await (await fetch(url)).arrayBuffer())),
  )
  t.strictSame(opened, bytes)
})

t.test('the longest ids that Cloudinary takes after the promotion are taken', async (t) => {
  const [alice, bob] = await two()
  const folder = `temp/user_${alice.id.toHexString()}/`
  const id = alice.uploads('image', '👍'.repeat(251 - folder.length))

  const answer = await alice.sends(bob, picture(id))

  t.equal(answer.body.data?.media[0]?.publicId, promoted(id))
})

t.test('a reference that is not exactly one of the sender’s temporary uploads is refused', async (t) => {
  const [alice, bob] = await two()
  const folder = `temp/user_${alice.id.toHexString()}/`
  const foreign = bob.uploads('image')
  const ids = [
    foreign,
    folder,
    folder.slice(0, -1),
    '',
    `messages/user_${alice.id.toHexString()}/x`,
    `temp/user_${alice.id.toHexString().toUpperCase()}/x`,
    `Temp/user_${alice.id.toHexString()}/x`,
    `/${folder}x`,
    ` ${folder}x`,
    ...['x ', 'x\ufeff', 'x\u3000', 'x/', '/x', 'x//y', './x', 'x/.', '../x', 'x/../y', 'x/..'].map(
      (x) => folder + x,
    ),
    ...[
      '\u0000',
      '\u001f',
      '\u007f',
      '\u009f',
      '\ud800',
      '\udc00',
      '\\',
      '%',
      '?',
      '#',
      '&',
      '+',
      '<',
      '>',
    ].map((x) => `${folder}a${x}b`),
  ]

  const answers = await Promise.all(ids.map((id) => alice.sends(bob, picture(id))))

  t.strictSame(
    answers.map(({ code }) => code),
    ids.map(() => 'INVALID_MEDIA_REFERENCE'),
  )
  t.strictSame([...new Set(answers.map(({ body }) => body.errors?.[0]?.path))], ['/media/0'])
  t.equal(whereIs(storage, foreign), 'temp')
  t.equal(await db.collection('media').countDocuments({ senderId: alice.id }), 0)
  t.equal((await alice.sentTo(bob)).length, 0)
})

t.test('the position of every reference at fault is told, and none is promoted', async (t) => {
  const [alice, bob] = await two()
  const [first, third] = [alice.uploads('image'), alice.uploads('image')]
  const [second, fourth] = [bob.uploads('image'), 'temp/x']

  const answer = await alice.sends(bob, picture(first, second, third, fourth))

  t.equal(answer.status, 400)
  t.strictSame(
    answer.body.errors?.map(({ path }) => path),
    ['/media/1', '/media/3'],
  )
  t.strictSame(
    [first, second, third].map((id) => whereIs(storage, id)),
    ['temp', 'temp', 'temp'],
  )
})

t.test('names that only look dangerous are names', async (t) => {
  const [alice, bob] = await two()
  const names = [
    '...',
    '.x',
    'x..',
    'a b',
    '$where',
    '{"a":1}',
    'ä',
    'a:b',
    'a@b',
    '~',
    'a|b',
    "a'b",
    'a"b',
    '*',
    'a,b=c;',
  ]
  const ids = names.map((name) => alice.uploads('image', name))

  const answers = await Promise.all(ids.map((id) => alice.sends(bob, picture(id))))

  t.strictSame(
    answers.map(({ code }) => code),
    ids.map(() => 'OK'),
  )
  t.strictSame(
    answers.map(({ body }) => body.data.media[0]?.publicId),
    ids.map(promoted),
  )
})

t.test('an upload can be used once', async (t) => {
  const [alice, bob] = await two()
  const [used, fresh] = [alice.uploads('image'), alice.uploads('image')]
  const first = await alice.sends(bob, picture(used), { key: 'first' })

  const again = await alice.sends(bob, picture(fresh, used))
  const withKey = await alice.sends(bob, picture(used), { key: 'second' })
  alice.uploads('image', used.split('/')[2])
  const uploadedAnew = await alice.sends(bob, picture(used))
  const next = await alice.sends(bob, picture(fresh))

  t.equal(first.status, 200)
  t.strictSame(
    [again, withKey, uploadedAnew].map(({ code }) => code),
    Array(3).fill('MEDIA_ALREADY_USED'),
  )
  t.strictSame(
    again.body.errors?.map(({ path }) => path),
    ['/media/1'],
  )
  t.equal(next.status, 200)
  t.equal(whereIs(storage, used), 'temp and messages')
  t.equal((await alice.sentTo(bob)).length, 2)
})

t.test('nothing is promoted, and nothing recorded, for a message that is refused', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const text = await alice.sends(bob, 'Hello', { key: 'k' })

  const reused = await alice.sends(bob, picture(id), { key: 'k' })
  await bob.blocks(alice)
  const blocked = await alice.sends(bob, picture(id))
  await bob.becomes('deleted')
  const noReceiver = await alice.sends(bob, picture(id))
  await alice.becomes('suspended')
  const suspended = await alice.sends(bob, picture(id))

  t.equal(text.status, 200)
  t.strictSame(
    [reused, blocked, noReceiver, suspended].map(({ code }) => code),
    ['IDEMPOTENCY_KEY_REUSED', 'BLOCKED_RELATIONSHIP', 'RECEIVER_NOT_FOUND', 'ACCOUNT_SUSPENDED'],
  )
  t.strictSame(
    storage.requests.filter(({ publicId }) => publicId === id),
    [],
  )
  t.equal(await recordOf(db, id), null)
})

t.test('a repeat with its key is answered with the message, though its uploads are gone', async (t) => {
  const [alice, bob] = await two()
  const id = alice.uploads('image')
  const first = await alice.sends(bob, picture(id), { key: 'k' })

  const repeat = await alice.sends(bob, picture(id), { key: 'k' })

  t.equal(repeat.headers.get('idempotent-replayed'), 'true')
  t.strictSame(repeat.body.data, first.body.data)
})
