import { type Members, startMembers } from './members.ts'
import type { Progress } from './progress.ts'
import { buildService, type Services } from './services.ts'

/** What every scenario stands on: a set of three members, and the service, compiled. */
export interface Floor {
  members: Members
  services: Services
  clear(): Promise<void>
}

/** Also an interrupt clears it. */
export async function layFloor(progress: Progress): Promise<Floor> {
  progress.say('compiling the service, starting three members')
  const services = await buildService()
  const members = await startMembers(progress.say)
  const clear = async (): Promise<void> => {
    await members.stop()
    await services.remove()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void clear().finally(() => process.exit(1)))
  }
  return { members, services, clear }
}
