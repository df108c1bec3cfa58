export interface Gate {
  /** Lets in, or refuses with `undefined`; the function that it gives lets out again, once. */
  enter(bytes: number): (() => void) | undefined
  readonly inside: number
  readonly isFull: boolean
}

/** Bounds what is inside in number and in bytes, and refuses at once instead of letting wait. */
export function createGate({ itemsMax, bytesMax }: { itemsMax: number; bytesMax: number }): Gate {
  let inside = 0
  let insideBytes = 0
  return {
    enter(bytes) {
      if (inside >= itemsMax || insideBytes + bytes > bytesMax) return undefined
      inside += 1
      insideBytes += bytes
      let left = false
      return () => {
        if (left) return
        left = true
        inside -= 1
        insideBytes -= bytes
      }
    },
    get inside() {
      return inside
    },
    get isFull() {
      return inside >= itemsMax
    },
  }
}
