export interface Gate {
  /** Lets in, or refuses with `undefined`; the function that it gives lets out again, once. */
  enter(): (() => void) | undefined
  readonly inside: number
  readonly isFull: boolean
}

/** Bounds how many are inside, and refuses at once instead of letting wait. */
export function createGate(max: number): Gate {
  let inside = 0
  return {
    enter() {
      if (inside >= max) return undefined
      inside += 1
      let left = false
      return () => {
        if (left) return
        left = true
        inside -= 1
      }
    },
    get inside() {
      return inside
    },
    get isFull() {
      return inside >= max
    },
  }
}
