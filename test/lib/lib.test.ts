import t from 'tap'
import { type BatcherOptions, createBatcher, DeadlinePassed, QueueFull } from '../../src/lib/batcher.ts'
import { createClock, deadlineIn, msLeft } from '../../src/lib/deadline.ts'
import { createGate } from '../../src/lib/gate.ts'
import { runEvery } from '../../src/lib/run-every.ts'
import { within } from '../../src/lib/within.ts'
import { eventually } from '../support/eventually.ts'

interface HeldRun {
  items: readonly string[]
  /** Gives each item itself in capitals, those left out excepted. */
  finish(options?: { without?: string }): void
  fail(error: Error): void
}

/** A batcher whose runs end when the test says so. */
function heldBatcher(options: Partial<BatcherOptions<string, string>> = {}) {
  const runs: HeldRun[] = []
  const batcher = createBatcher<string, string>({
    run: (items) =>
      new Promise((resolve, reject) => {
        const results = items.map((item) => [item, item.toUpperCase()] as const)
        runs.push({
          items,
          finish: ({ without } = {}) => resolve(new Map(results.filter(([item]) => item !== without))),
          fail: reject,
        })
      }),
    itemsMax: 3,
    bytesMax: 100,
    runsMax: 1,
    queueItemsMax: 5,
    queueBytesMax: 1_000,
    ...options,
  })
  const add = (item: string, bytes = 1, ms = 60_000): Promise<string> =>
    batcher.add(item, { bytes, deadline: deadlineIn(ms) })
  const run = (at: number): HeldRun => {
    const held = runs[at]
    if (!held) throw new Error(`run ${at} has not begun`)
    return held
  }
  return { add, run, runs }
}

/** The error's name, or what came instead. */
const nameOf = (work: Promise<unknown>): Promise<unknown> =>
  work.catch((error: unknown) => (error instanceof Error ? error.name : error))

t.test('a batcher lets a lone item leave at once', async (t) => {
  const { add, run } = heldBatcher()

  const a = add('a')
  const atOnce = run(0).items
  run(0).finish()

  t.strictSame(atOnce, ['a'])
  t.equal(await a, 'A')
})

t.test('a batcher takes what gathered during a run, first come, first taken, up to its bound', async (t) => {
  const { add, run, runs } = heldBatcher()
  const all = ['a', 'b', 'c', 'd', 'e'].map((item) => add(item))

  run(0).finish()
  await all[0]
  run(1).finish()
  await all[3]
  run(2).finish()

  t.strictSame(await Promise.all(all), ['A', 'B', 'C', 'D', 'E'])
  t.strictSame(
    runs.map(({ items }) => items),
    [['a'], ['b', 'c', 'd'], ['e']],
  )
})

t.test('a batcher bounds the bytes of a run, and an item that is larger goes alone', async (t) => {
  const { add, run, runs } = heldBatcher()
  const all = [add('a'), add('b', 60), add('c', 60), add('d', 101), add('e', 1)]

  run(0).finish()
  await all[0]
  run(1).finish()
  await all[1]
  run(2).finish()
  await all[2]
  run(3).finish()
  await all[3]
  run(4).finish()
  await all[4]

  t.strictSame(
    runs.map(({ items }) => items),
    [['a'], ['b'], ['c'], ['d'], ['e']],
  )
})

t.test('a batcher has no more runs in flight than it may', async (t) => {
  const { add, run, runs } = heldBatcher({ runsMax: 2 })

  const all = ['a', 'b', 'c'].map((item) => add(item))
  const inFlight = runs.length
  run(1).finish()
  await all[1]

  t.equal(inFlight, 2)
  t.strictSame(run(2).items, ['c'])
  run(0).finish()
  run(2).finish()
  t.strictSame(await Promise.all(all), ['A', 'B', 'C'])
})

t.test('a batcher refuses at once what is too many, or too large, to wait', async (t) => {
  const few = heldBatcher({ queueItemsMax: 1 })
  const small = heldBatcher({ queueBytesMax: 10 })
  const taken = [few.add('a'), few.add('b'), small.add('a', 10), small.add('b', 10)]

  const tooMany = await nameOf(few.add('c'))
  const tooLarge = await nameOf(small.add('c', 1))
  few.run(0).finish()
  small.run(0).finish()
  await taken[0]
  await taken[2]
  const againFew = few.add('c')
  const againSmall = small.add('c', 10)

  t.strictSame([tooMany, tooLarge], ['QueueFull', 'QueueFull'])
  t.ok(new QueueFull() instanceof Error)
  few.run(1).finish()
  small.run(1).finish()
  await taken[1]
  await taken[3]
  few.run(2).finish()
  small.run(2).finish()
  t.strictSame(await Promise.all([againFew, againSmall]), ['C', 'C'])
})

t.test('an item ends at its deadline, waiting or in a run, and what waited is not run', async (t) => {
  const { add, run, runs } = heldBatcher()
  const running = nameOf(add('running', 1, 5))
  const waiting = nameOf(add('waiting', 1, 5))
  const patient = add('patient')

  const ended = await Promise.all([running, waiting])
  run(0).finish()
  await eventually(() => runs.length > 1)
  run(1).finish()

  t.strictSame(ended, ['DeadlinePassed', 'DeadlinePassed'])
  t.strictSame(run(1).items, ['patient'])
  t.equal(await patient, 'PATIENT')
})

t.test('an item that has ended gives its place to another, run or not', async (t) => {
  const few = heldBatcher({ queueItemsMax: 1 })
  const small = heldBatcher({ queueBytesMax: 10 })
  void few.add('running')
  void small.add('running')
  await Promise.all([nameOf(few.add('late', 1, 5)), nameOf(small.add('late', 10, 5))])

  const [one, other] = [few.add('a'), small.add('b', 10)]
  few.run(0).finish()
  small.run(0).finish()
  await eventually(() => few.runs.length > 1 && small.runs.length > 1)
  few.run(1).finish()
  small.run(1).finish()

  t.strictSame(await Promise.all([one, other]), ['A', 'B'])
})

t.test('what was too late before it was added is not run', async (t) => {
  const { add, runs } = heldBatcher()

  t.equal(await nameOf(add('late', 1, -1)), 'DeadlinePassed')
  t.strictSame(runs, [])
})

t.test('a run that fails fails its items, and no others', async (t) => {
  const { add, run } = heldBatcher()
  const first = add('a')
  const second = add('b')

  run(0).fail(new TypeError('defect'))
  const failed = await nameOf(first)
  run(1).finish()

  t.equal(failed, 'TypeError')
  t.equal(await second, 'B')
})

t.test('an item that a run leaves out has failed', async (t) => {
  const { add, run } = heldBatcher()
  const first = add('a')
  const [left, given] = [add('b'), add('c')]

  run(0).finish()
  await first
  run(1).finish({ without: 'b' })

  await t.rejects(left, { message: 'a run left out one of its items' })
  t.equal(await given, 'C')
})

t.test('an item that a run leaves out because it is too late is too late', async (t) => {
  const { add, run } = heldBatcher()
  const late = nameOf(add('late', 1, 20))
  const end = deadlineIn(30)

  // The process is busy: the deadline passes, and its timer could not fire.
  while (msLeft(end) > 0);
  run(0).finish({ without: 'late' })

  t.equal(await late, 'DeadlinePassed')
  t.ok(new DeadlinePassed() instanceof Error)
})

t.test('a gate bounds how many are inside', (t) => {
  const gate = createGate(2)

  const first = gate.enter()
  const oneInside = gate.isFull
  const second = gate.enter()
  const tooMany = gate.enter()
  first?.()
  first?.()
  const third = gate.enter()

  t.type(second, 'function')
  t.strictSame([oneInside, tooMany], [false, undefined])
  t.type(third, 'function')
  t.equal(gate.isFull, true)
  t.equal(gate.inside, 2)
  t.equal(gate.enter(), undefined)
  t.end()
})

t.test('a deadline is a point on a clock that only goes forward', (t) => {
  let now = 1_000
  const clock = (): number => now

  const deadline = deadlineIn(50, clock)
  const before = msLeft(deadline, clock)
  now = 1_060

  t.equal(deadline.at, 1_050)
  t.equal(before, 50)
  t.equal(msLeft(deadline, clock), 0)
  t.ok(msLeft(deadlineIn(1_000)) > 0)
  t.end()
})

t.test('a clock counts a sleep of the machine, once, and never goes back', (t) => {
  let [steady, wall] = [500, 1_000_000]
  const clock = createClock(
    () => steady,
    () => wall,
  )
  const pass = (steadyMs: number, wallMs: number): number => {
    steady += steadyMs
    wall += wallMs
    return clock()
  }

  const times = [pass(0, 0), pass(10, 10), pass(0, 60_000), pass(10, 10), pass(10, -90_000), pass(10, 90_000)]

  t.strictSame(times, [500, 510, 60_510, 60_520, 60_530, 60_540])
  t.end()
})

t.test('within gives what came in time, else nothing', async (t) => {
  t.equal(await within(60_000, Promise.resolve('in time')), 'in time')
  t.equal(await within(1, new Promise(() => {})), undefined)
  await t.rejects(within(60_000, Promise.reject(new Error('failed'))), { message: 'failed' })
})

t.test('runEvery runs again after each run, and stops behind the one under way', async (t) => {
  let runs = 0
  const loop = runEvery(1, async () => {
    runs += 1
  })

  await eventually(() => runs >= 3)
  await loop.stop()
  const stopped = runs
  await eventually(() => true)

  t.equal(runs, stopped)
})

t.test('runEvery may begin at once, and its stop waits for the run', async (t) => {
  let finish = (): void => {}
  let stopped = false
  const loop = runEvery(60_000, () => new Promise<void>((resolve) => (finish = resolve)), { first: 'now' })

  const stopping = loop.stop().then(() => {
    stopped = true
  })
  await Promise.resolve()
  const tooEarly = stopped
  finish()
  await stopping

  t.equal(tooEarly, false)
  t.equal(stopped, true)
})
