import { Type } from 'typebox'

import type { Change, Issue } from '#configuration'

import { errorBody, errorSchema } from './errors.ts'
import { oneWord } from './schemas.ts'

/** Differences of the configuration and mistakes in a file, as several routes answer them. */
export const changeSchema = Type.Object({
  kind: oneWord(['added', 'changed', 'removed'], 'What happens to it'),
  object: Type.String({ description: 'advertiser, affiliate, offer, campaign, link, endpoint or setting' }),
  id: Type.String(),
  fields: Type.Array(
    Type.Object({ path: Type.String(), before: Type.Optional(Type.String()), after: Type.Optional(Type.String()) }),
  ),
})

/** A copy that the serialiser may have. */
export const changesJson = (changes: readonly Change[]) => changes.map((one) => ({ ...one, fields: [...one.fields] }))

export const issuesSchema = Type.Object({
  ...errorSchema.properties,
  issues: Type.Array(
    Type.Object({
      line: Type.Integer(),
      column: Type.Integer(),
      path: Type.String(),
      code: Type.String({ description: 'See docs/configuration.md' }),
      message: Type.String(),
      hint: Type.Optional(Type.String()),
    }),
  ),
})

/** The answer 422 with every mistake of a file. */
export const issuesBody = (issues: readonly Issue[]) => ({
  ...(errorBody(
    'configuration_invalid',
    issues.length === 1 ? 'There is 1 mistake.' : `There are ${issues.length} mistakes.`,
  ) as { error: never }),
  issues: [...issues],
})
