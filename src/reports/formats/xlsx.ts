import { Zip, ZipDeflate, ZipPassThrough } from 'fflate'

import { WaypostError } from '#platform/errors'

import { headOf, type Cell, type CellType, type HeaderKind, type TableColumn } from './table.ts'

/** XLSX (ECMA-376): a zip of XML with one sheet, written row by row. Texts stand in their cells and not in a shared table, which
 * would have to be held until the end. Text is text, so nothing of it is ever a formula.
 */

/** Of a sheet, heads included. */
export const SHEET_ROWS_MAX = 1_048_576
/** A part of a zip that is written as a stream says its length in 32 bits. */
const SHEET_BYTES_MAX = 4_000_000_000
/** Of a cell. */
const TEXT_CHARACTERS_MAX = 32_767

const HEADER_STYLE = 1
/** Positions in `cellXfs` below. */
const styles: Readonly<Record<CellType, number>> = {
  ...{ text: 0, flag: 0, pairs: 0, integer: 2, decimal: 3, percent: 4, money: 5, seconds: 6, date: 7, time: 8 },
}

const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
const MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006'
const SHEET_TYPE = 'application/vnd.openxmlformats-officedocument.spreadsheetml'

/** Every part but the sheet. */
const parts: Readonly<Record<string, string>> = {
  '[Content_Types].xml': `${XML}<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="${SHEET_TYPE}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="${SHEET_TYPE}.worksheet+xml"/><Override PartName="/xl/styles.xml" ContentType="${SHEET_TYPE}.styles+xml"/></Types>`,
  '_rels/.rels': `${XML}<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
  'xl/workbook.xml': `${XML}<workbook ${MAIN} xmlns:r="${OFFICE}"><sheets><sheet name="Waypost" sheetId="1" r:id="rId1"/></sheets></workbook>`,
  'xl/_rels/workbook.xml.rels': `${XML}<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${OFFICE}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="${OFFICE}/styles" Target="styles.xml"/></Relationships>`,
  'xl/styles.xml': `${XML}<styleSheet ${MAIN}><numFmts count="4"><numFmt numFmtId="164" formatCode="#,##0.00####"/><numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd"/><numFmt numFmtId="166" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss.000"/><numFmt numFmtId="167" formatCode="0.######"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="9">${cellFormats()}</cellXfs></styleSheet>`,
}

function cellFormats(): string {
  const xf = (format: number, font = 0): string =>
    `<xf numFmtId="${format}" fontId="${font}" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"${font > 0 ? ' applyFont="1"' : ''}/>`
  // General, heads, #,##0, decimals, 0.00%, money, seconds, days, times.
  return [xf(0), xf(0, 1), xf(3), xf(167), xf(10), xf(164), xf(167), xf(165), xf(166)].join('')
}

const SHEET_HEAD = `${XML}<worksheet ${MAIN}><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>`
const SHEET_END = '</sheetData></worksheet>'

const PART_CHARACTERS = 65_536

/** The bytes of a table as XLSX.
 * @throws {WaypostError} export_too_large: more rows than a sheet has
 */
export async function* writeXlsx(
  columns: readonly TableColumn[],
  rows: AsyncIterable<readonly Cell[]>,
  { headers, rowsMax = SHEET_ROWS_MAX }: { readonly headers: HeaderKind; readonly rowsMax?: number },
): AsyncIterable<Uint8Array> {
  const out: Uint8Array[] = []
  let failure: Error | null = null
  const zip = new Zip((error, bytes) => {
    failure = error
    out.push(bytes)
  })
  const taken = function* (): Iterable<Uint8Array> {
    if (failure !== null) throw failure
    yield* out.splice(0)
  }
  for (const [name, text] of Object.entries(parts)) {
    const part = new ZipPassThrough(name)
    zip.add(part)
    part.push(Buffer.from(text), true)
  }
  const sheet = new ZipDeflate('xl/worksheets/sheet1.xml', { level: 3 })
  zip.add(sheet)
  let sheetBytes = 0
  const push = (text: string, isLast = false): void => {
    const bytes = Buffer.from(text)
    sheetBytes += bytes.length
    if (sheetBytes > SHEET_BYTES_MAX) throw tooLarge(`A sheet has at most ${SHEET_BYTES_MAX} bytes`)
    sheet.push(bytes, isLast)
  }
  const letters = columns.map((_, index) => lettersOf(index))
  let text = SHEET_HEAD + rowXml(1, columns.map((column, at) => textXml(`${letters[at]}1`, headOf(column, headers), HEADER_STYLE))) // prettier-ignore
  let row = 1
  for await (const cells of rows) {
    if (++row > rowsMax) throw tooLarge(`A sheet has at most ${rowsMax - 1} rows besides its heads`)
    text += rowXml(row, cells.map((cell, at) => cellXml(`${letters[at]}${row}`, cell, columns[at]!.type)))
    if (text.length < PART_CHARACTERS) continue
    push(text)
    text = ''
    yield* taken()
  }
  push(text + SHEET_END, true)
  zip.end()
  yield* taken()
} // prettier-ignore

const tooLarge = (what: string): WaypostError => new WaypostError('export_too_large', `${what}: take CSV or Parquet.`)

const rowXml = (row: number, cells: readonly string[]): string => `<row r="${row}">${cells.join('')}</row>`

/** 0 → A, 26 → AA. */
function lettersOf(index: number): string {
  const last = String.fromCharCode(65 + (index % 26))
  return index < 26 ? last : lettersOf(Math.floor(index / 26) - 1) + last
}

function cellXml(place: string, cell: Cell, type: CellType): string {
  if (cell === null || cell === '') return ''
  const style = styles[type]
  if (typeof cell === 'boolean') return `<c r="${place}" t="b"><v>${cell ? 1 : 0}</v></c>`
  if (typeof cell === 'object') return textXml(place, JSON.stringify(cell), style)
  const number = numberOf(cell, type)
  return number === undefined ? textXml(place, String(cell), 0) : `<c r="${place}" s="${style}"><v>${number}</v></c>`
}

const DECIMAL = /^-?\d+(\.\d+)?$/

/** What a sheet holds as a number; undefined: it is text. */
function numberOf(cell: string | number, type: CellType): string | number | undefined {
  if (type === 'text' || type === 'flag' || type === 'pairs') return undefined
  if (type === 'date' || type === 'time') return serialOf(String(cell))
  if (typeof cell === 'number') return Number.isFinite(cell) ? cell : undefined
  return DECIMAL.test(cell) ? cell : undefined
}

const DAY_MS = 86_400_000
/** Days between the beginning of the serial numbers and of the Unix epoch. */
const EPOCH_DAYS = 25_569
/** Of a day: nine microseconds each. */
const SERIAL_PARTS = 1e10

/** A day or a time as it stands on the clock of its own zone: sheets know no zones. */
function serialOf(text: string): number | undefined {
  const [, day, clock = '00:00:00'] =
    /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?))?/.exec(text) ?? []
  const ms = Date.parse(`${day}T${clock}Z`)
  if (Number.isNaN(ms)) return undefined
  const serial = ms / DAY_MS + EPOCH_DAYS
  // A hair above: readers that cut off below milliseconds find the one that is meant.
  return ms % DAY_MS === 0 ? serial : (Math.ceil(serial * SERIAL_PARTS) + 1) / SERIAL_PARTS
}

const textXml = (place: string, text: string, style: number): string =>
  `<c r="${place}" t="inlineStr"${style > 0 ? ` s="${style}"` : ''}><is><t xml:space="preserve">${escapeXml(text.slice(0, TEXT_CHARACTERS_MAX))}</t></is></c>`

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' }

/** Signs that XML has no way to write are replaced; `_x0041_` means a sign in XLSX and is written so that it stays what it is. */
const escapeXml = (text: string): string =>
  text
    .replace(/_(?=x[0-9A-Fa-f]{4}_)/g, '_x005F_')
    .replace(/[&<>\r]/g, (sign) => entities[sign]!)
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
