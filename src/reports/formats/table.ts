/** A table that is written in some format: heads, and rows that come one by one. */
export type TableColumn = {
  readonly name: string
  /** For people. */
  readonly title: string
  readonly type: CellType
}

/** How a cell is written where the format knows types. `money`: decimal text; `percent`: a share of 1; `time`: ISO 8601 with offset or Z,
 * shown in UTC; `date`: YYYY-MM-DD; `pairs`: an object.
 */
export type CellType =
  'text' | 'integer' | 'decimal' | 'percent' | 'money' | 'seconds' | 'time' | 'date' | 'flag' | 'pairs'

export type Cell = string | number | boolean | null | Readonly<Record<string, string>>

/** Which words stand at the head of a column. */
export const headerKinds = ['name', 'title'] as const
export type HeaderKind = (typeof headerKinds)[number]

export const headOf = (column: TableColumn, headers: HeaderKind): string =>
  headers === 'name' ? column.name : column.title
