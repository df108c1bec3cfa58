import t from 'tap'
import { picture, promotionOf, undoOf } from '../support/media.ts'
import { startService } from '../support/service.ts'

const service = await startService(t)
const { storage } = service

async function counted(): Promise<Record<string, number>> {
  const { body } = await service.app.inject('/metrics')
  const lines = body.matchAll(/^media_promotions_total\{outcome="(\w+)"\} (\d+)$/gm)
  return Object.fromEntries([...lines].map(([, outcome, count]) => [outcome, Number(count)]))
}

t.test('an undo is counted by whether the asset is back', async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  const ids = [alice.uploads('image'), alice.uploads('image'), alice.uploads('image')] as const
  const before = await counted()

  const mend = storage.faults.on(promotionOf(ids[1]), { kind: 'status', status: 400 })
  await alice.sends(bob, picture(...ids))
  const undone = await counted()
  const mendUndo = storage.faults.on(undoOf(ids[0]), { kind: 'status', status: 403 })
  await alice.sends(bob, picture(...ids))
  const failed = await counted()
  mend()
  mendUndo()

  const more = (one: Record<string, number>, other: Record<string, number>, outcome: string): number =>
    (other[outcome] ?? Number.NaN) - (one[outcome] ?? Number.NaN)
  t.strictSame([more(before, undone, 'undone'), more(before, undone, 'undo_failed')], [3, 0])
  t.strictSame([more(undone, failed, 'undone'), more(undone, failed, 'undo_failed')], [2, 1])
})
