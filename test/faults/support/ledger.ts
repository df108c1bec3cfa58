/** What the clients know: one entry a message, whatever became of it. */
export interface Entry {
  /** The message's content, which no other has. */
  readonly mark: string
  readonly kind: MessageKind
  readonly key: string | undefined
  readonly senderId: string
  readonly receiverId: string
  readonly mediaIds: readonly string[]
  /** The first try, by the monotonic clock. */
  readonly sentAtMs: number
  /** The id in its 200. */
  acknowledged?: string
  acknowledgedAtMs?: number
  /** The code of its last answer that said that nothing was stored. */
  refused?: string
  /** Tries that were answered with 503. */
  unavailable: number
  /** The last answer: somebody else, or its own first try, still has its uploads or its key. */
  isHeld: boolean
  /** An answer said that it may be stored, or no answer came: only a repeat with its key tells. */
  unknown: boolean
}

export type Draft = Omit<Entry, 'unknown' | 'unavailable' | 'isHeld' | 'sentAtMs'>

export type MessageKind =
  | 'text'
  | 'hot'
  | 'first'
  | 'media'
  /** Without a key and without a repeat, as a careless client sends it. */
  | 'once'
  | 'media once'
  | 'blocked'
  | 'unknown receiver'
  | 'bad token'

/** Kinds that the service must refuse, always. */
export const refusedKinds: ReadonlySet<MessageKind> = new Set(['blocked', 'unknown receiver', 'bad token'])

export interface Ledger {
  readonly entries: readonly Entry[]
  /** Times of the 200s, by the monotonic clock. */
  readonly acknowledgedAtMs: readonly number[]
  readonly tries: Tries
  open(entry: Draft): Entry
  acknowledge(entry: Entry, id: string): void
}

/** Counted by try, not by message. */
export interface Tries {
  unanswered: number
  unavailable: number
  /** By status and code. */
  answers: Record<string, number>
  /** From the request to its answer: the slowest. */
  slowestMs: number
}

export function openLedger(): Ledger {
  const entries: Entry[] = []
  const acknowledgedAtMs: number[] = []
  return {
    entries,
    acknowledgedAtMs,
    tries: { unanswered: 0, unavailable: 0, answers: {}, slowestMs: 0 },
    open(entry) {
      const opened: Entry = {
        ...entry,
        sentAtMs: performance.now(),
        unavailable: 0,
        isHeld: false,
        unknown: false,
      }
      entries.push(opened)
      return opened
    },
    acknowledge(entry, id) {
      entry.acknowledged = id
      entry.acknowledgedAtMs = performance.now()
      acknowledgedAtMs.push(entry.acknowledgedAtMs)
    },
  }
}
