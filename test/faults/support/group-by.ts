/** `Map.groupBy`, which Node 20 does not have. */
export function groupBy<T, N>(items: readonly T[], nameOf: (item: T) => N): Map<N, T[]> {
  const groups = new Map<N, T[]>()
  for (const item of items) {
    const name = nameOf(item)
    const group = groups.get(name)
    if (group) group.push(item)
    else groups.set(name, [item])
  }
  return groups
}
