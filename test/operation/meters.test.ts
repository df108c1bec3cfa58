import { Registry } from 'prom-client'
import t from 'tap'
import { createMeters, type Meters } from '../../src/send-message/meters.ts'

/** The lines of the feature's metrics, after something was counted. */
async function told(count: (meters: Meters) => void): Promise<string[]> {
  const registry = new Registry()
  count(createMeters(registry, { waiting: 3 }))
  return (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

t.test('what can be counted is told from the start, so that its first increase is seen', async (t) => {
  const lines = await told(() => {})

  t.same(
    lines.filter((line) => !line.startsWith('messages_batch_size')),
    [
      'messages_waiting_connections 3',
      'media_promotions_total{outcome="promoted"} 0',
      'media_promotions_total{outcome="failed"} 0',
      'media_promotions_total{outcome="undone"} 0',
      'media_promotions_total{outcome="undo_failed"} 0',
      'media_swept_total{result="undone"} 0',
      'media_swept_total{result="closed"} 0',
      'media_swept_total{result="failed"} 0',
    ],
  )
})

t.test('each is counted under its name', async (t) => {
  const lines = await told(({ onBatch, onPromotion, onSweep }) => {
    for (const size of [1, 256, 257]) onBatch(size)
    onPromotion('undo_failed')
    onSweep({ undone: 5, closed: 6, failed: 7 })
  })

  const buckets = [1, 2, 4, 8, 16, 32, 64, 128].map((le) => `messages_batch_size_bucket{le="${le}"} 1`)
  t.same(
    lines.filter((line) => line.startsWith('messages_batch_size_bucket')),
    [...buckets, 'messages_batch_size_bucket{le="256"} 2', 'messages_batch_size_bucket{le="+Inf"} 3'],
  )
  t.ok(lines.includes('media_promotions_total{outcome="undo_failed"} 1'))
  t.same(
    lines.filter((line) => line.startsWith('media_swept_total')),
    [
      'media_swept_total{result="undone"} 5',
      'media_swept_total{result="closed"} 6',
      'media_swept_total{result="failed"} 7',
    ],
  )
})
