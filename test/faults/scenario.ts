import type { Db } from 'mongodb'
import type { CloudinaryStandIn } from '../../src/dev/cloudinary/server.ts'
import type { Members } from './support/members.ts'
import type { Progress } from './support/progress.ts'
import type { ServiceOptions, ServiceProcess } from './support/services.ts'

/**
 * One fault, or one kind of load, and what must hold through it. `run.ts` finds every file `*.scenario.ts` below this
 * folder and takes its export `scenarios`; whoever adds one edits no other file.
 */
export interface Scenario {
  /** Begins its row in the table; `--only` looks here. */
  name: string
  /** Longer than the load it makes: what has not ended by then counts as broken. 5 minutes unless told. */
  timeoutMs?: number
  /** What it finds is its outcome. Throws only when it could not be carried out. */
  run(stage: Stage): Promise<Outcome>
}

/** What a scenario plays on. The members are the run's, everything else its own; `run.ts` clears it all away. */
export interface Stage {
  /** How long a scenario that can choose keeps up its load (`--seconds`). */
  seconds: number
  members: Members
  /** An empty database of this scenario's, by a client that no fault touches: for people, and for the count. */
  db: Db
  /** The address of that database, for a service; more options may be put behind it. */
  mongodbUri(options?: Record<string, string>): string
  storage: CloudinaryStandIn
  /** A process of the service as `npm start` starts it, up and answering. */
  startService(options?: ServiceOptions): Promise<ServiceProcess>
  progress: Progress
  /** Called, last one first, when the scenario has ended, however it did. */
  onEnd(clearAway: () => Promise<void> | void): void
}

/** One row. */
export interface Outcome {
  /** Messages for which a client holds a 200. */
  acknowledged: number
  /** Messages in the database. */
  found: number
  /** Acknowledged, and not there under the id of the answer. */
  lost: number
  /** Stored more than once. */
  doubled: number
  /** Tries that ended without an answer: refused, cut, or given up by the client. */
  unanswered: number
  /** Tries that were answered with 503. */
  unavailable: number
  longestGapS: number
  /** From a fault to 80 % of the rate before, the longest of all; 0 where it never fell, `undefined` where it never came. */
  recoveryS: number | undefined
  /** A sentence for each thing that must hold and did not; empty: the invariant held. */
  broken: string[]
  /** Figures of this scenario's own, told below the table. */
  notes: string[]
}
