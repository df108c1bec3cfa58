import { parseArgs } from 'node:util'

export interface Options {
  mode: 'rows' | 'growth' | 'memory' | 'draw'
  quick: boolean
  rounds: number
  durationMs: number
  people: number
  messages: number
  /** Only the rows whose name fits; with `--growth`, the sizes. */
  only: RegExp | undefined
  /** Sizes of `--growth` are divided by it: for a try. */
  scale: number
  minutes: number
  /** Of mongod. With `--growth` five databases share it; left to itself it takes half of the machine's memory. */
  cacheGb: number
  json: string
  chart: string | undefined
  /** The report that `--draw` draws again. */
  report: string
}

/** `[--quick | --growth | --memory [MINUTES] | --draw REPORT.json] [--chart FILE.svg] [--json FILE.json] …` */
export function optionsOf(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      growth: { type: 'boolean', default: false },
      memory: { type: 'boolean', default: false },
      draw: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string', default: '3' },
      people: { type: 'string', default: '10000' },
      messages: { type: 'string' },
      only: { type: 'string' },
      scale: { type: 'string', default: '1' },
      cache: { type: 'string' },
      json: { type: 'string', default: 'bench-results.json' },
      chart: { type: 'string' },
    },
  })
  const { quick, growth, memory, draw, only, chart, json } = values
  return {
    mode: growth ? 'growth' : memory ? 'memory' : draw ? 'draw' : 'rows',
    quick,
    rounds: Number(values.rounds ?? 3),
    durationMs: Number(values.seconds) * 1000,
    people: Number(values.people),
    messages: Number(values.messages ?? (quick ? 100_000 : 1_000_000)),
    only: only === undefined ? undefined : new RegExp(only),
    scale: Number(values.scale),
    minutes: Number(positionals[0] ?? 10),
    cacheGb: Number(values.cache ?? (growth ? 8 : 2)),
    json,
    chart,
    report: positionals[0] ?? json,
  }
}
