import t from 'tap'
import { replay, startSimulators } from '../support/simulation/simulators.ts'
import type { Break } from '../support/simulation/world.ts'

// `SIMULATION_RUNS=1000000` looks longer; `SIMULATION_SEED=…` tells one run line by line on standard error.
const { SIMULATION_RUNS = '20000', SIMULATION_SEED } = process.env

// About a minute of CPU, for two workers, and more where other test files have the cores.
t.setTimeout(600_000)

const { simulate } = startSimulators(t)

if (SIMULATION_SEED !== undefined) {
  const tell = (line: string): void => void process.stderr.write(`${line}\n`)
  t.test('one run is told', async (t) => t.strictSame(await replay(Number(SIMULATION_SEED), tell), []))
}

t.test(
  'late calls, lost answers, kills and pauses: no upload is lost, left over or in two messages',
  { timeout: 600_000 },
  async (t) => {
    const { runs, found, counts } = await simulate({ runs: Number(SIMULATION_RUNS) })

    t.strictSame(found.slice(0, 10), [], 'replay one with SIMULATION_SEED')
    t.equal(runs, Number(SIMULATION_RUNS))
    // That it went through every change of a record, and met every kind of trouble.
    const happened = Object.keys(counts).sort()
    t.strictSame(
      happened.filter((what) => what.includes(' → ')),
      [
        'attached → attached',
        'none → promoting',
        'promoting → attached',
        'promoting → none',
        'promoting → promoting',
        'promoting → undoing',
        'undoing → none',
        'undoing → undoing',
        'undoing → undone',
        'undone → promoting',
        'undone → undoing',
      ],
    )
    t.strictSame(
      happened.filter((what) => !what.includes(' → ')),
      [
        'BLOCKED_RELATIONSHIP',
        'DATABASE_UNAVAILABLE',
        'MEDIA_ALREADY_USED',
        'MEDIA_PROMOTION_FAILED',
        'OK',
        'REQUEST_IN_PROGRESS',
        'done after it was given up',
        'killed',
        'stands still',
      ],
    )
  },
)

// What is taken away is taken away below the code under test, so that the simulation cannot go blind to it.
const breaks: Record<Break, RegExp> = {
  'updates ignore tokens': /without a message/,
  'settlement ignores tokens': /without its assets/,
  'no leases': /which a message has|without a message|could not be sent/,
  'clocks stand still, too': /which a message has|without a message/,
  'no quiet time': /which a message has|without a message/,
  'directions change': /which a message has/,
  'attached is out of sight': /without a message/,
}

// What takes a rare history begins near the first that shows it, and goes on until another does.
const firstSeeds: Partial<Record<Break, number>> = { 'attached is out of sight': 10_501 }

for (const [what, violation] of Object.entries(breaks)) {
  t.test(`${what}: it is seen`, async (t) => {
    const firstSeed = firstSeeds[what as Break] ?? 1
    const { found } = await simulate({ firstSeed, runs: 20_000, breaks: [what as Break], untilFirst: true })

    t.match(found, [{ violations: [violation] }])
  })
}
