import type { Outcome } from './scenario.ts'

export interface Row {
  name: string
  outcome: Outcome
}

const headings = [
  'scenario',
  'acknowledged',
  'found',
  'lost',
  'doubled',
  'no answer / 503',
  'longest gap s',
  'back at 80 % after s',
  'held',
]

/** What could not be carried out has shown nothing: that is a broken invariant, too. */
export function failed(error: unknown): Outcome {
  const numbers = { acknowledged: 0, found: 0, lost: 0, doubled: 0, unanswered: 0, unavailable: 0 }
  const sentence = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { ...numbers, longestGapS: 0, recoveryS: undefined, broken: [sentence], notes: [] }
}

/** Markdown, padded so that it reads as a table on a terminal, too; below it, what each scenario has to add. */
export function reportOf(rows: readonly Row[]): string {
  const cells = [headings, ...rows.map(cellsOf)]
  const widths = headings.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)))
  const lines = cells.map(
    (line) => `| ${line.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join(' | ')} |`,
  )
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  const [head = '', ...body] = lines
  return [head, rule, ...body, '', ...rows.flatMap(remarksOf)].join('\n')
}

function cellsOf({ name, outcome }: Row): string[] {
  return [
    name,
    ...[outcome.acknowledged, outcome.found, outcome.lost, outcome.doubled].map((count) =>
      count.toLocaleString('en'),
    ),
    `${outcome.unanswered} / ${outcome.unavailable}`,
    outcome.longestGapS.toFixed(1),
    outcome.recoveryS?.toFixed(1) ?? 'never',
    outcome.broken.length === 0 ? 'yes' : 'NO',
  ]
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}

function remarksOf({ name, outcome }: Row): string[] {
  const remarks = [...outcome.broken.map((each) => `BROKEN: ${each}`), ...outcome.notes]
  return remarks.map((remark) => `${name}: ${remark}`)
}
