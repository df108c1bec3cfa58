import { readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isAlive } from './processes.ts'

/** The owner's process id follows, then something random. */
export const dataFolderPrefix = 'private-message-service-mongo-'

/** What a process left that was killed: some 300 MB a member, which nobody else would ever remove. */
export async function removeAbandonedDataFolders(): Promise<void> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(dataFolderPrefix))
  await Promise.all(names.map(removeIfAbandoned))
}

async function removeIfAbandoned(name: string): Promise<void> {
  const owner = Number.parseInt(name.slice(dataFolderPrefix.length), 10)
  const folder = join(tmpdir(), name)
  if (!(owner > 0) || isAlive(owner) || (await isInUse(folder))) return

  // Another user's folder can't be removed: that is theirs to do.
  await rm(folder, { recursive: true, force: true }).catch(() => undefined)
}

/** A mongod can outlive its parent for some seconds; while it runs, its id is in its lock file. */
async function isInUse(folder: string): Promise<boolean> {
  const members = await readdir(folder).catch(() => [])
  const inUse = await Promise.all(members.map((member) => isMemberRunning(folder, member)))
  return inUse.includes(true)
}

async function isMemberRunning(folder: string, member: string): Promise<boolean> {
  const lock = await readFile(join(folder, member, 'mongod.lock'), 'utf8').catch(() => '')
  const pid = Number.parseInt(lock, 10)
  if (!(pid > 0) || !isAlive(pid)) return false

  // After a crash the id may by now be somebody else's. Where there is no /proc to tell, the folder stays.
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => folder)
  return commandLine.includes(folder)
}
