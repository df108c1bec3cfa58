/** What a server says at /metrics: the value of the first sample whose name and labels fit, `undefined` where none does. */
export async function metricsOf(port: number): Promise<(pattern: string) => number | undefined> {
  return valuesIn(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
}

/** Prometheus's text format. */
export function valuesIn(text: string): (pattern: string) => number | undefined {
  return (pattern) => {
    const [, value] = new RegExp(`^${pattern} (.+)$`, 'm').exec(text) ?? []
    return value === undefined ? undefined : Number(value)
  }
}
