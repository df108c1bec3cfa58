import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Deadline, msLeft } from './deadline.ts'

// At 0.1 ms of work each, some milliseconds between two looks at the network.
const turnItems = 32

export interface BatcherOptions<T, R> {
  /**
   * Total: gives each item its own result, and never throws for one of them. It may leave out an item whose deadline has
   * passed; any other that it leaves out counts as a defect.
   */
  run(items: readonly T[]): Promise<ReadonlyMap<T, R>>
  /** Bounds of one run. An item larger than `bytesMax` goes alone. */
  itemsMax: number
  bytesMax: number
  /** Runs in flight. */
  runsMax: number
  /** Bounds of what waits; beyond either, `add` throws `QueueFull`. */
  queueItemsMax: number
  queueBytesMax: number
}

export interface Batcher<T, R> {
  /**
   * Resolves to the item's result, at the latest at its deadline.
   * Throws `QueueFull` at once, `DeadlinePassed` when the result did not come in time (the run may still finish it).
   */
  add(item: T, options: { bytes: number; deadline: Deadline }): Promise<R>
}

export class QueueFull extends Error {
  override readonly name = 'QueueFull'
}

export class DeadlinePassed extends Error {
  override readonly name = 'DeadlinePassed'
}

interface Waiting<T, R> {
  item: T
  bytes: number
  deadline: Deadline
  resolve(result: R): void
  reject(error: unknown): void
}

/**
 * Takes together what arrives while earlier work is in flight. Without it each item pays the whole cost of a round trip;
 * with a timer a lone item would pay the timer. Here a lone item leaves at once, and under load a run takes whatever has
 * gathered during the one before. Fair: first come, first taken.
 */
export function createBatcher<T, R>(options: BatcherOptions<T, R>): Batcher<T, R> {
  const queue = new Set<Waiting<T, R>>()
  let queueBytes = 0
  let runs = 0

  function add(item: T, { bytes, deadline }: { bytes: number; deadline: Deadline }): Promise<R> {
    if (queue.size >= options.queueItemsMax || queueBytes + bytes > options.queueBytesMax) {
      return Promise.reject(new QueueFull('too much is waiting'))
    }
    return new Promise<R>((resolve, reject) => {
      const waiting: Waiting<T, R> = { item, bytes, deadline, resolve, reject }
      settleAtDeadline(waiting, leave)
      queue.add(waiting)
      queueBytes += bytes
      startRuns()
    })
  }

  /** Also at its deadline: its place is somebody else's then. */
  function leave(waiting: Waiting<T, R>): void {
    if (queue.delete(waiting)) queueBytes -= waiting.bytes
  }

  function startRuns(): void {
    while (runs < options.runsMax && queue.size > 0) {
      const batch = take()
      if (batch.length > 0) void run(batch)
    }
  }

  /** What fits into one run, from the head. Items whose deadline has passed are dropped: nobody waits for them. */
  function take(): Waiting<T, R>[] {
    const batch: Waiting<T, R>[] = []
    let bytes = 0
    for (const waiting of queue) {
      const fits = batch.length < options.itemsMax && bytes + waiting.bytes <= options.bytesMax
      if (!fits && batch.length > 0) break
      leave(waiting)
      // Its timer may be late, when the process was busy.
      if (msLeft(waiting.deadline) === 0) continue
      bytes += waiting.bytes
      batch.push(waiting)
    }
    return batch
  }

  async function run(batch: Waiting<T, R>[]): Promise<void> {
    runs += 1
    const settle = await options.run(batch.map(({ item }) => item)).then(
      (results) => (waiting: Waiting<T, R>) => settleFrom(results, waiting),
      (error: unknown) => (waiting: Waiting<T, R>) => waiting.reject(error),
    )
    runs -= 1
    startRuns()
    await inTurns(batch, settle)
  }

  return { add }
}

/**
 * What waits for a result goes on at once, and all of a batch together would keep the process busy for as long as a run
 * takes, with the next run's first answer waiting behind it.
 */
async function inTurns<W>(batch: readonly W[], settle: (waiting: W) => void): Promise<void> {
  for (let at = 0; at < batch.length; at += turnItems) {
    if (batch.length > turnItems) await nextTurn()
    for (const waiting of batch.slice(at, at + turnItems)) settle(waiting)
  }
}

function settleFrom<T, R>(results: ReadonlyMap<T, R>, waiting: Waiting<T, R>): void {
  const result = results.get(waiting.item)
  if (result !== undefined) waiting.resolve(result)
  else if (msLeft(waiting.deadline) === 0) waiting.reject(tooLate())
  else waiting.reject(new Error('a run left out one of its items'))
}

function tooLate(): DeadlinePassed {
  return new DeadlinePassed('no result in time')
}

/** Each item ends at its own deadline whatever its run does. */
function settleAtDeadline<T, R>(waiting: Waiting<T, R>, onSettled: (waiting: Waiting<T, R>) => void): void {
  const { resolve, reject } = waiting
  const timer = setTimeout(() => waiting.reject(tooLate()), msLeft(waiting.deadline))
  function settle(): void {
    clearTimeout(timer)
    onSettled(waiting)
  }
  waiting.resolve = (result) => {
    settle()
    resolve(result)
  }
  waiting.reject = (error) => {
    settle()
    reject(error)
  }
}
