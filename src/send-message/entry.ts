import assert from 'node:assert/strict'
import type { MessageDocument } from '../collections.ts'
import type { Refusal } from '../errors.ts'
import { WriteRejected, type WriteResult } from './commands.ts'
import type { Draft } from './draft.ts'

/** A draft on its way into the database, with the message that it becomes: kept through every repeat. */
export interface Entry {
  readonly draft: Draft
  readonly message: MessageDocument
  /** Of the draft's media records; `undefined` where there is no media. */
  readonly claimToken: string | undefined
}

export type Outcome =
  | { kind: 'stored'; message: MessageDocument }
  | { kind: 'replayed'; message: MessageDocument }
  | { kind: 'refused'; refusal: Refusal }
  /** Only this one could not be judged or written: a defect of ours or of its data. */
  | { kind: 'failed'; cause: unknown }

/** The server refused one entry's write and named it: nothing of the batch was stored, and the others may go on. */
export class EntryRejected extends Error {
  override readonly name = 'EntryRejected'
  readonly code: number
  constructor(
    readonly entry: Entry,
    cause: WriteRejected,
  ) {
    super(cause.message, { cause })
    this.code = cause.code
  }
}

/** Says whose write it was, where the writes stand in the entries' order. */
export async function naming(
  entries: readonly Entry[],
  send: () => Promise<WriteResult>,
): Promise<WriteResult> {
  try {
    return await send()
  } catch (error) {
    if (!(error instanceof WriteRejected)) throw error
    const entry = entries[error.index]
    assert(entry, 'the server names a write by its position in what was sent')
    throw new EntryRejected(entry, error)
  }
}
