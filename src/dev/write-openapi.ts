import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeApp } from './describe-app.ts'

// Writes openapi.yaml from the schemas of the routes. With --check it writes nothing, and fails when the file differs.

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const path = fileURLToPath(new URL('../../openapi.yaml', import.meta.url))
const document = await describeApp()

if (!values.check) {
  await writeFile(path, document)
} else if ((await readFile(path, 'utf8').catch(() => '')) !== document) {
  process.stderr.write('openapi.yaml differs from the schemas: npm run openapi writes it.\n')
  process.exitCode = 1
}
