import { type Static, Type } from '@sinclair/typebox'
import { closed } from './closed.ts'

export const Health = closed(
  { status: Type.Unsafe<'ok'>({ type: 'string', const: 'ok' }) },
  { $id: 'Health', description: 'The service answers.' },
)
export type Health = Static<typeof Health>
