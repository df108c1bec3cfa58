/** Keeps the newest `sizeMax` of a map or a set: they hold what they have in the order in which it came. */
export function forgetOldest<T>(
  entries: { readonly size: number; keys(): Iterable<T>; delete(key: T): boolean },
  sizeMax: number,
): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= sizeMax) return
    entries.delete(oldest)
  }
}
