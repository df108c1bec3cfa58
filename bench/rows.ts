import type { Load } from './load.ts'

export type Target = 'ceiling' | 'ceiling-eddsa' | 'one-at-a-time' | 'service' | 'service-2' | 'service-eddsa'

export interface Row {
  name: string
  target: Target
  load: Pick<Load, 'connections' | 'pairs' | 'keys' | 'contentLength'>
  /** Uploads to make before each round; 0 for texts. */
  media: number
  /** Measured by `--quick`, too: what the goals look at, and the longest texts. */
  quick: boolean
}

const text = { pairs: 'contacts', keys: false, contentLength: 60 } as const

function row(
  name: string,
  target: Target,
  load: Partial<Row['load']> & { connections: number },
  more: Partial<Row> = {},
): Row {
  return { name, target, load: { ...text, ...load }, media: 0, quick: false, ...more }
}

const quick = { quick: true }

/** What is measured, in the order of each round. */
export const rows: readonly Row[] = [
  row('ceiling, 64', 'ceiling', { connections: 64 }, quick),
  row('service, 64', 'service', { connections: 64 }, quick),
  row('ceiling, 256', 'ceiling', { connections: 256 }, quick),
  row('one at a time, 256', 'one-at-a-time', { connections: 256 }, quick),
  row('service, 256', 'service', { connections: 256 }, quick),
  row('service, 256, one chat', 'service', { connections: 256, pairs: 'one-chat' }, quick),
  row('one at a time, 1', 'one-at-a-time', { connections: 1 }, quick),
  row('service, 1', 'service', { connections: 1 }, quick),
  row('2 processes, 256, one chat', 'service-2', { connections: 256, pairs: 'one-chat' }, quick),
  row('service, 256, longest', 'service', { connections: 256, contentLength: 4096 }, quick),
  row('ceiling, 1', 'ceiling', { connections: 1 }),
  row('ceiling, 16', 'ceiling', { connections: 16 }),
  row('ceiling, 1024', 'ceiling', { connections: 1024 }),
  row('one at a time, 16', 'one-at-a-time', { connections: 16 }),
  row('one at a time, 64', 'one-at-a-time', { connections: 64 }),
  row('one at a time, 256, one chat', 'one-at-a-time', { connections: 256, pairs: 'one-chat' }),
  row('service, 16', 'service', { connections: 16 }),
  row('service, 1024', 'service', { connections: 1024 }),
  row('service, 256, first messages', 'service', { connections: 256, pairs: 'first-messages' }),
  row('service, 256, keys', 'service', { connections: 256, keys: true }),
  row('service, 256, blockers', 'service', { connections: 256, pairs: 'blockers' }),
  row('service, 64, one image each', 'service', { connections: 64 }, { media: 4000 }),
  row('2 processes, 256', 'service-2', { connections: 256 }),
  row('ceiling, 256, EdDSA', 'ceiling-eddsa', { connections: 256 }),
  row('service, 256, EdDSA', 'service-eddsa', { connections: 256 }),
]

/** Never measured: `warm-up.ts`. */
export const everyContact = row('every contact', 'service', { connections: 256, pairs: 'every-contact' })

/** What `--growth` measures at each size, and `--memory` for minutes. */
export const knownPairs = row('known pairs', 'service', { connections: 256 })
export const bursts = row('bursts of ten', 'service', { connections: 256, pairs: 'bursts' })
export const firstMessages = row('first messages', 'service', { connections: 256, pairs: 'first-messages' })
export const ceiling = row('ceiling', 'ceiling', { connections: 256 })
