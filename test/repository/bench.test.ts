import t from 'tap'
import { drawBars, drawTimeSeries } from '../../bench/chart.ts'
import type { GrowthPlace, GrowthReport } from '../../bench/growth.ts'
import { growthGoalsOf } from '../../bench/growth-table.ts'
import type { Measurement } from '../../bench/measure.ts'
import type { MemoryReport } from '../../bench/memory.ts'
import { memoryGoalsOf } from '../../bench/memory-table.ts'
import { median, slope } from '../../bench/statistics.ts'

// What judges the measurements, and what draws them. The measuring itself is run by hand.

const bars = {
  title: 'Fast & <fair>',
  subtitle: 'two rounds',
  x: { name: 'connections', labels: ['1', '1,024'] },
  y: { name: 'messages a second' },
  series: [
    { name: 'service', values: [295, 7084] },
    { name: 'one at a time', values: [277, null] },
  ],
}

/** As long a soak as there will be: six hours, looked at every five seconds. */
const soak = {
  title: 'Memory',
  subtitle: 'six hours',
  panels: ['MB', 'messages a second'].map((name) => ({
    name,
    lines: ['a', 'b', 'c'].map((line, nth) => ({
      name: `${name} ${line}`,
      points: Array.from({ length: 6 * 720 }, (_, index): [number, number] => [
        index * 5,
        100 * (nth + 1) + ((index * 7919) % 97),
      ]),
    })),
  })),
}

t.test('a picture is the same bytes for the same data', async (t) => {
  t.equal(drawBars(bars), drawBars(bars))
  t.equal(drawTimeSeries(soak), drawTimeSeries(soak))
})

t.test('a picture has its words, needs nothing from elsewhere, and is small', async (t) => {
  for (const svg of [drawBars(bars), drawTimeSeries(soak)]) {
    const addresses = svg.match(/https?:[^"]+/g) ?? []
    t.strictSame(addresses, ['http://www.w3.org/2000/svg', 'http://www.w3.org/1999/xlink'])
    t.equal(svg.match(/<(script|style|image|foreignObject)|@import|href=|url\((?!#)/), null)
    t.ok(svg.length < 60_000, `${svg.length} bytes`)
  }
  for (const words of ['Fast &amp; &lt;fair&gt;', '>7,084<', '>one at a time<', '>connections<']) {
    t.match(drawBars(bars), words)
  }
  t.match(drawTimeSeries(soak), '>minutes<')
})

t.test('medians and slopes', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.ok(Number.isNaN(median([])))
  t.equal(
    slope([
      [0, 10],
      [1, 12],
      [2, 14],
    ]),
    2,
  )
})

t.test(
  'growth is missed by what costs over a quarter more than the smallest, and by nothing else',
  async (t) => {
    const report = (cpuOfLargest: number): GrowthReport => ({
      ...{ kind: 'growth', machine: '', cacheGb: 2, rounds: 3, durationMs: 3000 },
      places: [
        place({ people: 10, messages: 10 }, [100, 300, 100]),
        place({ people: 10, messages: 1000 }, [100, 300, 100]),
        place({ people: 10, messages: 5000 }, [100, 300, 100]),
        place({ people: 1, messages: 1000 }, [100, 300, 100]),
        // Paired by the round: the second is slow for all of them.
        place({ people: 1000, messages: 1000 }, [cpuOfLargest, 3 * cpuOfLargest, cpuOfLargest]),
      ],
    })
    const missed = (cpuOfLargest: number): string[] =>
      growthGoalsOf(report(cpuOfLargest)).flatMap(({ met, line }) => (met ? [] : [line]))

    t.equal(growthGoalsOf(report(124)).length, 4)
    t.strictSame(missed(124), [])
    t.match(missed(126), [/known pairs, 1 → 1,000 people.* 1\.260/])
  },
)

t.test('memory is missed by a last minute that is over a tenth above the second', async (t) => {
  const missed = (lastMb: number, lastOldMb = 50): string[] => {
    const samples = Array.from({ length: 120 }, (_, index) => {
      const minute = Math.floor(index / 12)
      // The first minute is warm-up, and what happens in between is the peak's affair.
      const rssMb = minute === 0 ? 20 : minute === 5 ? 900 : minute === 9 ? lastMb : 200
      const oldMb = minute === 9 ? lastOldMb : 50
      // What is garbage of the young generation tells nothing.
      const heapMb = minute === 9 ? 200 : 100
      return { seconds: (index + 1) * 5, rssMb, heapMb, oldMb, messagesPerSecond: 7000 }
    })
    const report: MemoryReport = {
      ...{ kind: 'memory', machine: '', people: 1, messages: 1, connections: 256, minutes: 10 },
      ...{ stored: 1, samples },
    }
    return memoryGoalsOf(report).flatMap(({ met, line }) => (met ? [] : [line]))
  }
  t.strictSame(missed(219), [])
  t.match(missed(221), [/resident.* 1\.105/])
  t.match(missed(200, 56), [/old generation.* 1\.120/])
})

function place(size: { people: number; messages: number }, cpuUs: number[]): GrowthPlace {
  const measurements = cpuUs.map((us) => ({ ...measurement(us * 0.75, us * 0.25), checkpointMs: 1 }))
  return {
    ...size,
    messagesAfter: 1,
    ceiling: cpuUs.map(() => measurement(50, 0)),
    rows: [{ name: 'known pairs', measurements }],
  }
}

function measurement(nodeUs: number, mongodUs: number): Measurement {
  return {
    ...{ nodeUs, mongodUs },
    ...{ messagesPerSecond: 1, p50Ms: 1, p99Ms: 1, commands: 1, batch: 1, repeated: 0 },
  }
}
