import type { Fault, Matcher } from '../../../src/dev/cloudinary/faults.ts'
import type { CloudinaryStandIn } from '../../../src/dev/cloudinary/server.ts'
import { callsAbout, promotionOf, undoOf } from '../media.ts'
import type { Trio } from './trio.ts'

export interface SlowAnswer {
  what: string
  /** Slows the calls about one of three; gives the call that is slow first. */
  strikes(trio: Trio, at: number): Matcher
}

export interface Slowness extends SlowAnswer {
  /** The item that fails, and is named. */
  failing(at: number): number
  /** Where the slow one is when the message is answered. */
  leaves: 'temp' | 'messages'
  /** Where it is once the call that the storage held has landed. */
  landed?: 'temp' | 'messages'
}

type Struck = Pick<Slowness, 'strikes' | 'failing'>

const hang: Fault = { kind: 'hang' }
const hangAfter: Fault = { kind: 'hang-after' }
// More often than any idle time-out looks.
const drip: Fault = { kind: 'drip', everyMs: 300, when: 'before' }
const dripAfter: Fault = { kind: 'drip', everyMs: 300 }

export interface Slownesses {
  /** Who looks finds it done. */
  stored: SlowAnswer[]
  /** Of these promotions nothing is known. */
  unknown: Slowness[]
  /** And of these undos: before the second look nobody may promote it again. */
  barred: Slowness[]
}

/** Each way in which a storage can let wait; what it holds lands when `held` is kept. */
export function slownessesOf({ faults }: CloudinaryStandIn, held: Promise<void>): Slownesses {
  const hold: Fault = { kind: 'hold', until: held, when: 'before' }

  function promotion(fault: Fault): Struck {
    function strikes(trio: Trio, at: number): Matcher {
      faults.on(trio.promotionAt(at), fault)
      return trio.promotionAt(at)
    }
    return { strikes, failing: (at) => at }
  }

  /** The promotion, and whatever is asked about the upload then. */
  function everything(fault: Fault): Struck {
    function strikes(trio: Trio, at: number): Matcher {
      const id = trio.ids[at] ?? ''
      faults.on(trio.promotionAt(at), fault)
      faults.on((call) => callsAbout(id)(call) && !promotionOf(id)(call), hang)
      return trio.promotionAt(at)
    }
    return { strikes, failing: (at) => at }
  }

  /** The way back, because another one is refused. */
  function undo(fault: Fault): Struck {
    const another = (at: number): number => (at + 1) % 3
    function strikes(trio: Trio, at: number): Matcher {
      const isUndo = undoOf(trio.ids[at] ?? '')
      faults.on(trio.promotionAt(another(at)), { kind: 'status', status: 400 })
      faults.on(isUndo, fault)
      return isUndo
    }
    return { strikes, failing: another }
  }

  const [temp, messages] = [{ leaves: 'temp' }, { leaves: 'messages' }] as const
  return {
    stored: [
      { what: 'hangs after the deed', ...promotion(hangAfter) },
      { what: 'drips after the deed', ...promotion(dripAfter) },
    ],
    unknown: [
      { what: 'hangs', ...promotion(hang), ...temp },
      { what: 'drips for ever', ...promotion(drip), ...temp },
      { what: 'lands after the answer', ...promotion(hold), ...temp, landed: 'messages' },
      { what: 'hangs, like all that is asked then', ...everything(hang), ...temp },
      { what: 'hangs after the deed, like all then', ...everything(hangAfter), ...messages },
    ],
    barred: [
      { what: 'hangs on its way back', ...undo(hang), ...messages },
      { what: 'drips for ever on its way back', ...undo(drip), ...messages },
      { what: 'hangs when it is back', ...undo(hangAfter), ...temp },
      { what: 'goes back after the answer', ...undo(hold), ...messages, landed: 'temp' },
    ],
  }
}
