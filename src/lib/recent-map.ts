export interface RecentMap<K, V> {
  get(key: K): V | undefined
  set(key: K, value: V): void
}

/**
 * Remembers `entriesMax` entries at most, and at least the half of them that was used last. In two halves: the older is
 * dropped as a whole when the younger is full. One map that forgets its oldest entry each time would walk over all that it
 * has forgotten before to find it: 0.1 ms with 200,000 entries.
 */
export function createRecentMap<K, V>(entriesMax: number): RecentMap<K, V> {
  let older = new Map<K, V>()
  let younger = new Map<K, V>()

  function set(key: K, value: V): void {
    if (younger.size >= entriesMax / 2) {
      older = younger
      younger = new Map()
    }
    younger.set(key, value)
  }

  return {
    get(key) {
      const recent = younger.get(key)
      if (recent !== undefined) return recent
      const value = older.get(key)
      if (value !== undefined) set(key, value)
      return value
    },
    set,
  }
}
