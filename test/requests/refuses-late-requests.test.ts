import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { startService } from '../support/service.ts'

const service = await startService(t)
const [alice, bob] = [await service.person(), await service.person()]
const body = JSON.stringify({ content: 'Too late', type: 'text' })
const head =
  `POST /message/send/${bob.id.toHexString()} HTTP/1.1\r\nHost: service\r\nAuthorization: Bearer ${alice.token}\r\n` +
  `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`

/** Sends some, waits for the answer, and sends the rest behind it, as a request that crosses the answer on its way. */
async function crossing(first: string, rest: string): Promise<string> {
  const socket: Socket = connect({
    port: Number(new URL(service.url).port),
    host: '127.0.0.1',
    allowHalfOpen: true,
  })
  socket.write(first)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.resume()
  socket.end(rest)
  await once(socket, 'close')
  return answer.toString().slice(9, 12)
}

t.test('a request that its own 408 has overtaken is not stored', async (t) => {
  const answers = await Promise.all([
    crossing(head.slice(0, 10), `${head.slice(10)}${body}`),
    crossing(`${head}${body.slice(0, 10)}`, body.slice(10)),
  ])

  // Behind whatever is still on its way.
  await alice.sends(bob, 'In time')

  t.same(answers, ['408', '408'])
  t.same(
    (await alice.sentTo(bob)).map(({ content }) => content),
    ['In time'],
  )
})
