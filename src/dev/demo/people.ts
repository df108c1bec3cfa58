import type { FastifyInstance } from 'fastify'
import { ObjectId } from 'mongodb'
import type { BlockDocument, DeviceDocument, UserDocument } from '../../collections.ts'
import { samples, type Uploader } from './storage.ts'

export interface Person {
  name: string
  userId: string
  /** For the one trusted device, valid for a day. */
  token: string
  about: string
}

export interface Cast {
  alice: Person
  bob: Person
  carol: Person
  dave: Person
  /** Of Alice's tablet, which is not trusted. */
  tabletToken: string
  /** Public ids, Alice's but for the last. */
  uploads: { picture: string; video: string; file: string; spare: string; bobsPicture: string }
}

/** People, devices, a block and uploads: what other services and clients would have made. */
export async function createCast(app: FastifyInstance, upload: Uploader): Promise<Cast> {
  const { db } = app.mongo
  const users = db.collection<UserDocument>('users')

  async function tokenOf(userId: ObjectId, device: { trusted: boolean }): Promise<string> {
    const deviceId = new ObjectId()
    await db.collection<DeviceDocument>('devices').insertOne({ _id: deviceId, userId, ...device })
    const claims = { sub: userId.toHexString(), deviceId: deviceId.toHexString() }
    return app.jwt.sign(claims, { expiresIn: '1d', noTimestamp: true })
  }

  async function person(
    name: string,
    about: string,
    status: UserDocument['status'] = 'active',
  ): Promise<Person> {
    const id = new ObjectId()
    await users.insertOne({ _id: id, status })
    return { name, about, userId: id.toHexString(), token: await tokenOf(id, { trusted: true }) }
  }

  const alice = await person('alice', 'has a phone that is trusted, and a tablet that is not')
  const bob = await person('bob', 'gets the messages')
  const carol = await person('carol', 'has blocked alice')
  const dave = await person('dave', 'is suspended', 'suspended')
  const tabletToken = await tokenOf(new ObjectId(alice.userId), { trusted: false })
  const block = { blockerId: new ObjectId(carol.userId), blockedId: new ObjectId(alice.userId) }
  await db.collection<BlockDocument>('blocks').insertOne({ _id: new ObjectId(), ...block })

  const uploads = {
    picture: await upload(alice.userId, samples.picture('dusk')),
    video: await upload(alice.userId, samples.video('clip')),
    file: await upload(alice.userId, samples.file('shopping.txt')),
    spare: await upload(alice.userId, samples.otherPicture('meadow')),
    bobsPicture: await upload(bob.userId, samples.otherPicture('garden')),
  }
  return { alice, bob, carol, dave, tabletToken, uploads }
}
