import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { PromotionDeps } from './promote-media.ts'
import type { SweepCounts } from './sweep-media.ts'
import type { Turns } from './turns.ts'

export interface Meters {
  onBatch(size: number): void
  onPromotion: PromotionDeps['onPromotion']
  onSweep(counts: SweepCounts): void
}

/** The feature's own metrics; those of its answers are counted where all answers are. */
export function createMeters(registry: Registry, turns: Pick<Turns, 'waiting'>): Meters {
  const registers = [registry]
  const batches = new Histogram({
    name: 'messages_batch_size',
    help: 'Messages that went into one attempt of a transaction',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  })
  new Gauge({
    name: 'messages_waiting_connections',
    help: 'Connections that are read again when it is their turn',
    collect() {
      this.set(turns.waiting)
    },
    registers,
  })
  const promotions = new Counter({
    name: 'media_promotions_total',
    help: 'Media items, by what became of them: promoted, failed, undone, undo_failed (the sweeper goes on)',
    labelNames: ['outcome'],
    registers,
  })
  // From the start, so that their first increase can be seen.
  for (const outcome of ['promoted', 'failed', 'undone', 'undo_failed']) promotions.inc({ outcome }, 0)
  const sweeps = new Counter({
    name: 'media_swept_total',
    help: 'Media records that the sweeper took up, by result: undone, closed, failed (looked at again later)',
    labelNames: ['result'],
    registers,
  })
  for (const result of ['undone', 'closed', 'failed']) sweeps.inc({ result }, 0)
  return {
    onBatch: (size) => batches.observe(size),
    onPromotion: (outcome) => promotions.inc({ outcome }),
    onSweep(counts) {
      for (const [result, count] of Object.entries(counts)) sweeps.inc({ result }, count)
    },
  }
}
