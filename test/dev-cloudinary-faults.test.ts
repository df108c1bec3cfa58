import t from 'tap'
import { startCloudinary } from '../src/dev/cloudinary/server.ts'

t.test('an answer that drips before the deed never ends, and nothing is done', async (t) => {
  const standIn = await startCloudinary()
  t.teardown(() => standIn.close())
  standIn.put({ publicId: 'temp/a', resourceType: 'image' })
  standIn.faults.on(() => true, { kind: 'drip', everyMs: 1, when: 'before' })

  const form = new URLSearchParams({ from_public_id: 'temp/a', to_public_id: 'messages/a' })
  const response = await fetch(`${standIn.baseUrl}/v1_1/demo/image/rename`, { method: 'POST', body: form })
  const bytes: number[] = []
  for await (const chunk of response.body ?? []) {
    bytes.push(...chunk)
    // More than any answer has.
    if (bytes.length > 1_000) break
  }

  t.equal(response.status, 200)
  t.ok(bytes.length > 1_000)
  t.strictSame([...new Set(bytes)], [0x20])
  t.strictSame(
    standIn.list().map(({ publicId }) => publicId),
    ['temp/a'],
  )
})
