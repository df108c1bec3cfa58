export interface HttpRequest {
  url: string
  headers: Readonly<Record<string, string>>
  body: string
}

/** A POST as a line for bash, wrapped; it sends the same bytes. */
export function curlLine({ url, headers, body }: HttpRequest): string {
  return [
    `curl -sS -X POST ${quoted(url)}`,
    ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    `-d ${quoted(body)}`,
  ].join(' \\\n  ')
}

/** Within single quotes bash leaves everything as it is; a single quote itself stands outside of them. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
