import { type MeasureDeps, measure } from './measure.ts'
import { everyContact, type Target } from './rows.ts'

// Until its code is compiled, and a process of the service knows the tokens and the 50,000 chats of 10,000 people.
const serviceMs = 12_000
// Nothing but the code: the others remember no chats.
const otherMs = 3_000

/**
 * Before anything of a server counts: measured from its first message on, it is the start that is measured, and who stands
 * last in the round fares best. What it stores is looked up as in any row.
 */
export async function warmUp(deps: MeasureDeps, target: Target): Promise<void> {
  const warmUpMs = target.startsWith('service') ? serviceMs : otherMs
  await measure(
    { ...deps, warmUpMs, durationMs: 0 },
    { ...everyContact, target, name: `warm-up ${target}` },
    0,
  )
}
