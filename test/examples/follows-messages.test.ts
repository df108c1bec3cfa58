import { type ChildProcess, spawn } from 'node:child_process'
import t, { type Test } from 'tap'
import { batchMax } from '../../examples/follow-messages.ts'
import { boundMs, type Following, startFollowing } from '../support/client/following.ts'
import { eventually } from '../support/eventually.ts'
import { startFeature } from '../support/feature.ts'
import { latch } from '../support/media.ts'
import { root } from '../support/root.ts'
import { startService } from '../support/service.ts'

// examples/follow-messages.ts on a real replica set. What happens when its place is of no use is in
// follows-messages-lost.test.ts.

const { client, uri, storage } = await startFeature(t, { ownServer: true })
// As short as it can be: so long does a killed follower's transaction keep the next one waiting.
await client.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: 1 })
const service = await startService(t, {
  mongodbUri: uri,
  storage,
  env: { RATE_LIMIT_MAX: '0', LOG_LEVEL: 'warn' },
})

/** Every step of its way: its last answer from the server, for what is not told otherwise. */
const moments = {
  'its place was made': 'findAndModify 1',
  'it has looked back': 'find 1',
  'it has moved its place': 'update 1',
  'it knows what is new': 'find 2',
  'it has noted what it hands over': 'insert 1',
  'the handler has written': 'insert 2',
  'the first batch is kept': 'commitTransaction 1',
  'it follows the stream': 'aggregate 1',
  'it has read from the stream': 'getMore 2',
  'it has forgotten': 'delete 1',
  'it has moved its place in the stream': 'update 2',
  'a handler has written, once more': 'insert 8',
  'several batches are kept': 'commitTransaction 5',
}

t.test('killed at every step while messages are sent, it delivers each of them once', async (t) => {
  const following = startFollowing(t, client)
  const sending = keepSending(2)

  const deaths: unknown[] = []
  for (const moment of Object.values(moments)) deaths.push(await diesAt(t, following, moment))
  for (const count of [1, 10, 100]) deaths.push(await isKilledAfter(t, following, count))
  const sent = await sending.end()
  startProcess(t, following)

  await following.delivers(t, sent)
  t.strictSame(deaths, Array(deaths.length).fill('SIGKILL'))
  t.equal(sent.length, await service.db.collection('messages').countDocuments())
})

t.test('of two with one name only one delivers a message, and the other goes on for it', async (t) => {
  const following = startFollowing(t, client)
  const first = following.start()
  const second = following.start()

  const before: string[] = []
  for (let round = 0; round < 50; round++) before.push(...(await following.stores(5)))
  await following.delivers(t, before)
  await first.stop()
  const after = await following.stores(5)

  await following.delivers(t, [...before, ...after])
  const told = [...first.troubles, ...second.troubles].map(String)
  t.strictSame([...new Set(told)], ['Error: another follower "push" has gone on from here'])
})

t.test('who was paused, while another went on, keeps nothing', async (t) => {
  const following = startFollowing(t, client)
  const [isPaused, goesOn] = [latch(), latch()]
  const pause = async (): Promise<void> => {
    isPaused.open()
    await goesOn.until
  }
  const paused = following.start({ handle: pause })
  // So old, that it is forgotten with the first one that is new.
  const old = await following.stores(1, { minutesAgo: 20 })
  await isPaused.until

  following.start()
  await following.delivers(t, old)
  const recent = await following.stores(1)
  await following.delivers(t, [...old, ...recent])
  const isForgotten = async (): Promise<boolean> =>
    (await following.own.collection('push.handedOver').countDocuments()) === 1
  await eventually(isForgotten, boundMs)
  goesOn.open()
  const wasTooMuch = async (): Promise<boolean> => (await following.delivered()).length > 2
  await eventually(async () => paused.troubles.length > 0 || (await wasTooMuch()), boundMs)

  await following.delivers(t, [...old, ...recent])
  t.match(paused.troubles, [{ message: /another follower "push"/ }])
})

t.test('each name has a place of its own', async (t) => {
  const following = startFollowing(t, client)
  const push = following.start()
  const search = following.start({ name: 'search' })

  const ids = await following.stores(2)

  await following.delivers(t, [...ids, ...ids])
  t.strictSame([...push.troubles, ...search.troubles], [])
})

t.test('what cannot be handled is tried again, and never passed over', async (t) => {
  const following = startFollowing(t, client)
  const defect = new Error('a defect of the handler')
  let failures = 3
  const handle = async (): Promise<void> => {
    failures -= 1
    if (failures >= 0) throw defect
  }
  const { troubles } = following.start({ handle })

  const ids = await following.stores(2)
  const more = await following.stores(2)

  await following.delivers(t, [...ids, ...more])
  t.strictSame(troubles, [defect, defect, defect])
  t.strictSame(await following.delivered(), [...ids, ...more])
})

t.test('it hands over what has gathered, a batch at a time', async (t) => {
  const following = startFollowing(t, client)
  const [isBusy, isFree] = [latch(), latch()]
  const handle = async (): Promise<void> => {
    isBusy.open()
    await isFree.until
  }
  const before = await following.stores(2 * batchMax + 1)
  const { batches } = following.start({ handle })
  await isBusy.until

  const after = await following.stores(2 * batchMax + 1)
  isFree.open()

  await following.delivers(t, [...before, ...after])
  t.equal(Math.max(...batches), batchMax)
})

/** So many at a time, until `end`, which gives their ids. */
function keepSending(lanes: number): { end(): Promise<string[]> } {
  let isEnding = false
  const lane = async (): Promise<string[]> => {
    const [alice, bob] = [await service.person(), await service.person()]
    const ids: string[] = []
    while (!isEnding) ids.push((await alice.sends(bob, 'Hello')).body.data._id)
    return ids
  }
  const sent = Promise.all(Array.from({ length: lanes }, lane))
  return {
    async end() {
      isEnding = true
      return (await sent).flat()
    },
  }
}

/** Gives the signal by which it has ended. */
async function diesAt(t: Test, following: Following, moment: string): Promise<unknown> {
  const follower = startProcess(t, following, moment)
  await eventually(() => follower.exitCode !== null || follower.signalCode !== null, boundMs)
  return follower.signalCode
}

/** Wherever it is then. */
async function isKilledAfter(t: Test, following: Following, count: number): Promise<unknown> {
  const deliveries = following.own.collection('deliveries')
  const enough = (await deliveries.countDocuments()) + count
  const follower = startProcess(t, following)
  await eventually(async () => (await deliveries.countDocuments()) >= enough, boundMs)
  follower.kill('SIGKILL')
  await eventually(() => follower.signalCode !== null, boundMs)
  return follower.signalCode
}

/** With a loader that starts soon. It is always killed, so that it says nothing about what it has covered. */
function startProcess(t: Test, { own }: Following, dieAfter = ''): ChildProcess {
  const { PATH = '' } = process.env
  const follower = spawn(process.execPath, ['--import', 'tsx', 'test/support/client/follower.ts'], {
    cwd: root,
    env: { PATH, MESSAGES_URI: uri, OWN_DATABASE: own.databaseName, DIE_AFTER: dieAfter },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.teardown(() => void follower.kill('SIGKILL'))
  return follower
}
