import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import openapiTS, { astToString } from 'openapi-typescript'
import t from 'tap'
import { startService } from './support/service.ts'

/** What the author of a client writes, who has seen nothing but openapi.yaml. */
const clientProgram = `
import createClient from 'openapi-fetch'
import type { components, paths } from './api.js'

type Code = components['schemas']['Refusal']['code']

export async function sendTwice(baseUrl: string, token: string, userId: string) {
  const client = createClient<paths>({ baseUrl, headers: { authorization: 'Bearer ' + token } })
  const header = { 'Idempotency-Key': 'a-key-of-this-client' }
  const sent = await client.POST('/message/send/{userId}', {
    params: { path: { userId }, header },
    body: { content: 'Hello there', type: 'text', media: [] },
  })
  const refused = await client.POST('/message/send/{userId}', {
    params: { path: { userId }, header },
    body: { content: 'Something else', type: 'text' },
  })
  // @ts-expect-error: content is required, and other fields are not taken.
  const wrong: components['schemas']['SendMessageBody'] = { type: 'text', colour: 'red' }
  const id: string | undefined = sent.data?.data._id
  const height: number | null | undefined = sent.data?.data.media[0]?.height
  const code: Code | undefined = refused.error?.code
  const live: 'ok' | undefined = (await client.GET('/health/live')).data?.status
  return { id, code, live, height, wrong: wrong.type, status: refused.response.status }
}
`

const run = promisify(execFile)
const root = fileURLToPath(new URL('../', import.meta.url))

t.test('a client that is generated from the document compiles, sends, and reads a refusal', async (t) => {
  const service = await startService(t)
  const [alice, bob] = [await service.person(), await service.person()]
  // Below the project's folder, so that the packages are found from it.
  const folder = t.testdir({ 'client.ts': clientProgram, 'package.json': '{ "type": "module" }' })
  await writeFile(
    join(folder, 'api.ts'),
    astToString(await openapiTS(new URL('../openapi.yaml', import.meta.url))),
  )

  const options = [
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--skipLibCheck',
    '--types',
    'node',
  ]
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const compiled = await run(process.execPath, [tsc, ...options, join(folder, 'client.ts')]).catch(
    (error) => error,
  )
  t.equal(compiled.stdout, '')
  const { sendTwice } = await import(pathToFileURL(join(folder, 'client.js')).href)
  const result = await sendTwice(service.url, alice.token, bob.id.toHexString())

  const [stored] = await alice.sentTo(bob)
  t.equal(result.id, stored?._id.toHexString())
  t.match(result, { id: /^[0-9a-f]{24}$/, code: 'IDEMPOTENCY_KEY_REUSED', status: 422, live: 'ok' })
})
