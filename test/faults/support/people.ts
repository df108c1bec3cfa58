import { createSigner } from 'fast-jwt'
import { type Db, ObjectId } from 'mongodb'
import { jwtSecret } from './services.ts'

export interface Person {
  readonly id: string
  readonly token: string
}

/** Who sends and who receives. */
export interface People {
  /** One a client, so that what one sends does not depend on the others. */
  readonly senders: readonly Person[]
  /** To whom a sender has already written: the chats are known after a moment. */
  contactsOf(sender: Person): readonly Person[]
  /** Two who share one chat that everybody writes into. */
  readonly hot: readonly [Person, Person]
  /** Somebody to whom this sender has not written, for some thousand times. */
  strangerTo(sender: Person): Person
  /** Has blocked every sender. */
  readonly blocker: Person
}

const contactsEach = 5
const strangers = 5_000
// Longer than the longest soak.
const tokenLifeS = 24 * 3600

export async function seedPeople(db: Db, { senders: count }: { senders: number }): Promise<People> {
  const devices: { _id: ObjectId; userId: ObjectId; trusted: boolean }[] = []
  const signer = createSigner({ key: jwtSecret, algorithm: 'HS256' })
  const make = (howMany: number): Person[] => Array.from({ length: howMany }, person)
  const senders = make(count)
  const contacts = make(count + contactsEach)
  const receivers = make(strangers)
  const [one = person(), other = person(), blocker = person()] = make(3)

  function person(): Person {
    const userId = new ObjectId()
    const deviceId = new ObjectId()
    devices.push({ _id: deviceId, userId, trusted: true })
    const exp = Math.floor(Date.now() / 1000) + tokenLifeS
    return {
      id: userId.toHexString(),
      token: signer({ sub: userId.toHexString(), deviceId: deviceId.toHexString(), exp }),
    }
  }

  const users = devices.map(({ userId }) => ({ _id: userId, status: 'active' }))
  await db.collection('users').insertMany(users, { ordered: false })
  await db.collection('devices').insertMany(devices, { ordered: false })
  const blocks = senders.map(({ id }) => ({
    blockerId: ObjectId.createFromHexString(blocker.id),
    blockedId: ObjectId.createFromHexString(id),
  }))
  await db.collection('blocks').insertMany(blocks)

  const met = new Map<Person, number>()
  return {
    senders,
    contactsOf(sender) {
      const first = senders.indexOf(sender)
      return contacts.slice(first, first + contactsEach)
    },
    hot: [one, other],
    strangerTo(sender) {
      const index = met.get(sender) ?? 0
      met.set(sender, index + 1)
      return receivers[index % strangers] ?? blocker
    },
    blocker,
  }
}
