import t from 'tap'
import { afterTheCommit, beforeTheCommit, inTheTransaction } from '../support/crash/points.ts'
import { killAt } from '../support/crash/scene.ts'
import { picture } from '../support/media.ts'
import { back, storedOnce } from '../support/storage/trio.ts'

// A process of its own is killed in its transaction: what that has locked stays locked until the server, or here the test,
// ends it. Another instance goes on.

// As many at once as there are cores for their processes at least.
t.jobs = 2

for (const { what, reach, leaves } of inTheTransaction) {
  t.test(`killed ${what}: nothing is stored; a sweep brings all back, and they go`, async (t) => {
    const { trio, repeat, endTransaction, sweep, lost } = await killAt(t, reach)

    const left = await trio.state()
    const early = await repeat()
    const stored = await trio.alice.sentTo(trio.bob)
    await endTransaction()
    await sweep()
    const places = trio.places()
    const lostThen = await lost()
    const again = await repeat()

    t.strictSame(left, leaves)
    t.equal(early.outcome, '409 REQUEST_IN_PROGRESS')
    t.strictSame(stored, [])
    t.strictSame(places, back)
    t.strictSame(lostThen, [])
    await storedOnce(t, trio, again)
    t.strictSame(await lost(), [])
  })
}

t.test('killed before the commit: its sender takes over, and a sweep finds nothing', async (t) => {
  const aftermath = await killAt(t, beforeTheCommit.reach)
  const { trio, repeat, endTransaction, letTimePass, sweep, lost } = aftermath

  await endTransaction()
  await letTimePass()
  const again = await repeat()
  await sweep()

  await storedOnce(t, trio, again)
  t.strictSame(await trio.state(), again.state)
  t.strictSame(await lost(), [])
})

t.test(`killed ${afterTheCommit.what}: a repeat gets the message, and a sweep touches nothing`, async (t) => {
  const { trio, url, repeat, sweep, lost } = await killAt(t, afterTheCommit.reach)

  const left = await trio.state()
  const again = await repeat()
  await sweep()
  const withoutKey = await trio.alice.sends(trio.bob, picture(...trio.ids), { via: url })

  t.strictSame(left, afterTheCommit.leaves)
  t.ok(again.replayed)
  await storedOnce(t, trio, again)
  t.equal(withoutKey.code, 'MEDIA_ALREADY_USED')
  t.strictSame(await trio.state(), again.state)
  t.strictSame(await lost(), [])
})
