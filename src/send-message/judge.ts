import { type Db, ObjectId } from 'mongodb'
import type { BlockDocument, DeviceDocument, MessageDocument, UserDocument } from '../collections.ts'
import {
  AccountInactive,
  AccountSuspended,
  BlockedRelationship,
  DeviceNotTrusted,
  IdempotencyKeyReused,
  ReceiverNotFound,
  type Refusal,
} from '../errors.ts'
import { type CommandOptions, findAll } from './commands.ts'
import type { Draft } from './draft.ts'
import type { Outcome } from './entry.ts'

/** What was read for some drafts at one moment. Admission and commit judge by the same reads with the same code. */
export interface Reads {
  readonly users: ReadonlyMap<string, UserDocument['status']>
  readonly devices: ReadonlyMap<string, DeviceDocument>
  /** `<blocker>:<blocked>` for each block between two people of one draft, and others. */
  readonly blocks: ReadonlySet<string>
  /** Stored messages by what their client called them. */
  readonly finished: ReadonlyMap<string, MessageDocument>
}

/** To be stored, or what it comes to without. */
export type Verdict = { kind: 'admitted' } | Decided
type Decided = Exclude<Outcome, { kind: 'stored' }>

/**
 * Pairs of people or keys that one branch of an `$or` covers, as `$in × $in`. One branch over all is quadratic where many
 * of the people have many blocks (256 pairs: 59 ms against 9), a branch for each pair costs the planner more.
 */
const pairsPerBranch = 8

/**
 * Everything that the checks look at, for all drafts together: three commands, and one more where there are keys. Inside a
 * transaction the server takes one command at a time; accounts and devices are read with `people`, beside it, where the
 * caller can prove what that needs. They are read after the first command of the transaction, never before.
 */
export async function readFor(
  db: Db,
  drafts: readonly Draft[],
  options: CommandOptions,
  people: CommandOptions = options,
): Promise<Reads> {
  const blocks = await readBlocks(db, drafts, options)
  if (people.session) {
    const users = await readUsers(db, drafts, people)
    const devices = await readDevices(db, drafts, people)
    return { users, devices, blocks, finished: await readFinished(db, drafts, options) }
  }
  const beside = Promise.all([readUsers(db, drafts, people), readDevices(db, drafts, people)])
  // Waited for below, unless the read in the transaction fails first.
  beside.catch(() => {})
  const finished = await readFinished(db, drafts, options)
  const [users, devices] = await beside
  return { users, devices, blocks, finished }
}

/** A draft's own verdict among others': data that no check expects, in one account or device, fails that draft alone. */
export function judgeOne(reads: Reads, draft: Draft): Verdict {
  try {
    return judge(reads, draft)
  } catch (cause) {
    return { kind: 'failed', cause }
  }
}

/** Account, device, finished repeat, receiver, blocks: in this order. */
export function judge(reads: Reads, draft: Draft): Verdict {
  const senderStatus = reads.users.get(draft.senderId)
  if (senderStatus === 'suspended') return refused(new AccountSuspended())
  if (senderStatus !== 'active') return refused(new AccountInactive())

  const device = reads.devices.get(draft.deviceId)
  if (device?.trusted !== true || device.userId?.toHexString() !== draft.senderId)
    return refused(new DeviceNotTrusted())

  const finished = reads.finished.get(nameOf(draft))
  if (finished) return judgeFinished(finished, draft)

  const { senderId, receiverId } = draft
  if (!reads.users.has(receiverId) || reads.users.get(receiverId) === 'deleted')
    return refused(new ReceiverNotFound())

  const { blocks } = reads
  if (blocks.has(`${senderId}:${receiverId}`) || blocks.has(`${receiverId}:${senderId}`)) {
    return refused(new BlockedRelationship())
  }
  return { kind: 'admitted' }
}

/** A message that has the draft's key: the draft's own earlier try, or another one's. */
export function judgeFinished(message: MessageDocument, draft: Draft): Decided {
  return message.idempotency?.digest === draft.idempotency?.digest
    ? { kind: 'replayed', message }
    : refused(new IdempotencyKeyReused())
}

/** What a client calls its message: unique where there is a key, and empty where there is none. */
export function nameOf({ conversationId, senderId, idempotency }: Draft): string {
  return idempotency ? `${conversationId.toHexString()}:${senderId}:${idempotency.key}` : ''
}

function refused(refusal: Refusal): Decided {
  return { kind: 'refused', refusal }
}

async function readUsers(db: Db, drafts: readonly Draft[], options: CommandOptions): Promise<Reads['users']> {
  const ids = objectIds(drafts.flatMap(({ senderId, receiverId }) => [senderId, receiverId]))
  const query = { find: 'users', filter: { _id: { $in: ids } }, projection: { status: 1 } }
  const users = await findAll<UserDocument>(db, query, options)
  return new Map(users.map(({ _id, status }) => [_id.toHexString(), status]))
}

async function readDevices(
  db: Db,
  drafts: readonly Draft[],
  options: CommandOptions,
): Promise<Reads['devices']> {
  const ids = objectIds(drafts.map(({ deviceId }) => deviceId))
  const query = { find: 'devices', filter: { _id: { $in: ids } }, projection: { userId: 1, trusted: 1 } }
  const devices = await findAll<DeviceDocument>(db, query, options)
  return new Map(devices.map((device) => [device._id.toHexString(), device]))
}

async function readBlocks(
  db: Db,
  drafts: readonly Draft[],
  options: CommandOptions,
): Promise<Reads['blocks']> {
  const branches = inBranches(drafts, (some) => {
    const ids = objectIds(some.flatMap(({ senderId, receiverId }) => [senderId, receiverId]))
    return { blockerId: { $in: ids }, blockedId: { $in: ids } }
  })
  const query = { find: 'blocks', filter: branches, projection: { _id: 0, blockerId: 1, blockedId: 1 } }
  const blocks = await findAll<BlockDocument>(db, query, options)
  return new Set(
    blocks.map(({ blockerId, blockedId }) => `${blockerId.toHexString()}:${blockedId.toHexString()}`),
  )
}

async function readFinished(
  db: Db,
  drafts: readonly Draft[],
  options: CommandOptions,
): Promise<Reads['finished']> {
  const keyed = drafts.filter(({ idempotency }) => idempotency !== undefined)
  if (keyed.length === 0) return new Map()
  const branches = inBranches(keyed, (some) => ({
    conversationId: { $in: some.map(({ conversationId }) => conversationId) },
    senderId: { $in: objectIds(some.map(({ senderId }) => senderId)) },
    'idempotency.key': { $in: some.map(({ idempotency }) => idempotency?.key) },
  }))
  const messages = await findAll<MessageDocument>(db, { find: 'messages', filter: branches }, options)
  return new Map(
    messages.map((message) => {
      const { conversationId, senderId, idempotency } = message
      return [`${conversationId.toHexString()}:${senderId.toHexString()}:${idempotency?.key}`, message]
    }),
  )
}

function inBranches(drafts: readonly Draft[], branch: (some: readonly Draft[]) => object): object {
  const branches: object[] = []
  for (let at = 0; at < drafts.length; at += pairsPerBranch)
    branches.push(branch(drafts.slice(at, at + pairsPerBranch)))
  return { $or: branches }
}

function objectIds(hexes: readonly string[]): ObjectId[] {
  return [...new Set(hexes)].map((hex) => ObjectId.createFromHexString(hex))
}
