import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'
import { ConfigError, loadConfig } from './config.ts'
import { DatabaseNotUsable } from './plugins/mongodb.ts'
import { describeError } from './plugins/request-log.ts'

// The contract's 20 s, less what the end of a process takes.
const stopTimeoutMs = 19_500

// As many as Linux allows by default; what Node asks for, 511, is full after a burst of clients while the process is busy, and
// they would then wait for the kernel's repeats, for seconds.
const backlog = 4_096

// Of `listen`. A link-local address without its zone is the `EINVAL`.
const noAddress = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EAI_AGAIN', 'EINVAL', 'ENOTFOUND']

/** The process: environment, configuration, app, listen, and the stop. Nothing else that `npm start` runs touches `process`. */
async function main(): Promise<void> {
  const config = loadConfig(process.env)
  const app = await buildApp(config)
  const options = {
    delay: stopTimeoutMs,
    logger: false as const,
    onTimeout: () => app.log.error('the stop took too long'),
  }
  closeWithGrace(options, async ({ err, signal }) => {
    if (err) app.log.fatal({ err }, 'defect: stopping')
    else app.log.info({ signal }, 'stopping')
    await app.close()
    app.log.info('stopped')
  })
  const { host, port } = config.http
  // For the name Fastify would open a second server, which the stop and the refusals of bad HTTP do not know.
  const address = await app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port, backlog })
  app.log.info({ address }, 'listening')
}

/** One sentence for each thing that an operator can mend; a stack would hide it. */
function reasonOf(error: unknown): string {
  if (error instanceof ConfigError || error instanceof DatabaseNotUsable) return error.message
  const { code = '', port } = error as { code?: string; port?: number }
  if (code === 'EADDRINUSE') return `port ${port} is in use`
  if (code === 'EACCES') return `port ${port} may not be used by this user`
  if (noAddress.includes(code)) return 'HOST is no address of this machine'
  // A defect: its places help whoever mends it, its text may hold what nobody else should read.
  return `the start failed: ${JSON.stringify(describeError(error))}`
}

main().catch((error: unknown) => {
  process.stderr.write(`${reasonOf(error)}\n`)
  process.exit(1)
})
