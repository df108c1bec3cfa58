import t from 'tap'
import { startService } from './support/service.ts'

const service = await startService(t)

t.test('a text is stored and answered with', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]

  const answer = await alice.sends(bob, { content: 'Hello there', type: 'text' })

  const [stored] = await alice.sentTo(bob)
  t.equal(answer.status, 200)
  t.match(answer.body.data, { content: 'Hello there', senderId: alice.id.toHexString(), media: [] })
  t.equal(stored?._id.toHexString(), answer.body.data._id)
})
