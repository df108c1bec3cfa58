import type { MongoClient } from 'mongodb'
import {
  type CommitDeps,
  type Committed,
  type Committer,
  createCommitter,
} from '../../src/send-message/commit.ts'
import { createKnownChats } from '../../src/send-message/known-chats.ts'
import { startedBy } from './commands.ts'
import type { Person } from './people.ts'

/** As another instance: it knows no chats, and its batches are its own. */
export function newCommitter(deps: CommitDeps): Committer {
  return createCommitter({ ...deps, knownChats: createKnownChats() })
}

export async function storedIds(sender: Person, receiver: Person): Promise<string[]> {
  return (await sender.sentTo(receiver)).map(({ _id }) => _id.toHexString()).sort()
}

export function idsOf(committed: readonly Committed[]): string[] {
  return committed.map(({ message }) => message._id.toHexString()).sort()
}

/** The commands that some work sends by a client that tells of them, in their order. */
export async function commandsOf(client: MongoClient, work: () => Promise<unknown>): Promise<string[]> {
  const started = await startedBy(client, work)
  const names = started.map(({ commandName, command }) =>
    commandName === 'commitTransaction' ? 'commit' : `${commandName} ${command[commandName]}`,
  )
  return names.filter((name) => !name.startsWith('endSessions'))
}
