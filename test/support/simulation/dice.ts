/** Chance that comes out the same for the same seed. */
export interface Dice {
  chance(probability: number): boolean
  /** From the first, included, to the second, excluded. */
  between(from: number, to: number): number
  whole(from: number, to: number): number
  pick<T>(list: readonly [T, ...T[]]): T
  /** So many of them, in an order of its own. */
  some<T>(list: readonly T[], count: number): T[]
}

/** Mulberry32: small, quick, and even enough for choices. */
export function createDice(seed: number): Dice {
  let state = seed | 0

  function next(): number {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  const between = (from: number, to: number): number => from + next() * (to - from)
  const whole = (from: number, to: number): number => Math.floor(between(from, to))
  return {
    chance: (probability) => next() < probability,
    between,
    whole,
    pick: (list) => list[whole(0, list.length)] ?? list[0],
    some(list, count) {
      const left = [...list]
      return Array.from({ length: Math.min(count, left.length) }, () =>
        left.splice(whole(0, left.length), 1),
      ).flat()
    },
  }
}
