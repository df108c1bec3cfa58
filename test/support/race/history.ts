/** What happened, by one monotonic clock: of the process that both asked and was answered. */
export interface Send {
  readonly name: string
  readonly beganAt: number
  /** When its answer had come. */
  readonly endedAt: number
  readonly code: string
  /** By what the database has at the end, whatever was answered. */
  readonly isStored: boolean
}

/** Something that forbids messages: a block, a suspension, a device's distrust. */
export interface Bar {
  readonly beganAt: number
  /** When a majority was known to have it. */
  readonly acknowledgedAt: number
  /** From when it may no longer be there, and when a majority was known to have it no more; infinite where it stays. */
  readonly liftedFrom: number
  readonly goneAt: number
  /** What is answered to whom it bars. */
  readonly code: string
}

/** The one refusal that may hide a stored message. */
const unknown = 'DATABASE_UNAVAILABLE'

/**
 * The sends for which a history cannot be explained: stored though the whole request lay within an acknowledged bar, refused
 * for a bar that was not there at any time of the request, or answered with something that is not so.
 */
export function unexplained(sends: readonly Send[], bars: readonly Bar[]): string[] {
  return sends.flatMap((send) => {
    const barred = bars.find((bar) => bar.acknowledgedAt < send.beganAt && send.endedAt < bar.liftedFrom)
    if (barred && send.isStored) return [`${send.name} was stored, and is barred by ${barred.code}`]
    if (send.code === 'OK') return send.isStored ? [] : [`${send.name} was acknowledged, and is not stored`]
    if (send.code === unknown) return []
    if (send.isStored) return [`${send.name} was refused with ${send.code}, and is stored`]
    const causes = bars.filter((bar) => bar.beganAt < send.endedAt && send.beganAt < bar.goneAt)
    return causes.some(({ code }) => code === send.code) ? [] : [`${send.name} was refused with ${send.code}`]
  })
}
