/** As the process has it, without what is empty. */
export type Environment = Readonly<Record<string, string | undefined>>
/** Takes a fault, which names the variable and not its value. */
export type Fail = (fault: string) => void

export function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

export function decoded(text: string): string {
  return attempt(() => decodeURIComponent(text)) ?? ''
}

export function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol)
}
