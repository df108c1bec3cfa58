import { type BarData, drawBars, drawTimeSeries } from './chart.ts'
import type { RowsReport } from './compare.ts'
import type { GrowthReport } from './growth.ts'
import type { MemoryReport, MemorySample } from './memory.ts'
import { conditionsOf, type Report } from './report.ts'
import { knownPairs } from './rows.ts'
import { median } from './statistics.ts'

/** The picture of a report, as SVG. */
export function draw(report: Report): string {
  switch (report.kind) {
    case 'rows':
      return drawRows(report)
    case 'growth':
      return drawGrowth(report)
    case 'memory':
      return drawMemory(report)
  }
}

function drawRows(report: RowsReport): string {
  const connections = [1, 16, 64, 256, 1024].filter((each) => speedOf(report, `service, ${each}`) !== null)
  const series = [
    { name: 'the service', row: 'service' },
    { name: 'one message at a time', row: 'one at a time' },
    { name: 'ceiling: an answer without a database', row: 'ceiling' },
  ]
  return drawBars({
    title: 'Messages a second by connections',
    subtitle: conditionsOf(report),
    x: { name: 'connections, one request each at a time', labels: connections.map(count) },
    y: { name: 'messages a second' },
    series: series.map(({ name, row }) => ({
      name,
      values: connections.map((each) => speedOf(report, `${row}, ${each}`)),
    })),
  })
}

function speedOf({ rows }: RowsReport, name: string): number | null {
  const row = rows.find((each) => each.name === name)
  return row ? median(row.measurements.map(({ messagesPerSecond }) => messagesPerSecond)) : null
}

function drawGrowth(report: GrowthReport): string {
  const { places } = report
  const cost = (pick: 'nodeUs' | 'mongodUs'): number[] =>
    places.map(({ rows }) => {
      const row = rows.find(({ name }) => name === knownPairs.name)
      return median(row?.measurements.map((each) => each[pick]) ?? [])
    })
  const series: BarData['series'] = [
    { name: 'Node', values: cost('nodeUs') },
    { name: 'mongod', values: cost('mongodUs') },
  ]
  return drawBars({
    title: 'CPU time a message by what is stored',
    subtitle: conditionsOf(report),
    x: {
      name: 'messages stored before, and people',
      labels: places.map(({ people, messages }) => `${count(messages)}\n${count(people)} people`),
    },
    y: { name: 'CPU µs a message' },
    series,
    stacked: true,
  })
}

function drawMemory(report: MemoryReport): string {
  const points = (of: (sample: MemorySample) => number) =>
    report.samples.map((sample): [number, number] => [sample.seconds, of(sample)])
  return drawTimeSeries({
    title: "The service's memory under load",
    subtitle: conditionsOf(report),
    panels: [
      {
        name: 'MB',
        lines: [
          { name: 'resident', points: points(({ rssMb }) => rssMb) },
          { name: 'heap used', points: points(({ heapMb }) => heapMb) },
        ],
      },
      {
        name: 'messages a second',
        lines: [{ name: 'messages a second', points: points(({ messagesPerSecond }) => messagesPerSecond) }],
      },
    ],
  })
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
