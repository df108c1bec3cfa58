import { once } from 'node:events'
import { createServer } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { DemoFailure, listenFailure } from './failure.ts'
import type { Settings } from './settings.ts'

type Place = Pick<Settings, 'host' | 'port'>

/** Before anything is fetched or started: nobody should wait for a download to be told that a port is in use. */
export async function checkPort({ host, port }: Place): Promise<void> {
  const probe = createServer()
  try {
    probe.listen(port.wanted, host)
    await once(probe, 'listening')
  } catch (error) {
    if (isForAnother(error, port)) return
    const sentence = listenFailure(error)
    if (sentence === undefined) throw error
    throw new DemoFailure(sentence)
  } finally {
    probe.close()
  }
}

/** Resolves with the service's address. */
export async function listen(app: FastifyInstance, { host, port }: Place): Promise<string> {
  try {
    return await app.listen({ host, port: port.wanted })
  } catch (error) {
    if (isForAnother(error, port)) return await app.listen({ host, port: 0 })
    throw error
  }
}

function isForAnother(error: unknown, { asked }: Place['port']): boolean {
  return !asked && (error as { code?: unknown }).code === 'EADDRINUSE'
}
