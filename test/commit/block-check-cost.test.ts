import { randomBytes } from 'node:crypto'
import { ObjectId } from 'mongodb'
import t from 'tap'
import { deadlineIn } from '../../src/lib/deadline.ts'
import { draftOf } from '../../src/send-message/draft.ts'
import { readFor } from '../../src/send-message/judge.ts'
import { startedBy } from '../support/commands.ts'
import { startFeature } from '../support/feature.ts'

/** Counted, not timed: what a block check reads must not grow with the square of a batch. */

const { client, db } = await startFeature(t, { monitorCommands: true })
const blocksOfEach = 1_000
// Random, so that what is looked for lies between what is blocked, and not beside all of it.
const randomId = (): ObjectId => new ObjectId(randomBytes(12))
const people = Array.from({ length: 512 }, randomId)

t.before(async () => {
  const blocks = people.flatMap((blockerId) =>
    Array.from({ length: blocksOfEach }, () => ({
      _id: new ObjectId(),
      blockerId,
      blockedId: randomId(),
    })),
  )
  for (let at = 0; at < blocks.length; at += 100_000) {
    await db.collection('blocks').insertMany(blocks.slice(at, at + 100_000), { ordered: false })
  }
})

/** Index keys that the block check of so many pairs looks at, by the server's own account. */
async function keysExamined(pairs: number): Promise<number> {
  const drafts = Array.from({ length: pairs }, (_, index) =>
    draftOf({
      sender: { userId: hexAt(2 * index), deviceId: new ObjectId().toHexString() },
      receiverId: hexAt(2 * index + 1),
      content: 'Hi',
      type: 'text',
      deadline: deadlineIn(10_000),
    }),
  )
  const started = await startedBy(client, () => readFor(db, drafts, { signal: AbortSignal.timeout(30_000) }))
  const { filter, projection } = started.find(({ command }) => command.find === 'blocks')?.command ?? {}
  const explained = await db.command({
    explain: { find: 'blocks', filter, projection },
    verbosity: 'executionStats',
  })
  return explained.executionStats.totalKeysExamined
}

function hexAt(index: number): string {
  return people[index % people.length]?.toHexString() ?? ''
}

t.test('256 pairs of people with 1,000 blocks each cost each what 16 pairs cost each', async (t) => {
  const few = await keysExamined(16)
  const many = await keysExamined(256)

  t.ok(few > 0, 'the index is used')
  t.ok(many / 256 <= 1.2 * (few / 16), `${many} keys for 256 pairs, ${few} for 16`)
})
