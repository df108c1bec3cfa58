import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { compare } from './compare.ts'
import { draw } from './draw.ts'
import { growth } from './growth.ts'
import { memory } from './memory.ts'
import { type Options, optionsOf } from './options.ts'
import { type Report, textOf } from './report.ts'

const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}, ${process.platform}`

const options = optionsOf(process.argv.slice(2))
const report = await found(options)
process.stdout.write(textOf(report))
if (options.mode !== 'draw') writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`)
if (options.chart) writeFileSync(options.chart, draw(report))

async function found({ mode }: Options): Promise<Report> {
  switch (mode) {
    case 'rows':
      return await compare(options, machine)
    case 'growth':
      return await growth(options, machine)
    case 'memory':
      return await memory(options, machine)
    case 'draw':
      // Written by an earlier run of this command.
      return JSON.parse(readFileSync(options.report, 'utf8')) as Report
  }
}
