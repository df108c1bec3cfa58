import t from 'tap'
import { createGate } from '../../src/lib/gate.ts'
import { refuseExcess } from '../../src/send-message/refuse-excess.ts'
import type { Answer } from '../support/people.ts'
import { startService } from '../support/service.ts'

const service = await startService(t, { env: { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'warn' } })

async function readiness(): Promise<string> {
  const response = await service.app.inject({ url: '/health/ready' })
  return response.json<Answer['body']>().code ?? 'OK'
}

/** Looked at where the answer says that the service is full. */
async function readinessAfter(code: string): Promise<string> {
  return code === 'OVERLOADED' ? await readiness() : 'not looked at'
}

interface Heard {
  code: string
  retryAfter: unknown
  ready: string
}

/** As many at once, all refused by a block that is read first: so that none costs more than that. */
async function crowd(count: number, content: object): Promise<Heard[]> {
  const [alice, bob] = [await service.person(), await service.person()]
  await bob.blocks(alice)
  const url = `/message/send/${bob.id.toHexString()}`
  const headers = { authorization: `Bearer ${alice.token}` }
  const media = [{ publicId: alice.uploads('image') }]
  const payload = 'media' in content ? { ...content, media } : content

  const send = async (): Promise<Heard> => {
    const response = await service.app.inject({ method: 'POST', url, headers, payload })
    const code = String(response.json<Answer['body']>().code)
    return { code, retryAfter: response.headers['retry-after'], ready: await readinessAfter(code) }
  }
  return await Promise.all(Array.from({ length: count }, send))
}

t.test('more media than the service takes is refused at once, and texts still flow', async (t) => {
  const [bob, carol] = [await service.person(), await service.person()]

  const answering = crowd(2_600, { content: 'Look', type: 'image', media: [] })
  const text = carol.sends(bob, 'Hello')
  const answers = await answering

  const overloaded = answers.map(({ code }) => code === 'OVERLOADED')
  t.ok(overloaded.includes(true))
  t.ok(overloaded.indexOf(true) >= 2_048)
  t.ok(answers.filter((_, index) => overloaded[index]).every(({ retryAfter }) => retryAfter === '1'))
  t.equal((await text).status, 200)
  t.notOk(
    answers.some(({ ready }) => ready === 'OVERLOADED'),
    'a hanging storage takes no instance from its texts',
  )
})

t.test('an instance that is full of texts is not ready', async (t) => {
  const answers = await crowd(6_500, { content: 'Hello', type: 'text' })

  t.ok(answers.some(({ ready }) => ready === 'OVERLOADED'))
  t.equal(await readiness(), 'OK')
})

t.test('what comes while no place is free waits for one, and is refused when none was left', async (t) => {
  const gate = createGate(1)
  const knock = refuseExcess(gate, 20)
  const answer = (): Promise<string> =>
    new Promise((resolve) => knock((refusal) => resolve(refusal?.code ?? 'let in')))

  const before = await answer()
  const leave = gate.enter()
  const refused = await answer()
  const waiting = answer()
  // Comes behind the look at the gate that let it wait.
  setImmediate(() => leave?.())

  t.equal(before, 'let in')
  t.equal(refused, 'OVERLOADED')
  t.equal(await waiting, 'let in')
})
