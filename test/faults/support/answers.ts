/** Whatever happens to the database or the storage, none of it is a defect of the service. */
export function defects(answers: Readonly<Record<string, number>>): string[] {
  const count = answers['500 INTERNAL_ERROR'] ?? 0
  return count === 0 ? [] : [`${count} answers said INTERNAL_ERROR`]
}
