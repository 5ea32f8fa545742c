import { Type, type TProperties, type TSchema } from 'typebox'

import { errorSchema } from './errors.ts'
import { apiLimits } from './limits.ts'

/** Shapes that several routes share. */
export const idText = (description: string) => Type.String({ description, minLength: 1, maxLength: 63 })
export const uuidText = (description: string) => Type.String({ description, format: 'uuid' })
export const amountText = (description: string) => Type.String({ description: `${description}, decimal text` })
export const instantText = (description: string) => Type.String({ description, format: 'date-time' })
export const nullable = <Inner extends TSchema>(inner: Inner) => Type.Union([inner, Type.Null()])
export const oneWord = <const Word extends string>(words: readonly Word[], description: string) =>
  Type.Unsafe<Word>({ type: 'string', enum: [...words], description })

/** Any JSON object, for rows whose columns are documented elsewhere. */
export const openObject = (description: string) => Type.Object({}, { description, additionalProperties: true })

export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({
      description: 'Rows of a page',
      minimum: 1,
      maximum: apiLimits.pageRowsMax,
      default: apiLimits.pageRowsDefault,
    }),
  ),
  cursor: Type.Optional(Type.String({ description: '`next_cursor` of the page before', maxLength: 200 })),
}

export const timeQuery = {
  from: Type.Optional(instantText('Not before')),
  to: Type.Optional(instantText('Before')),
}

export const queryOf = <Properties extends TProperties>(properties: Properties) =>
  Type.Object(properties, { additionalProperties: false })

/** `{ items, next_cursor }`. */
export const pageOf = <Item extends TSchema>(item: Item) =>
  Type.Object({
    items: Type.Array(item),
    next_cursor: nullable(Type.String({ description: 'Of the next page; null: this is the last one' })),
  })

/** The answers of a route: its own, and errors in their one shape. */
export const answers = <Answer extends TSchema>(answer: Answer, status: 200 | 201 = 200) => ({
  [status]: answer,
  '4xx': errorSchema,
  '5xx': errorSchema,
})
