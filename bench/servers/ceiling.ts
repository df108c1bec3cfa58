import { echoOf, serve } from './common.ts'

/** The ceiling: an answer without a database, and nothing else of the service. What no send path can be faster than. */
await serve(async ({ sub }, receiverId, body) => echoOf(sub, receiverId, body))
