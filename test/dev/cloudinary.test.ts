import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startCloudinary } from '../../src/dev/cloudinary/server.ts'
import { sign, stringToSign } from '../../src/dev/cloudinary/signature.ts'
import { picturePng, textFile, tinyVideo } from '../../src/dev/media-samples.ts'
import { dataUri, post, refusal, start } from '../support/stand-in.ts'

// What goes wrong, on purpose or by the caller's fault, is in dev/cloudinary-faults.test.ts.

// The SDK reads its address, and takes http for it, when it is loaded and never again; an agent of the right
// kind, passed with a call, overrules that. So the other stand-ins are reached by options.
const global = await startCloudinary()
process.env.CLOUDINARY_URL = global.cloudinaryUrl
const { api, uploader, utils } = (await import('cloudinary')).v2
t.teardown(() => global.close())

const image = { resource_type: 'image' } as const
const video = { resource_type: 'video' } as const
const raw = { resource_type: 'raw' } as const

t.test('the SDK finds the stand-in by CLOUDINARY_URL', async (t) => {
  const answer = await uploader.upload(dataUri(textFile('hello')), { ...raw, public_id: 'hello.txt' })

  t.match(answer, { public_id: 'hello.txt', bytes: 5 })
  t.equal(global.has('raw', 'hello.txt'), true)
})

t.test('signatures', async (t) => {
  t.test('are the ones that Cloudinary documents', async (t) => {
    const params = { timestamp: '1315060510', public_id: 'sample_image' }

    t.equal(sign(new Map(Object.entries(params)), 'abcd'), 'b4ad47fb4e25c7bf5f92a20089f9db59bc302313')
  })

  t.test('leave out what is not signed, and hide an ampersand', async (t) => {
    const params = { tags: 'a&b', api_key: 'k', file: 'f', empty: '', signature: 's' }

    t.equal(stringToSign(new Map(Object.entries(params))), 'tags=a%26b')
  })

  t.test('are accepted as SHA-256 too, over lists and ampersands', async (t) => {
    const { account } = await start(t)
    const sha256 = { ...account, ...raw, signature_algorithm: 'sha256' }

    const answer = await uploader.upload(dataUri(textFile()), {
      ...sha256,
      public_id: 'é.txt',
      tags: ['a&b', 'c'],
    })

    t.strictSame([answer.public_id, answer.tags], ['é.txt', ['a&b', 'c']])
  })

  t.test('made with another secret are refused, and nothing is done', async (t) => {
    const { account, standIn } = await start(t)
    standIn.put({ publicId: 'temp/a', resourceType: 'image' })

    const error = await refusal(uploader.rename('temp/a', 'a', { ...account, ...{ api_secret: 'other' } }))

    const signedText = /String to sign - 'from_public_id=temp\/a&timestamp=\d+&to_public_id=a'\.$/
    t.match(error, { http_code: 401, message: /^Invalid Signature [0-9a-f]{40}\. / })
    t.match(error.message, signedText)
    t.equal(standIn.has('image', 'temp/a'), true)
  })

  t.test('are worth nothing after an hour', async (t) => {
    const hourAndSecondMs = 3_601_000
    const { account } = await start(t, { now: () => new Date(Date.now() + hourAndSecondMs) })

    const error = await refusal(uploader.destroy('a', account))

    t.match(error, { http_code: 400, message: /^Stale request - reported time is .* more than 1 hour ago$/ })
  })

  t.test('need a known key, a known cloud and a timestamp', async (t) => {
    const { account, standIn } = await start(t)

    const key = await refusal(uploader.destroy('a', { ...account, ...{ api_key: 'nobody' } }))
    const cloud = await refusal(uploader.destroy('a', { ...account, ...{ cloud_name: 'nowhere' } }))
    const untimed = await post(standIn, 'image/destroy', { public_id: 'a', timestamp: 'soon' })

    t.match(key, { http_code: 401, message: 'Unknown API key nobody' })
    t.match(cloud, { http_code: 401, message: 'Invalid cloud_name nowhere' })
    t.match(untimed, { status: 400, body: { error: { message: 'Invalid timestamp soon' } } })
  })
})

t.test('uploads', async (t) => {
  t.test('of a file answer what Cloudinary answers, and can be opened at secure_url', async (t) => {
    const { account } = await start(t)
    const file = join(t.testdir(), 'sunset.png')
    writeFileSync(file, picturePng(30, 20))

    const answer = await uploader.upload(file, { ...account, public_id: 'temp/user 1/ü', tags: 'a,b' })
    const opened = await fetch(answer.secure_url)

    t.match(answer, {
      asset_id: /^[0-9a-f]{32}$/,
      public_id: 'temp/user 1/ü',
      version_id: /^[0-9a-f]{32}$/,
      width: 30,
      height: 20,
      format: 'png',
      resource_type: 'image',
      created_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
      tags: ['a', 'b'],
      bytes: picturePng(30, 20).length,
      type: 'upload',
      etag: /^[0-9a-f]{32}$/,
      url: answer.secure_url,
      original_filename: 'sunset',
    })
    t.match(answer.secure_url, /\/demo\/image\/upload\/v\d+\/temp\/user%201\/%C3%BC\.png$/)
    const { public_id, version, signature } = answer
    t.equal(signature, utils.api_sign_request({ public_id, version }, 'secret'))
    t.equal(opened.headers.get('content-type'), 'image/png')
    t.same(Buffer.from(await opened.arrayBuffer()), picturePng(30, 20))
  })

  t.test('as auto are filed by their bytes', async (t) => {
    const { account } = await start(t)
    const options = { ...account, resource_type: 'auto' } as const

    const picture = await uploader.upload(dataUri(picturePng(3, 2)), options)
    const clip = await uploader.upload(dataUri(tinyVideo({ width: 640, height: 360 })), options)
    const audio = await uploader.upload(dataUri(Buffer.from('ID3 a song')), options)
    const text = await uploader.upload(dataUri(textFile()), options)
    const rawPicture = await uploader.upload(dataUri(picturePng(3, 2)), { ...account, ...raw })

    t.match(picture, { ...image, format: 'png', width: 3, height: 2 })
    t.match(clip, { ...video, format: 'mp4', width: 640, height: 360 })
    t.match(audio, { ...video, format: 'mp3', width: undefined, height: undefined })
    t.match(text, { ...raw, format: undefined, width: undefined, height: undefined })
    t.match(rawPicture, { ...raw, format: undefined, width: undefined, height: undefined })
    t.equal((await fetch(clip.secure_url)).headers.get('content-type'), 'video/mp4')
  })

  t.test('show the size that stands in a JPEG or GIF', async (t) => {
    const { account } = await start(t)
    const jpeg = Buffer.from('ffd8ffe000040000ffc4000400ffffc0000b08012c0190', 'hex')
    const gif = Buffer.from('47494638396190012c01', 'hex')

    t.match(await uploader.upload(dataUri(jpeg), account), { format: 'jpg', width: 400, height: 300 })
    t.match(await uploader.upload(dataUri(gif), account), { format: 'gif', width: 400, height: 300 })
  })

  t.test('of another kind than the address says, or of nothing, are refused', async (t) => {
    const { account, standIn } = await start(t)

    const text = await refusal(uploader.upload(dataUri(textFile()), account))
    const picture = await refusal(uploader.upload(dataUri(picturePng(1, 1)), { ...account, ...video }))
    const nothing = await post(standIn, 'image/upload', { public_id: 'a' })

    t.match(text, { http_code: 400, message: 'Invalid image file' })
    t.match(picture, { http_code: 400, message: 'Unsupported video format or file' })
    t.match(nothing, { status: 400, body: { error: { message: 'Missing required parameter - file' } } })
  })

  t.test('may be urlencoded, go into a folder, and overwrite unless told not to', async (t) => {
    const { standIn } = await start(t)
    const params = { public_id: 'a.txt', folder: 'temp', file: dataUri(textFile('one')) }

    const first = await post(standIn, 'raw/upload', params)
    const other = { ...params, file: dataUri(textFile('three')) }
    const kept = await post(standIn, 'raw/upload', { ...other, overwrite: 'false' })
    const replaced = await post(standIn, 'raw/upload', other)

    t.match(first.body, { public_id: 'temp/a.txt', bytes: 3 })
    t.match(kept.body, { version: first.body.version, bytes: 3, existing: true })
    t.match(replaced.body, { asset_id: first.body.asset_id, bytes: 5 })
    t.not(replaced.body.version, first.body.version)
  })

  t.test('beyond the memory that is set aside are refused, until there is room', async (t) => {
    const { account, standIn } = await start(t)
    const bytes = Buffer.alloc(100 * 1024 * 1024)
    standIn.put({ publicId: 'a', resourceType: 'raw', bytes })
    standIn.put({ publicId: 'b', resourceType: 'raw', bytes })

    t.throws(() => standIn.put({ publicId: 'c', resourceType: 'raw', bytes }), /holds \d+ bytes at most/)
    standIn.put({ publicId: 'b', resourceType: 'raw', bytes })
    standIn.put({ publicId: 'b', resourceType: 'raw', bytes })
    t.match(standIn.list(), [{ publicId: 'a' }, { publicId: 'b' }])

    await uploader.rename('b', 'a', { ...account, ...raw, overwrite: true })
    await uploader.rename('a', 'a', { ...account, ...raw, overwrite: true })
    standIn.put({ publicId: 'c', resourceType: 'raw', bytes })
    t.throws(() => standIn.put({ publicId: 'd', resourceType: 'raw', bytes }), /holds \d+ bytes at most/)
  })
})

t.test('rename', async (t) => {
  t.test('keeps an image, changes its address', async (t) => {
    const { account } = await start(t)
    const before = await uploader.upload(dataUri(picturePng(3, 2)), { ...account, public_id: 'temp/a' })

    const after = await uploader.rename('temp/a', 'messages/a', account)

    const { asset_id, etag } = before
    t.match(after, { asset_id, etag, public_id: 'messages/a', width: 3, height: 2 })
    t.not(after.version, before.version)
    t.match(after.secure_url, /\/demo\/image\/upload\/v\d+\/messages\/a\.png$/)
    t.equal((await fetch(after.secure_url)).status, 200)
    t.equal((await fetch(before.secure_url)).status, 404)
  })

  t.test('takes a video, and a raw file by its id with the extension', async (t) => {
    const { account, standIn } = await start(t)
    standIn.put({ publicId: 'temp/a', resourceType: 'video', width: 8, height: 6 })
    standIn.put({ publicId: 'temp/a.txt', resourceType: 'raw' })

    const clip = await uploader.rename('temp/a', 'b', { ...account, ...video })
    const stem = await refusal(uploader.rename('temp/a', 'b', { ...account, ...raw }))
    const text = await uploader.rename('temp/a.txt', 'b.txt', { ...account, ...raw })

    t.match(clip, { ...video, public_id: 'b', width: 8, height: 6 })
    t.match(stem, { http_code: 404, message: 'Resource not found - temp/a' })
    t.match(text, { ...raw, public_id: 'b.txt' })
    t.equal((await fetch(text.secure_url)).headers.get('content-type'), 'text/plain; charset=utf-8')
  })

  t.test('looks in one resource type only', async (t) => {
    const { account, standIn } = await start(t)
    standIn.put({ publicId: 'a', resourceType: 'video' })
    standIn.put({ publicId: 'b', resourceType: 'image' })

    const asImage = await refusal(uploader.rename('a', 'b', account))
    const asVideo = await uploader.rename('a', 'b', { ...account, ...video })

    t.match(asImage, { http_code: 404, message: 'Resource not found - a', name: 'Error' })
    t.match(asVideo, { public_id: 'b', ...video })
    t.equal(standIn.has('image', 'b'), true)
  })

  t.test('overwrites only when it may', async (t) => {
    const { account, standIn } = await start(t)
    const { assetId } = standIn.put({ publicId: 'a', resourceType: 'image' })
    standIn.put({ publicId: 'b', resourceType: 'image' })

    const refused = await refusal(uploader.rename('a', 'b', account))
    const allowed = await uploader.rename('a', 'b', { ...account, overwrite: true })

    t.match(refused, { http_code: 400, message: 'to_public_id(b) already exists' })
    t.match(allowed, { asset_id: assetId, public_id: 'b' })
    t.equal(standIn.list().length, 1)
  })

  t.test('takes 255 characters and no forbidden ones', async (t) => {
    const { account, standIn } = await start(t)
    standIn.put({ publicId: 'a', resourceType: 'image' })

    const long = await refusal(uploader.rename('a', '😀'.repeat(256), account))
    const forbidden = await refusal(uploader.rename('a', 'b?', account))
    const longest = await uploader.rename('a', '😀'.repeat(255), account)

    t.match(long, { http_code: 400, message: /is too long/ })
    t.match(forbidden, { http_code: 400, message: 'to_public_id (b?) is invalid' })
    t.equal(longest.public_id, '😀'.repeat(255))
  })
})

t.test('explicit and the Admin API tell what is stored, and destroy removes it', async (t) => {
  const { account, standIn } = await start(t)
  const { assetId } = standIn.put({ publicId: 'm/a', resourceType: 'video' })
  const options = { ...account, ...video }

  const explicit = await uploader.explicit('m/a', { ...options, type: 'upload' })
  const admin = await api.resource('m/a', options)
  const destroyed = await uploader.destroy('m/a', options)
  const again = await uploader.destroy('m/a', options)
  const gone = await refusal(uploader.explicit('m/a', { ...options, type: 'upload' }))
  const untyped = await refusal(uploader.explicit('m/a', options))

  t.match([explicit, admin], [{ asset_id: assetId, width: 320, height: 240 }, { asset_id: assetId }])
  t.same([destroyed, again], [{ result: 'ok' }, { result: 'not found' }])
  t.match(gone, { http_code: 404, message: 'Resource not found - m/a' })
  t.match(untyped, { http_code: 400, message: 'Missing required parameter - type' })
})

t.test('the Admin API asks for key and secret', async (t) => {
  const { account } = await start(t)

  const wrongSecret = await refusal(api.resource('a', { ...account, api_secret: 'other' }))
  const wrongKey = await refusal(api.resource('a', { ...account, api_key: 'other' }))
  const missing = await refusal(api.resource('a', account))

  t.match(wrongSecret, { error: { http_code: 401, message: 'api_secret mismatch' } })
  t.match(wrongKey, { error: { http_code: 401, message: 'unknown api_key other' } })
  t.match(missing, { error: { http_code: 404, message: 'Resource not found - a' } })
})
