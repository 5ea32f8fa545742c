import { Type } from 'typebox'

import type { MissingDays } from '#reports'

/** What an answer lacks of days that were retired. */
export const missingDays = Type.Array(
  Type.Object({
    table: Type.String(),
    from: Type.String({ description: 'First day, UTC' }),
    to: Type.String({ description: 'Last day' }),
    columns: Type.Array(Type.String(), { description: 'What the answer needs and is no longer kept' }),
    why: Type.String({ description: 'See docs/retention.md' }),
  }),
  { description: 'Days whose retired rows are not in this answer' },
)

export const missingDaysJson = (missing: readonly MissingDays[]) =>
  missing.map(({ columns, ...days }) => ({ ...days, columns: [...columns] }))
