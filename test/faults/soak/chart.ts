import { drawTimeSeries } from '../../../bench/chart.ts'
import type { ProcessSample, Sample } from './samples.ts'

export interface SoakCourse {
  samples: Sample[]
  faults: { what: string; fromS: number; untilS: number }[]
}

/** The picture of a run: how much was acknowledged, when something was broken, and what both processes took of memory. */
export function chartOf({ samples, faults }: SoakCourse, subtitle: string): string {
  const points = (of: (sample: Sample) => number) =>
    samples.map((sample): [number, number] => [sample.atS, of(sample)])
  const memory = (nth: number): [number, number][] =>
    samples.flatMap(({ atS, processes }) =>
      processes
        .filter((each) => each.nth === nth)
        .map(({ rssMb }: ProcessSample): [number, number] => [atS, rssMb]),
    )
  const isBroken = (atS: number): number =>
    faults.some(({ fromS, untilS }) => atS >= fromS && atS <= untilS) ? 1 : 0
  return drawTimeSeries({
    title: 'Mixed traffic with a fault every minute',
    subtitle,
    panels: [
      {
        name: 'messages a second',
        lines: [{ name: 'acknowledged', points: points(({ rate }) => rate) }],
      },
      {
        name: 'fault',
        lines: [{ name: 'something is broken', points: points(({ atS }) => isBroken(atS)) }],
      },
      {
        name: 'MB',
        lines: [
          { name: 'resident, first process', points: memory(0) },
          { name: 'resident, second (killed in turn)', points: memory(1) },
        ],
      },
    ],
  })
}
