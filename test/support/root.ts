import { fileURLToPath } from 'node:url'

/** The repository's folder. */
export const rootUrl = new URL('../../', import.meta.url)
/** Its path, with a slash at the end. */
export const root = fileURLToPath(rootUrl)
