import type { CommandStartedEvent, MongoClient } from 'mongodb'

/** What some work asks of the database, by a client that tells of its commands, in their order. */
export async function startedBy(
  client: MongoClient,
  work: () => Promise<unknown>,
): Promise<CommandStartedEvent[]> {
  const started: CommandStartedEvent[] = []
  const listen = (event: CommandStartedEvent): void => void started.push(event)
  client.on('commandStarted', listen)
  await work().finally(() => client.off('commandStarted', listen))
  return started
}
