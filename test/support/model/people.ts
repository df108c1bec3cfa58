import fc from 'fast-check'
import { type Command, command, name } from './commands.ts'
import type { Name, Status } from './state.ts'

function blocks(blocker: Name, blocked: Name): Command {
  return command(
    `${blocker} blocks ${blocked}`,
    async (model, { people }) => {
      await people[blocker].blocks(people[blocked])
      model.blocks.add(`${blocker} ${blocked}`)
    },
    (model) => !model.blocks.has(`${blocker} ${blocked}`),
  )
}

/** One of the blocks that there are. */
function unblocks(pick: number): Command {
  return command(
    `block ${pick} is lifted`,
    async (model, { people, services: [{ db }] }) => {
      const all = [...model.blocks]
      const block = all[pick % all.length] ?? ''
      const [blocker, blocked] = block.split(' ') as [Name, Name]
      const pair = { blockerId: people[blocker].id, blockedId: people[blocked].id }
      await db.collection('blocks').deleteOne(pair, { writeConcern: { w: 'majority' } })
      model.blocks.delete(block)
    },
    ({ blocks }) => blocks.size > 0,
  )
}

function becomes(who: Name, status: Status): Command {
  return command(`${who} becomes ${status}`, async (model, { people }) => {
    await people[who].becomes(status)
    model.statuses[who] = status
  })
}

function trusts(who: Name, trusted: boolean): Command {
  return command(`${who}’s device becomes ${trusted ? 'trusted' : 'distrusted'}`, async (model, real) => {
    const change = { $set: { trusted } }
    const options = { writeConcern: { w: 'majority' } } as const
    await real.services[0].db
      .collection('devices')
      .updateOne({ _id: real.people[who].deviceId }, change, options)
    model.trusted[who] = trusted
  })
}

/** What people and their devices become. More of it is taken back than done, so that most messages go. */
export const commandsOfPeople: fc.Arbitrary<Command>[] = [
  fc.tuple(name, name).map((of) => blocks(...of)),
  fc.nat({ max: 5 }).map((pick) => unblocks(pick)),
  fc
    .tuple(name, fc.constantFrom<Status[]>('active', 'active', 'active', 'suspended', 'inactive', 'deleted'))
    .map((of) => becomes(...of)),
  fc.tuple(name, fc.constantFrom(true, true, true, false)).map((of) => trusts(...of)),
]
