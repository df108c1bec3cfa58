import { StatementRefused, type Written } from './collections.ts'
import type { Fields } from './expressions.ts'

/** A command on its way through the database: steps, between which others may come, and then a reply. */
export interface Work {
  readonly steps: (() => void)[]
  reply(): Fields
}

export function answered(reply: Fields): Work {
  return { steps: [], reply: () => reply }
}

export function looking(look: () => Fields[]): Work {
  let firstBatch: Fields[] = []
  const step = (): void => {
    firstBatch = look()
  }
  return { steps: [step], reply: () => ({ cursor: { firstBatch }, ok: 1 }) }
}

/** An ordered command ends at the first statement that is refused. */
export function writing(
  statements: readonly Fields[],
  isOrdered: boolean,
  carryOut: (statement: Fields) => Written,
): Work {
  let n = 0
  const upserted: Fields[] = []
  const writeErrors: Fields[] = []
  const steps = statements.map((statement, index) => () => {
    if (isOrdered && writeErrors.length > 0) return
    try {
      const written = carryOut(statement)
      n += written.n
      if (written.upsertedId !== undefined) upserted.push({ index, _id: written.upsertedId })
    } catch (error) {
      if (!(error instanceof StatementRefused)) throw error
      writeErrors.push({ index, code: error.code, errmsg: error.message })
    }
  })
  const reply = (): Fields => ({
    ok: 1,
    n,
    ...(upserted.length > 0 ? { upserted } : {}),
    ...(writeErrors.length > 0 ? { writeErrors } : {}),
  })
  return { steps, reply }
}
