export type Paint = Record<'title' | 'dim' | 'good' | 'bad', (text: string) => string>

interface Terminal {
  isTTY?: boolean
  env: Readonly<Record<string, string | undefined>>
}

/** Colour for terminals, unless NO_COLOR is set (no-color.org: to anything but an empty text). */
export function createPaint({ isTTY, env }: Terminal): Paint {
  const colours = isTTY && !env.NO_COLOR && env.TERM !== 'dumb'
  const wrap = (code: number) => (text: string) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text)
  return { title: wrap(1), dim: wrap(2), good: wrap(32), bad: wrap(31) }
}
