/**
 * What JSON Schema cannot say in a way that every tool reads alike, checked here and said in the descriptions of the
 * fields that use it. A published `pattern` with surrogates or U+0000 is refused by other languages' expressions.
 */
export const formats: Readonly<Record<string, (value: string) => boolean>> = {
  /** Text that comes back as it was sent: BSON would store a lone surrogate as U+FFFD, and U+0000 ends C strings. */
  'unicode-text': (value) => value.isWellFormed() && !value.includes('\u0000'),
}
