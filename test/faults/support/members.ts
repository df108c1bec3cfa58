import type { ChildProcess } from 'node:child_process'
import { type Db, MongoClient } from 'mongodb'
import { findMongod } from '../../../src/dev/mongod.ts'
import { isAlive } from '../../../src/dev/processes.ts'
import { startReplicaSet } from '../../../src/dev/replica-set.ts'
import { killChild, spawnBound } from './children.ts'
import { askPort, canAnswer, roleOf, within } from './member-commands.ts'

export interface Member {
  readonly name: string
  readonly port: number
}

/** Three members on this machine, with everything that can happen to one. */
export interface Members {
  uri(databaseName: string, options?: Record<string, string>): string
  readonly all: readonly Member[]
  /** Waits until there is one that can take writes. */
  primary(): Promise<Member>
  secondary(): Promise<Member>
  /** SIGKILL: no word to anybody, and nothing flushed. */
  kill(member: Member): Promise<void>
  /** On the data that it was killed on. Resolves when it answers. */
  restart(member: Member): Promise<void>
  /** SIGSTOP: its connections stay open, and nothing answers. */
  pause(member: Member): void
  resume(member: Member): void
  /** Asks the primary to hand over; it gives the former one. */
  stepDown(): Promise<Member>
  /** The fail point `failCommand` on every member, for the service's commands alone. */
  failCommand(mode: unknown, data: Record<string, unknown>): Promise<void>
  /** Gives how often it has struck. */
  mendCommands(): Promise<number>
  /** An administrator's command to one member. */
  ask(member: Member, command: Record<string, unknown>): Promise<Record<string, unknown>>
  /** Everybody runs, nothing fails on purpose, and what is written now reaches all. */
  heal(): Promise<void>
  stop(): Promise<void>
}

// Longer than a write to three members takes that are not behind.
const followTimeoutMs = 2_000
// Who steps down may not be elected for the first number: short, so that the next one can step down soon.
const stepDown = { replSetStepDown: 5, secondaryCatchUpPeriodSecs: 4 }
// All that a run stores: what is beyond it costs more for each message, the later the more.
const cacheGb = 2
// As `src/plugins/mongodb.ts` names its client.
const appName = 'private-message-service'

interface Running extends Member {
  pid: number
  argv: string[]
  /** Since its first restart it is a child of ours. */
  child?: ChildProcess
}

export async function startMembers(say: (line: string) => void): Promise<Members> {
  const binary = await findMongod({ env: process.env, say })
  const set = await startReplicaSet({ binary, members: 3, testCommands: true, cacheGb, say })
  const all: Running[] = []
  for (const { port, pid } of set.members) {
    const { argv } = await askPort(port, { getCmdLineOpts: 1 })
    all.push({ name: `member ${all.length}`, port, pid, argv: argv as string[] })
  }
  const running = (member: Member): Running => {
    const found = all.find(({ port }) => port === member.port)
    if (!found) throw new Error(`${member.name} is none of these`)
    return found
  }

  async function restart(member: Member): Promise<void> {
    const it = running(member)
    const [command = binary, ...args] = it.argv
    it.child = spawnBound(command, args, { stdio: 'ignore' })
    it.pid = it.child.pid ?? 0
    await within('a restarted member to answer', () => canAnswer(it.port))
  }

  const failCommandMode = async (mode: unknown, data: object): Promise<number> => {
    const command = { configureFailPoint: 'failCommand', mode, data }
    const replies = await Promise.all(all.map(({ port }) => askPort(port, command)))
    return replies.reduce((sum, { count }) => sum + Number(count), 0)
  }

  return {
    uri: (databaseName, options = {}) =>
      [set.uri(databaseName), ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(
        '&',
      ),
    all,
    primary: () => roleOf(all, 'primary'),
    secondary: () => roleOf(all, 'secondary'),
    async kill(member) {
      const it = running(member)
      if (it.child) return await killChild(it.child)
      process.kill(it.pid, 'SIGKILL')
      await within('a killed member to be gone', () => !isAlive(it.pid))
    },
    restart,
    pause: (member) => void process.kill(running(member).pid, 'SIGSTOP'),
    resume: (member) => void process.kill(running(member).pid, 'SIGCONT'),
    async stepDown() {
      let former: Running | undefined
      // Refused while nobody else may be elected: who stepped down lately, or lags behind.
      await within('the primary to step down', async () => {
        former = await roleOf(all, 'primary')
        return await askPort(former.port, stepDown, 10_000).then(
          () => true,
          () => false,
        )
      })
      if (!former) throw new Error('nobody stepped down')
      return former
    },
    async failCommand(mode, data) {
      await failCommandMode(mode, { appName, ...data })
    },
    mendCommands: () => failCommandMode('off', {}),
    ask: (member, command) => askPort(member.port, command),
    async heal() {
      for (const member of all) {
        if (!isAlive(member.pid)) await restart(member)
        else process.kill(member.pid, 'SIGCONT')
      }
      await within('every member to answer', async () =>
        (await Promise.all(all.map(({ port }) => canAnswer(port)))).every(Boolean),
      )
      await failCommandMode('off', {})
      await untilAllFollow(set.uri('admin'))
    },
    async stop() {
      for (const { child } of all) if (child) await killChild(child)
      await set.stop()
    },
  }
}

/** A write that every member has: nobody copies any more, and whoever has fallen back has caught up. */
async function untilAllFollow(uri: string): Promise<void> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: followTimeoutMs })
  try {
    await within('all members to follow', () => allHave(client.db('admin')))
  } finally {
    await client.close()
  }
}

async function allHave(db: Db): Promise<boolean> {
  const writeConcern = { w: 3, wtimeout: followTimeoutMs }
  const note = db.command({ appendOplogNote: 1, data: { note: 'all follow' }, writeConcern })
  return await note.then(
    () => true,
    () => false,
  )
}
