import { ObjectId } from 'mongodb'
import t, { type Test } from 'tap'
import { type Answer, type Person, tokenOf } from '../support/people.ts'
import { startService } from '../support/service.ts'

const service = await startService(t)
const { db } = service

async function two(): Promise<[Person, Person]> {
  return [await service.person(), await service.person()]
}

/** Nothing of what a refused request wanted is in the database. */
async function refused(t: Test, answer: Answer, status: number, code: string, sender: Person): Promise<void> {
  t.equal(answer.status, status)
  t.equal(answer.code, code)
  t.equal(await db.collection('messages').countDocuments({ senderId: sender.id }), 0)
  t.equal(await db.collection('conversations').countDocuments({ participants: sender.id }), 0)
}

t.test('nobody sends to oneself, whatever the letter case', async (t) => {
  const alice = await service.person()
  const hex = alice.id.toHexString()
  const token = tokenOf({ sub: hex.toUpperCase(), deviceId: alice.deviceId.toHexString() })

  const same = await alice.sends(alice, 'Hello')
  const upperReceiver = await alice.sends(alice, 'Hello', { userId: hex.toUpperCase() })
  const upperSender = await alice.sends(alice, 'Hello', { token })

  await refused(t, same, 400, 'MESSAGE_TO_SELF', alice)
  await refused(t, upperReceiver, 400, 'MESSAGE_TO_SELF', alice)
  await refused(t, upperSender, 400, 'MESSAGE_TO_SELF', alice)
})

t.test('ids in upper case in a token are the same account and device', async (t) => {
  const [alice, bob] = await two()
  const [sub, deviceId] = [alice.id, alice.deviceId].map((id) => id.toHexString().toUpperCase())

  const answer = await alice.sends(bob, 'Hello', { token: tokenOf({ sub, deviceId }) })

  t.equal(answer.status, 200)
  t.equal(answer.body.data.senderId, alice.id.toHexString())
})

t.test('a suspended sender is refused, with a challenge', async (t) => {
  const [alice, bob] = [await service.person({ status: 'suspended' }), await service.person()]

  const answer = await alice.sends(bob, 'Hello')

  await refused(t, answer, 401, 'ACCOUNT_SUSPENDED', alice)
  t.match(answer.headers.get('www-authenticate'), /^Bearer .*error="invalid_token"/)
})

t.test('a sender who is not active, or not there, is refused', async (t) => {
  const bob = await service.person()
  const inactive = await service.person({ status: 'inactive' })
  const deleted = await service.person({ status: 'deleted' })
  const gone = await service.person()
  await db.collection('users').deleteOne({ _id: gone.id })

  await refused(t, await inactive.sends(bob, 'Hello'), 401, 'ACCOUNT_INACTIVE', inactive)
  await refused(t, await deleted.sends(bob, 'Hello'), 401, 'ACCOUNT_INACTIVE', deleted)
  await refused(t, await gone.sends(bob, 'Hello'), 401, 'ACCOUNT_INACTIVE', gone)
})

t.test('a device that is not trusted, not the sender’s, or not there, is refused', async (t) => {
  const [alice, bob] = await two()
  const untrusted = await service.person({ trusted: false })
  const unmarked = await service.person()
  await db.collection('devices').updateOne({ _id: unmarked.deviceId }, { $unset: { trusted: '' } })
  const truthy = await service.person()
  await db.collection('devices').updateOne({ _id: truthy.deviceId }, { $set: { trusted: 'yes' } })
  const ownerless = await service.person()
  await db.collection('devices').updateOne({ _id: ownerless.deviceId }, { $unset: { userId: '' } })
  const sub = alice.id.toHexString()
  const withNone = tokenOf({ sub, deviceId: new ObjectId().toHexString() })
  const withBobs = tokenOf({ sub, deviceId: bob.deviceId.toHexString() })

  const code = 'DEVICE_NOT_TRUSTED'
  await refused(t, await untrusted.sends(bob, 'Hello'), 401, code, untrusted)
  await refused(t, await unmarked.sends(bob, 'Hello'), 401, code, unmarked)
  await refused(t, await truthy.sends(bob, 'Hello'), 401, code, truthy)
  await refused(t, await ownerless.sends(bob, 'Hello'), 401, code, ownerless)
  await refused(t, await alice.sends(bob, 'Hello', { token: withNone }), 401, code, alice)
  await refused(t, await alice.sends(bob, 'Hello', { token: withBobs }), 401, code, alice)
})

t.test('a receiver who is deleted, or not there, is refused', async (t) => {
  const [alice, deleted] = [await service.person(), await service.person({ status: 'deleted' })]

  const toDeleted = await alice.sends(deleted, 'Hello')
  const toNobody = await alice.sends({ id: new ObjectId() }, 'Hello')

  await refused(t, toDeleted, 400, 'RECEIVER_NOT_FOUND', alice)
  await refused(t, toNobody, 400, 'RECEIVER_NOT_FOUND', alice)
})

t.test('a suspended or inactive receiver gets messages all the same', async (t) => {
  const alice = await service.person()
  const suspended = await service.person({ status: 'suspended' })
  const inactive = await service.person({ status: 'inactive' })

  t.equal((await alice.sends(suspended, 'Hello')).status, 200)
  t.equal((await alice.sends(inactive, 'Hello')).status, 200)
})

t.test('a block holds both ways, and the answer does not tell whose it is', async (t) => {
  const [alice, bob] = await two()
  await alice.blocks(bob)

  const fromBlocker = await alice.sends(bob, 'Hello')
  const fromBlocked = await bob.sends(alice, 'Hello')

  await refused(t, fromBlocker, 400, 'BLOCKED_RELATIONSHIP', alice)
  await refused(t, fromBlocked, 400, 'BLOCKED_RELATIONSHIP', bob)
  t.equal(fromBlocker.body.message, fromBlocked.body.message)
  t.notOk(fromBlocker.body.errors)
})

t.test('a block concerns its two people only', async (t) => {
  const [alice, bob] = await two()
  const carol = await service.person()
  await alice.blocks(bob)
  await bob.blocks(carol)

  // All at once, so that one batch reads the blocks of all.
  const answers = await Promise.all([
    alice.sends(carol, 'Hello'),
    carol.sends(alice, 'Hello'),
    bob.sends(alice, 'Hello'),
    carol.sends(bob, 'Hello'),
  ])

  t.strictSame(
    answers.map(({ code }) => code),
    ['OK', 'OK', 'BLOCKED_RELATIONSHIP', 'BLOCKED_RELATIONSHIP'],
  )
})

t.test('a suspension, a revoked device and a block count from the next request on', async (t) => {
  const [alice, bob] = await two()
  const [carol, dave] = await two()
  const before = await Promise.all([alice.sends(bob, '1'), bob.sends(alice, '1'), carol.sends(dave, '1')])

  await alice.becomes('suspended')
  await db
    .collection('devices')
    .updateOne({ _id: bob.deviceId }, { $set: { trusted: false } }, { writeConcern: { w: 'majority' } })
  await dave.blocks(carol)
  const after = await Promise.all([alice.sends(bob, '2'), bob.sends(alice, '2'), carol.sends(dave, '2')])

  t.strictSame(
    before.map(({ code }) => code),
    ['OK', 'OK', 'OK'],
  )
  t.strictSame(
    after.map(({ code }) => code),
    ['ACCOUNT_SUSPENDED', 'DEVICE_NOT_TRUSTED', 'BLOCKED_RELATIONSHIP'],
  )
  t.equal((await alice.sentTo(bob)).length, 1)
})

t.test('who is active again, or no longer blocked, sends again', async (t) => {
  const [alice, bob] = [await service.person({ status: 'suspended' }), await service.person()]
  await bob.blocks(alice)

  await alice.becomes('active')
  const blocked = await alice.sends(bob, 'Hello')
  await db.collection('blocks').deleteMany({ blockerId: bob.id })
  const answer = await alice.sends(bob, 'Hello')

  t.equal(blocked.code, 'BLOCKED_RELATIONSHIP')
  t.equal(answer.code, 'OK')
})

t.test('of several faults the first of the contract’s order is answered', async (t) => {
  const alice = await service.person({ status: 'suspended', trusted: false })
  const deleted = await service.person({ status: 'deleted' })
  await deleted.blocks(alice)
  const foreign = { content: 'Hello', type: 'image', media: [{ publicId: 'temp/user_somebody/else' }] }

  const toSelf = await alice.sends(alice, foreign)
  const suspended = await alice.sends(deleted, foreign)
  await alice.becomes('active')
  const untrusted = await alice.sends(deleted, foreign)
  await db.collection('devices').updateOne({ _id: alice.deviceId }, { $set: { trusted: true } })
  const noReceiver = await alice.sends(deleted, foreign)
  await deleted.becomes('active')
  const blocked = await alice.sends(deleted, foreign)
  await db.collection('blocks').deleteMany({ blockerId: deleted.id })
  const reference = await alice.sends(deleted, foreign)

  const codes = [toSelf, suspended, untrusted, noReceiver, blocked, reference].map(({ code }) => code)
  t.strictSame(codes, [
    'MESSAGE_TO_SELF',
    'ACCOUNT_SUSPENDED',
    'DEVICE_NOT_TRUSTED',
    'RECEIVER_NOT_FOUND',
    'BLOCKED_RELATIONSHIP',
    'INVALID_MEDIA_REFERENCE',
  ])
  t.strictSame(service.storage.requests, [])
  t.equal(await db.collection('media').countDocuments({ senderId: alice.id }), 0)
})
