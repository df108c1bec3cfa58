import t from 'tap'
import { eventually } from './support/eventually.ts'
import type { Answer } from './support/people.ts'
import { startService } from './support/service.ts'

const service = await startService(t, { env: { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'warn' } })

t.test('what is more than the service takes is refused at once, and texts still flow', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  await bob.blocks(alice)
  const carol = await service.person()
  const url = `/message/send/${bob.id.toHexString()}`
  const headers = { authorization: `Bearer ${alice.token}` }
  // Refused by the block that admission reads, so that none costs more than that.
  const payload = { content: 'Look', type: 'image', media: [{ publicId: alice.uploads('image') }] }

  const sending = Array.from({ length: 2_600 }, () =>
    service.app.inject({ method: 'POST', url, headers, payload }),
  )
  const isReady = async (): Promise<boolean> =>
    (await service.app.inject({ url: '/health/ready' })).statusCode === 200
  const notReady = eventually(async () => !(await isReady()))
  const text = carol.sends(bob, 'Hello')
  const answers = (await Promise.all(sending)).map((response) => ({
    code: response.json<Answer['body']>().code,
    retryAfter: response.headers['retry-after'],
  }))

  const overloaded = answers.map(({ code }) => String(code) === 'OVERLOADED')
  t.ok(overloaded.includes(true))
  t.ok(overloaded.indexOf(true) >= 2_048)
  t.ok(answers.filter((_, index) => overloaded[index]).every(({ retryAfter }) => retryAfter === '1'))
  await notReady
  t.equal((await text).status, 200)
  t.ok(await isReady())
})
