import { MongoClient, type ObjectId } from 'mongodb'
import { followMessages, type Message } from '../../../examples/follow-messages.ts'

// A follower in a process of its own, for a test that kills it, or that lets it end itself: `DIE_AFTER="insert 2"` is right
// after the server has carried out its second insert. Its handler writes what two handlings would make two of.

const { MESSAGES_URI = '', OWN_DATABASE = '', DIE_AFTER = '' } = process.env

export interface Delivery {
  messageId: ObjectId
  by: number
}

const [fatalCommand, times] = DIE_AFTER.split(' ')
let left = Number(times)
const client = new MongoClient(MESSAGES_URI, { monitorCommands: true })
client.on('commandSucceeded', ({ commandName }) => {
  if (commandName === fatalCommand) left -= 1
  if (left === 0) process.kill(process.pid, 'SIGKILL')
})
const own = client.db(OWN_DATABASE)

await followMessages({
  name: 'push',
  messages: client.db().collection<Message>('messages'),
  own,
  since: new Date(0),
  stopping: new AbortController().signal,
  async handle(messages, session) {
    const deliveries = messages.map(({ _id }) => ({ messageId: _id, by: process.pid }))
    await own.collection<Delivery>('deliveries').insertMany(deliveries, { session })
  },
})
