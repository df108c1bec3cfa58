import type { Dice } from './dice.ts'

/**
 * Virtual time. What happens is an event at a time; the next event follows at once, whatever time lies between them. Each
 * event is an immediate of its own, because Node carries out all microtasks between two of them: so whatever the event has
 * woken has come to its next `await` of the world before the next event.
 */
export interface Timeline {
  /** Milliseconds since the run began. */
  readonly nowMs: number
  /** Something in the world: at the storage, the database, or a client. */
  after(ms: number, happen: () => void): void
  /** Something that an instance sees: later while it stands still, never once it was killed. */
  wake(instance: Instance, ms: number, see: () => void): { cancel(): void }
  /** Carries out the next event; `false` when there is none. */
  step(): boolean
}

/** A process, as far as time goes. */
export interface Instance {
  readonly name: string
  /** Monotonic milliseconds, from a beginning of its own. */
  clock(): number
  isKilled: boolean
  stoodStillFromMs: number
  standsStillUntilMs: number
}

interface Event {
  atMs: number
  order: number
  instance: Instance | undefined
  happen(): void
}

/** `befall` may kill an instance, or let it stand still, at the moment when it would go on. */
export function createTimeline(befall: (instance: Instance) => void): Timeline {
  // The next event last; there are few at a time.
  const events: Event[] = []
  let nowMs = 0
  let order = 0

  function insert(event: Event): void {
    let at = events.length
    for (; at > 0; at -= 1) {
      const later = events[at - 1]
      if (later && (later.atMs > event.atMs || (later.atMs === event.atMs && later.order > event.order)))
        break
    }
    events.splice(at, 0, event)
  }

  function add(instance: Instance | undefined, ms: number, happen: () => void): Event {
    const event = { atMs: nowMs + Math.max(0, ms), order, instance, happen }
    order += 1
    insert(event)
    return event
  }

  const timeline: Timeline = {
    get nowMs() {
      return nowMs
    },
    after: (ms, happen) => void add(undefined, ms, happen),
    wake(instance, ms, see) {
      const event = add(instance, ms, see)
      return {
        cancel() {
          const at = events.indexOf(event)
          if (at >= 0) events.splice(at, 1)
        },
      }
    },
    step() {
      const event = events.pop()
      if (!event) return false
      nowMs = event.atMs
      const { instance } = event
      current = undefined
      if (instance) {
        befall(instance)
        if (instance.isKilled) return true
        if (instance.standsStillUntilMs > nowMs) {
          event.atMs = instance.standsStillUntilMs
          insert(event)
          return true
        }
        current = { timeline, instance }
      }
      event.happen()
      return true
    },
  }
  return timeline
}

/**
 * An answer reaches its caller, unless the caller gives up before. Who stood still past both finds both when it goes on:
 * either may be the first that it sees.
 */
export function answerWithin(
  { timeline, dice }: { timeline: Timeline; dice: Dice },
  instance: Instance,
  { answerInMs, limitMs }: { answerInMs: number; limitMs: number },
  { answer, giveUp }: { answer(): void; giveUp(): void },
): void {
  const limitAtMs = timeline.nowMs + limitMs
  if (answerInMs >= limitMs) timeline.wake(instance, limitMs, giveUp)
  else
    timeline.wake(instance, answerInMs, () =>
      timeline.nowMs > limitAtMs && dice.chance(0.5) ? giveUp() : answer(),
    )
}

/** What a stand-in for `AbortSignal.timeout` tells the simulated database. */
export interface TimeLimit {
  readonly limitMs: number
}

/** In whose time the code under test runs just now. */
let current: { timeline: Timeline; instance: Instance } | undefined

// Enough that the event loop's own round costs nothing beside them.
const eventsPerRound = 256

/** Carries out steps until there are no more, with Node's timers and clocks those of the instance that is awake. */
export async function drive(step: () => boolean): Promise<void> {
  const giveBack = replaceClocks()
  try {
    await new Promise<void>((resolve, reject) => {
      let isOver = false
      function one(): void {
        if (isOver) return
        try {
          isOver = !step()
        } catch (error) {
          isOver = true
          reject(error)
        }
      }
      function round(): void {
        current = undefined
        if (isOver) resolve()
        else again()
      }
      function again(): void {
        for (let count = 0; count < eventsPerRound; count += 1) setImmediate(one)
        setImmediate(round)
      }
      round()
    })
  } finally {
    current = undefined
    giveBack()
  }
}

function replaceClocks(): () => void {
  const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout } = globalThis
  const realTimeout = AbortSignal.timeout
  const realNow = performance.now
  const realDate = Date.now
  const { stackTraceLimit } = Error
  const timers = new WeakSet<object>()

  function setVirtualTimeout(see: (...values: unknown[]) => void, ms = 0, ...values: unknown[]): object {
    if (!current) return realSetTimeout(see, ms, ...values)
    const { cancel } = current.timeline.wake(current.instance, ms, () => see(...values))
    const timer = { cancel, unref: () => timer, ref: () => timer }
    timers.add(timer)
    return timer
  }
  function clearVirtualTimeout(timer: NodeJS.Timeout | undefined): void {
    if (timer && timers.has(timer)) (timer as unknown as { cancel(): void }).cancel()
    else realClearTimeout(timer)
  }

  // The types of Node's own say more than the code under test asks for.
  globalThis.setTimeout = setVirtualTimeout as unknown as typeof setTimeout
  globalThis.clearTimeout = clearVirtualTimeout as unknown as typeof clearTimeout
  AbortSignal.timeout = (ms) => ({ limitMs: ms }) satisfies TimeLimit as unknown as AbortSignal
  // A wall clock that never gains on an instance's own: what an instance sleeps is in that already.
  Date.now = () => (current ? 0 : realDate())
  performance.now = () => (current ? current.instance.clock() : realNow.call(performance))
  // Refusals are errors, and nobody looks at where they were made.
  Error.stackTraceLimit = 0
  return () => {
    Error.stackTraceLimit = stackTraceLimit
    globalThis.setTimeout = realSetTimeout
    globalThis.clearTimeout = realClearTimeout
    AbortSignal.timeout = realTimeout
    performance.now = realNow
    Date.now = realDate
  }
}
