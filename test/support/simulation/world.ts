import { createDice, type Dice } from './dice.ts'
import { createTimeline, type Instance, type Timeline } from './time.ts'

/** What the protocol relies on, taken away: each must lead to violations, or the simulation sees nothing. */
export type Break =
  /** Updates find their record whoever holds it. */
  | 'updates ignore tokens'
  /** The settlement takes the record's holder for its own. */
  | 'settlement ignores tokens'
  /** Leases end as they begin. */
  | 'no leases'
  /** What stood still believes that no time has passed. */
  | 'clocks stand still, too'
  /** Undone uploads are due at once. */
  | 'no quiet time'
  /** An unanswered call back bars nobody from promoting. */
  | 'directions change'
  /** No record that is attached is due to anybody. */
  | 'attached is out of sight'

/** Chances, for each call, command and step. */
export interface Weather {
  callLate: number
  callLost: number
  callRefused: number
  commandLate: number
  commandLost: number
  commandRefused: number
  commitUnknown: number
  killed: number
  standsStill: number
}

export interface WorldOptions {
  readonly seed: number
  readonly breaks: readonly Break[]
  /** Where the world counts what happens in it. */
  readonly counts: Record<string, number>
  /** Gets a line for all that happens. */
  readonly tell?: (line: string) => void
}

export interface World {
  readonly dice: Dice
  readonly timeline: Timeline
  readonly breaks: ReadonlySet<Break>
  weather: Weather
  /** When the last thing went wrong, or will have. */
  lastFaultMs: number
  /** Nothing begins any more: what is left is looked at when it is due. */
  isResting: boolean
  onKilled(instance: Instance): void
  readonly violations: string[]
  /** Where a single run is replayed, to be read. */
  readonly note: ((who: string, what: string) => void) | undefined
  count(what: string): void
  violate(what: string): void
}

/**
 * Below what the protocol takes a call's life to be: an undo's lease is 90 s, of which a sweep uses 8 before its last call.
 */
export const callLifeMs = 80_000
const commandLifeMs = 10_000
// The database ends a transaction that is older.
const commitLifeMs = 60_000

export const calm: Weather = {
  callLate: 0,
  callLost: 0,
  callRefused: 0,
  commandLate: 0,
  commandLost: 0,
  commandRefused: 0,
  commitUnknown: 0,
  killed: 0,
  standsStill: 0,
}

/** A world of its own for each seed. */
export function createWorld({ seed, breaks, counts, tell }: WorldOptions): World {
  const dice = createDice(seed)
  const timeline = createTimeline((instance) => befall(world, instance))
  const note = (who: string, what: string): void =>
    tell?.(`${(timeline.nowMs / 1000).toFixed(3).padStart(10)} ${who.padEnd(11)} ${what}`)
  const world: World = {
    dice,
    timeline,
    breaks: new Set(breaks),
    weather: stormyWeather(dice),
    lastFaultMs: 0,
    isResting: false,
    onKilled() {},
    violations: [],
    note: tell && note,
    count(what) {
      counts[what] = (counts[what] ?? 0) + 1
    },
    violate(what) {
      note('VIOLATION', what)
      world.violations.push(what)
    },
  }
  return world
}

/** Most of the faults at a time are off, so that each is seen alone and beside each other one. */
function stormyWeather(dice: Dice): Weather {
  const often = (): number => dice.pick([0, 0, 0.05, 0.3])
  const seldom = (): number => dice.pick([0, 0, 0.01, 0.04])
  return {
    callLate: often(),
    callLost: often(),
    callRefused: often(),
    commandLate: seldom(),
    commandLost: seldom(),
    commandRefused: seldom(),
    commitUnknown: often(),
    killed: seldom(),
    standsStill: dice.pick([0, 0, 0.02, 0.1]),
  }
}

function befall(world: World, instance: Instance): void {
  const { dice, timeline, weather } = world
  if (instance.isKilled || instance.standsStillUntilMs > timeline.nowMs) return
  if (weather.killed > 0 && dice.chance(weather.killed)) {
    instance.isKilled = true
    world.lastFaultMs = Math.max(world.lastFaultMs, timeline.nowMs)
    world.note?.(instance.name, 'is killed')
    world.count('killed')
    world.onKilled(instance)
  } else if (weather.standsStill > 0 && dice.chance(weather.standsStill)) {
    const ms = dice.pick([
      dice.between(100, 10_000),
      dice.between(50_000, 75_000),
      dice.between(60_000, 200_000),
    ])
    instance.stoodStillFromMs = timeline.nowMs
    instance.standsStillUntilMs = timeline.nowMs + ms
    world.lastFaultMs = Math.max(world.lastFaultMs, instance.standsStillUntilMs)
    world.count('stands still')
    world.note?.(instance.name, `stands still for ${Math.round(ms)} ms`)
  }
}

/** What becomes of something that was sent. */
export interface Fate {
  /** `undefined`: never. */
  executeInMs: number | undefined
  /** Infinite where it is lost. */
  answerInMs: number
  isRefused: boolean
}

type Chances = { late: number; lost: number; refused: number }

function fateOf(world: World, chances: Chances, usualMs: number, lifeMs: number): Fate {
  const { dice, timeline } = world
  const executeInMs = dice.between(1, usualMs)
  const answerInMs = executeInMs + dice.between(1, usualMs)
  const faulty = (fate: Fate): Fate => {
    world.lastFaultMs = Math.max(world.lastFaultMs, timeline.nowMs + (fate.executeInMs ?? 0))
    return fate
  }
  if (chances.refused > 0 && dice.chance(chances.refused))
    return faulty({ executeInMs: undefined, answerInMs, isRefused: true })
  if (chances.late > 0 && dice.chance(chances.late)) {
    const late = dice.chance(0.5) ? dice.between(0, lifeMs / 8) : dice.between(0, lifeMs)
    return faulty({ executeInMs: late, answerInMs: late + dice.between(1, usualMs), isRefused: false })
  }
  if (chances.lost > 0 && dice.chance(chances.lost))
    return faulty({
      executeInMs: dice.chance(0.5) ? executeInMs : undefined,
      answerInMs: Number.POSITIVE_INFINITY,
      isRefused: false,
    })
  return { executeInMs, answerInMs, isRefused: false }
}

export function fateOfCall(world: World): Fate {
  const { callLate: late, callLost: lost, callRefused: refused } = world.weather
  return fateOf(world, { late, lost, refused }, 300, callLifeMs)
}

export function fateOfCommand(world: World): Fate {
  const { commandLate: late, commandLost: lost, commandRefused: refused } = world.weather
  return fateOf(world, { late, lost, refused }, 8, commandLifeMs)
}

/** A commit that is not answered may have been done, be done later, or never. */
export function fateOfCommit(world: World): Fate {
  const { commitUnknown } = world.weather
  return fateOf(world, { late: commitUnknown / 2, lost: commitUnknown / 2, refused: 0 }, 50, commitLifeMs)
}
