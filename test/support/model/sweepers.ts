import fc from 'fast-check'
import { latch, letTimePass, undoOf } from '../media.ts'
import { type Command, command, instance, messageOf, sendNow, type Wish, wishWithMedia } from './commands.ts'
import { canBeHeld } from './races.ts'
import { ask, equal, landLate, type Real, sweepAll, sweepOn } from './service.ts'
import { type Model, type ModelMessage, mayLand, type StorageFault, sweep } from './state.ts'

/** A message whose first upload fails, and whose uploads are back; now it is time for the sweepers to look. */
async function failAndWait(
  model: Model,
  real: Real,
  { message, at, first }: { message: ModelMessage; at: number; first: StorageFault['first'] },
): Promise<void> {
  await sendNow(model, real, message, at, { first, back: 'answered' })
  await letTimePass(real.services[0].db, ...real.uploads)
}

/** All sweep what is due now, with no more time gone. */
async function sweepDue(model: Model, real: Real): Promise<void> {
  await sweepAll(real, 'early')
  sweep(model)
}

/** Nobody else may have an upload whose way back is under way, neither its sender nor another sweeper. */
function sweeperMovesBack(of: Wish, at: number): Command {
  return command(
    `while a sweeper looks for what is left of ${JSON.stringify(of)}: all sweep, another asks`,
    async (model, real) => {
      const message = messageOf(model, of)
      await failAndWait(model, real, { message, at, first: 'refused' })
      const [{ storage }] = real.services
      const [id = ''] = message.media.map((index) => real.uploads[index])
      const { until, open } = latch()
      storage.faults.on(undoOf(id), { kind: 'hold', until, when: 'before' }, { times: 1 })
      const begun = storage.nextRequest(undoOf(id))
      const sweeping = sweepAll(real, 'early')
      await begun
      try {
        await Promise.all(real.services.map((service) => sweepOn(service)))
        equal((await ask(real, message, at + 1)).code, 'REQUEST_IN_PROGRESS')
      } finally {
        open()
      }
      await sweeping
      await sweepDue(model, real)
    },
    (model) => canBeHeld(model, messageOf(model, of)),
  )
}

type Meanwhile = 'its sender sends it' | 'others sweep, and it fails again'

/** What a sweeper has found may be somebody else's, or something else, when it comes to it. */
function sweeperComesLate(of: Wish, at: number, meanwhile: Meanwhile): Command {
  return command(
    `before a sweeper takes what it has found of ${JSON.stringify(of)}: ${meanwhile}`,
    async (model, real) => {
      const message = messageOf(model, of)
      await failAndWait(model, real, { message, at, first: 'refused' })
      await sweepOn(real.services[at === 0 ? 0 : 1], () =>
        meanwhiles[meanwhile](model, real, message, at + 1),
      )
      await sweepDue(model, real)
      for (const index of message.media) await landAndSweep(model, real, index)
    },
    (model) => canBeHeld(model, messageOf(model, of)),
  )
}

type During = (model: Model, real: Real, message: ModelMessage, at: number) => Promise<void>

const meanwhiles: Record<Meanwhile, During> = {
  'its sender sends it': sendNow,
  async 'others sweep, and it fails again'(model, real, message, at) {
    await sweepDue(model, real)
    await failAndWait(model, real, { message, at, first: 'cut before' })
  },
}

async function landAndSweep(model: Model, real: Real, index: number): Promise<void> {
  const upload = model.uploads[index]
  if (!upload || !mayLand(upload)) return
  await landLate(model, real, index)
  await sweepAll(real, 'due')
  sweep(model)
}

function landsLate(): Command {
  return command(
    'a promotion lands late',
    async (model, real) => await landLate(model, real, model.uploads.findIndex(mayLand)),
    ({ uploads }) => uploads.some(mayLand),
  )
}

const meanwhile = fc.constantFrom(...(Object.keys(meanwhiles) as Meanwhile[]))

/** What others do while a sweeper is at work, and what it has to find. */
export const commandsOfSweepers: fc.Arbitrary<Command>[] = [
  fc.tuple(wishWithMedia, instance).map((of) => sweeperMovesBack(...of)),
  fc.tuple(wishWithMedia, instance, meanwhile).map((of) => sweeperComesLate(...of)),
  fc.tuple(wishWithMedia, instance, meanwhile).map((of) => sweeperComesLate(...of)),
  fc.constant(landsLate()),
]
