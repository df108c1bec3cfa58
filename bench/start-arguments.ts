import { readFileSync } from 'node:fs'

/** What `npm start` tells Node: a service that is measured, or broken, is started as operators start it. */
export const startArguments = argumentsIn(new URL('../package.json', import.meta.url))

function argumentsIn(file: URL): string[] {
  const { scripts } = JSON.parse(readFileSync(file, 'utf8'))
  return String(scripts.start)
    .split(' ')
    .filter((word) => word.startsWith('--'))
}
