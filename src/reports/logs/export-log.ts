import type { CompiledQuery } from '../compile-report.ts'
import type { CellType, TableColumn } from '../formats/table.ts'
import { factsSource } from '../source.ts'
import { csvSql, textSql, typedSql, type LogColumn, type LogType } from './log-columns.ts'
import type { LogQuery } from './parse-log.ts'

const cellTypes: Readonly<Record<LogType, CellType>> = {
  text: 'text',
  id: 'text',
  time: 'time',
  number: 'integer',
  money: 'money',
  flag: 'flag',
  pairs: 'pairs',
}

/** The columns as those of a table. */
export const logTable = (columns: readonly LogColumn[]): readonly TableColumn[] =>
  columns.map(({ name, title, type }) => ({ name, title, type: cellTypes[type] }))

/** How many rows an export has. */
export function compileLogCount({ log, range, where }: LogQuery): CompiledQuery {
  const { sql, params } = where(range)
  return { sql: `SELECT count() AS rows FROM ${factsSource(log)} WHERE ${sql}`, params }
}

const cellSql = {
  // What is unknown takes no room.
  CSV: (column: LogColumn) =>
    ['text', 'time', 'pairs'].includes(column.type) ? `nullIf(${csvSql(column)}, '')` : csvSql(column),
  JSONEachRow: (column: LogColumn) => (column.type === 'time' ? `nullIf(${textSql(column)}, '')` : textSql(column)),
  JSONCompactEachRow: (column: LogColumn) =>
    column.type === 'time' ? `nullIf(${textSql(column)}, '')` : textSql(column),
  Parquet: typedSql,
} as const

/** Every row of a log in a format: day by day, in no set order within a day, because a sort would have to hold them all. */
export function compileLogExport(
  { log, columns, range, where }: LogQuery,
  format: keyof typeof cellSql,
): CompiledQuery {
  const { sql, params } = where(range)
  const toCell = cellSql[format]
  // Named outside: a name that hides a column would stand for it in the conditions.
  const inner = columns.map((column, index) => `${toCell(column)} AS c${index}`)
  const outer = columns.map(({ name }, index) => `c${index} AS ${name}`)
  return {
    sql: `SELECT ${outer.join(', ')} FROM (SELECT ${inner.join(', ')} FROM ${factsSource(log)} WHERE ${sql})`,
    params,
  }
}
