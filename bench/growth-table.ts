import type { GrowthMeasurement, GrowthPlace, GrowthReport } from './growth.ts'
import type { Measurement } from './measure.ts'
import { type Goal, goal, median } from './statistics.ts'
import { markdownOf } from './table.ts'

const headings = [
  '',
  'people',
  'stored before',
  'and after',
  'msg/s',
  'p99 ms',
  'Node µs',
  'mongod µs',
  'of the smallest',
  'ceiling µs',
  'ceiling, of the smallest',
  'checkpoint ms',
]

// The goal is "does not grow": what the same row differs by from run to run is a third of it.
const flatMax = 1.25

interface Series {
  by: 'messages' | 'people'
  places: GrowthPlace[]
}

/** Medians over the rounds; ratios are of the CPU time a message, paired round by round. */
export function growthTableOf(report: GrowthReport): string {
  const lines = seriesOf(report).flatMap(({ places }) =>
    names(report).flatMap((name) => places.map((place) => lineOf(place, name, places))),
  )
  return markdownOf(headings, lines)
}

export function growthGoalsOf(report: GrowthReport): Goal[] {
  return seriesOf(report).flatMap(({ by, places }) =>
    names(report).flatMap((name) =>
      places.slice(1).map((place) => {
        const [from, to] = [places[0] ?? place, place].map((each) => each[by].toLocaleString('en-US'))
        const beside = ceilingRatio(place, places).toFixed(3)
        const title = `${name}, ${from} → ${to} ${by}, CPU ×, ceiling × ${beside}`
        return goal(title, ratio(place, name, places), 'at most', flatMax)
      }),
    ),
  )
}

/** Places that differ in one thing only, the smallest first; a place can be in both. */
function seriesOf({ places }: GrowthReport): Series[] {
  const series = (by: Series['by'], alike: Series['by']): Series[] =>
    [...new Set(places.map((place) => place[alike]))]
      .map((size) => places.filter((place) => place[alike] === size).toSorted((a, b) => a[by] - b[by]))
      .filter((some) => some.length > 1)
      .map((some) => ({ by, places: some }))
  return [...series('messages', 'people'), ...series('people', 'messages')]
}

function lineOf(place: GrowthPlace, name: string, places: GrowthPlace[]): string[] {
  const measurements = measurementsAt(place, name)
  const of = (pick: (each: GrowthMeasurement) => number, digits = 0): string =>
    median(measurements.map(pick)).toFixed(digits)
  return [
    name,
    ...[place.people, place.messages, place.messagesAfter].map((count) => count.toLocaleString('en-US')),
    of(({ messagesPerSecond }) => messagesPerSecond),
    of(({ p99Ms }) => p99Ms, 1),
    of(({ nodeUs }) => nodeUs),
    of(({ mongodUs }) => mongodUs),
    ratio(place, name, places).toFixed(2),
    median(place.ceiling.map(({ nodeUs }) => nodeUs)).toFixed(0),
    ceilingRatio(place, places).toFixed(2),
    of(({ checkpointMs }) => checkpointMs),
  ]
}

function ratio(place: GrowthPlace, name: string, [smallest = place]: GrowthPlace[]): number {
  return paired(measurementsAt(place, name), measurementsAt(smallest, name))
}

function ceilingRatio(place: GrowthPlace, [smallest = place]: GrowthPlace[]): number {
  return paired(place.ceiling, smallest.ceiling)
}

function paired(some: Measurement[], bases: Measurement[]): number {
  return median(some.map((each, round) => cpuUs(each) / cpuUs(bases[round])))
}

function cpuUs(each: Measurement | undefined): number {
  return each ? each.nodeUs + each.mongodUs : Number.NaN
}

function measurementsAt({ rows }: GrowthPlace, name: string): GrowthMeasurement[] {
  return rows.find((row) => row.name === name)?.measurements ?? []
}

function names({ places }: GrowthReport): string[] {
  return places[0]?.rows.map(({ name }) => name) ?? []
}
