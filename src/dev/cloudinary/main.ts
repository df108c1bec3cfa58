import { parseArgs } from 'node:util'
import { startCloudinary } from './server.ts'

// The stand-in as a process of its own, so that a benchmark does not measure it together with the service.
// Prints one line of JSON when it listens, and ends on SIGTERM or SIGINT.
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    host: { type: 'string', default: '127.0.0.1' },
    'cloud-name': { type: 'string', default: 'demo' },
    'api-key': { type: 'string', default: 'key' },
    'api-secret': { type: 'string', default: 'secret' },
  },
})

const standIn = await startCloudinary({
  port: Number(values.port),
  host: values.host,
  cloudName: values['cloud-name'],
  apiKey: values['api-key'],
  apiSecret: values['api-secret'],
})
const { baseUrl, cloudinaryUrl } = standIn
process.stdout.write(`${JSON.stringify({ msg: 'listening', baseUrl, cloudinaryUrl })}\n`)

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void standIn.close())
