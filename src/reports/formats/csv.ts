import { headOf, type Cell, type HeaderKind, type TableColumn } from './table.ts'

/** CSV after RFC 4180: UTF-8, commas, CRLF, quotes doubled.
 *
 * A spreadsheet takes a text that begins with = + - @, tab or carriage return for a formula, and some of those fetch addresses or
 * start programs. Such a text gets an apostrophe before it, which spreadsheets take for "this is text". Numbers, amounts and times are
 * ours and stay as they are.
 * @see OWASP, "CSV Injection"
 */
const FORMULA = /^[=+\-@\t\r]/

export const guardFormula = (text: string): string => (FORMULA.test(text) ? `'${text}` : text)

/** Tells spreadsheets of Windows that the bytes are UTF-8. */
export const BYTE_ORDER_MARK = '\uFEFF'

export type CsvOptions = { readonly headers: HeaderKind; readonly isMarked: boolean }

/** The first line. */
export const csvHead = (columns: readonly TableColumn[], { headers, isMarked }: CsvOptions): string =>
  (isMarked ? BYTE_ORDER_MARK : '') + csvLine(columns.map((column) => guardFormula(headOf(column, headers))))

/** The bytes of a table as CSV. */
export async function* writeCsv(
  columns: readonly TableColumn[],
  rows: AsyncIterable<readonly Cell[]>,
  options: CsvOptions,
): AsyncIterable<Uint8Array> {
  yield* gathered(csvHead(columns, options), rows, (row) => csvLine(row.map((cell, at) => csvCell(cell, columns[at]!))))
}

function csvCell(cell: Cell, { type }: TableColumn): string {
  if (cell === null) return ''
  if (typeof cell === 'object') return guardFormula(JSON.stringify(cell))
  return typeof cell === 'string' && type === 'text' ? guardFormula(cell) : String(cell)
}

const NEEDS_QUOTES = /[",\r\n]/
const csvLine = (cells: readonly string[]): string =>
  `${cells.map((cell) => (NEEDS_QUOTES.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`

/** One JSON object on each line. */
export async function* writeJsonLines(
  columns: readonly TableColumn[],
  rows: AsyncIterable<readonly Cell[]>,
): AsyncIterable<Uint8Array> {
  const line = (row: readonly Cell[]): string =>
    `${JSON.stringify(Object.fromEntries(columns.map(({ name }, at) => [name, row[at]])))}\n`
  yield* gathered('', rows, line)
}

const PART_CHARACTERS = 65_536

/** Lines as bytes, many at once. */
async function* gathered(
  head: string,
  rows: AsyncIterable<readonly Cell[]>,
  toLine: (row: readonly Cell[]) => string,
): AsyncIterable<Uint8Array> {
  let text = head
  for await (const row of rows) {
    text += toLine(row)
    if (text.length < PART_CHARACTERS) continue
    yield Buffer.from(text)
    text = ''
  }
  if (text !== '') yield Buffer.from(text)
}
