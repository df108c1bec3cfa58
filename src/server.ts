import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'
import { ConfigError, loadConfig } from './config.ts'
import { DatabaseNotUsable } from './plugins/mongodb.ts'

// The contract's 20 s, less what the end of a process takes.
const stopTimeoutMs = 19_500

/** The process: environment, configuration, app, listen, and the stop. Nothing else touches `process`. */
async function main(): Promise<void> {
  const config = loadConfig(process.env)
  const app = await buildApp(config)
  const options = { delay: stopTimeoutMs, logger: false as const }
  closeWithGrace(options, async ({ err, signal }) => {
    if (err) app.log.fatal({ err }, 'defect: stopping')
    else app.log.info({ signal }, 'stopping')
    await app.close()
    app.log.info('stopped')
  })
  const address = await app.listen({ host: config.http.host, port: config.http.port })
  app.log.info({ address }, 'listening')
}

/** One sentence for each thing that an operator can mend; a stack would hide it. */
function reasonOf(error: unknown): string {
  if (error instanceof ConfigError || error instanceof DatabaseNotUsable) return error.message
  const { code, port, address } = error as { code?: string; port?: number; address?: string }
  if (code === 'EADDRINUSE') return `port ${port} is in use`
  if (code === 'EACCES') return `port ${port} may not be used by this user`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `HOST is no address of this machine: ${address ?? ''}`
  return `the start failed: ${error instanceof Error ? error.message : String(error)}`
}

main().catch((error: unknown) => {
  process.stderr.write(`${reasonOf(error)}\n`)
  process.exit(1)
})
