import { once } from 'node:events'
import { createServer } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import cloudinary from '../../src/plugins/cloudinary.ts'

// In a file of its own: the SDK decides between http and https once for each process.

t.test('https is spoken where the address says so, and what is no https gets no answer', async (t) => {
  const greetings: Buffer[] = []
  const server = createServer((socket) => {
    socket.once('data', (bytes) => {
      greetings.push(bytes)
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const uploadPrefix = `https://127.0.0.1:${port}`
  process.env.CLOUDINARY_URL = `cloudinary://key:secret@demo?upload_prefix=${uploadPrefix}`
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(cloudinary, { cloudName: 'demo', apiKey: 'key', apiSecret: 'secret', uploadPrefix })
  await app.ready()

  const answers = [
    await app.storage.rename('image', 'temp/x', 'messages/x', 5_000),
    await app.storage.find('image', 'temp/x', 5_000),
    await app.storage.destroy('image', 'temp/x', 5_000),
  ]

  const tlsHandshake = 0x16
  t.strictSame(answers, Array(3).fill({ kind: 'unanswered' }))
  t.strictSame(
    greetings.map(([first]) => first),
    Array(3).fill(tlsHandshake),
  )
})
