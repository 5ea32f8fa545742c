import { factsMoment, factsYears } from '#platform/clock'
import { MICROS_MAX, parseAmount, parseCurrency } from '#platform/money'

import { isCostDimension, type CostRow } from './cost-row.ts'
import { costLimits } from './limits.ts'
import { readCsv } from './read-csv.ts'

/** A row as somebody sends it: `date`, or `from` and `to`; `amount`; `currency`; and values of dimensions. */
export type GivenRow = Readonly<Record<string, string | number>>

export type ReadCosts =
  | { readonly kind: 'rows'; readonly rows: readonly CostRow[] }
  | { readonly kind: 'invalid'; readonly path: string; readonly detail: string }

type Defaults = { readonly timezone: string; readonly currency: string | undefined }

/** Reads rows of an import. One that cannot be read refuses all, with its place: half of a bill is no bill. */
export function readCosts(given: readonly GivenRow[], defaults: Defaults): ReadCosts {
  if (given.length === 0) return invalid('rows', 'there is no row')
  if (given.length > costLimits.rowsMax)
    return invalid('rows', `there are ${given.length} rows, at most ${costLimits.rowsMax} are taken: send them in parts, each with a key of its own`) // prettier-ignore
  const rows: CostRow[] = []
  for (const [index, one] of given.entries()) {
    const row = readRow(one, index + 1, defaults)
    if ('path' in row) return { ...row, path: `rows/${index}${row.path === '' ? '' : `/${row.path}`}` }
    rows.push(row)
  }
  const merged = addUpEqual(rows)
  const huge = merged.find(({ amountMicros }) => amountMicros > MICROS_MAX || amountMicros < -MICROS_MAX)
  if (huge !== undefined)
    return invalid(`rows/${huge.rowNo - 1}/amount`, 'with rows that name the same it is too large')
  const crowded = layersOf(merged).length > costLimits.overlapsMax
  if (crowded) return invalid('rows', `more than ${costLimits.overlapsMax} rows name the same values for times that overlap`) // prettier-ignore
  return { kind: 'rows', rows: merged }
}

/** Rows of a CSV text: the first line names the columns.
 * @returns each row by the names of its columns, empty cells left out
 */
export function readCostCsv(text: string): { readonly rows: readonly GivenRow[] } | { readonly problem: string } {
  const lines = readCsv(text)
  if (lines === undefined) return { problem: 'a quote is never closed' }
  const [header, ...rest] = lines
  if (header === undefined) return { problem: 'it is empty' }
  const names = header.cells.map((cell) => aliasOf(cell.trim().toLowerCase()))
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) return { problem: `the first line names "${twice}" twice` }
  const unlike = rest.find(({ cells }) => cells.length !== names.length)
  if (unlike !== undefined)
    return { problem: `line ${unlike.line} has ${unlike.cells.length} cells, the first line has ${names.length}` }
  return {
    rows: rest.map(({ cells }) =>
      Object.fromEntries(
        cells.flatMap((cell, index) => (cell.trim() === '' ? [] : [[names[index]!, cell.trim()] as const])),
      ),
    ),
  }
}

/** What exports of ad systems call the same. */
const ALIASES: Readonly<Record<string, string>> = { day: 'date', cost: 'amount', spend: 'amount', spent: 'amount' }
const aliasOf = (name: string): string => ALIASES[name] ?? name

type Refusal = Extract<ReadCosts, { kind: 'invalid' }>
const invalid = (path: string, detail: string): Refusal => ({ kind: 'invalid', path, detail })

function readRow(given: GivenRow, rowNo: number, defaults: Defaults): CostRow | Refusal {
  const { date, from = date, to = date, amount, currency: code, ...values } = given
  if (date !== undefined && (given['from'] !== undefined || given['to'] !== undefined))
    return invalid('date', 'it stands beside from or to: a row has a date, or from and to')
  const startsMs = momentOf(from, defaults.timezone, 0)
  if (startsMs === undefined) return invalid(date === undefined ? 'from' : 'date', MOMENT)
  const endsMs = momentOf(to, defaults.timezone, 1)
  if (endsMs === undefined) return invalid('to', MOMENT)
  if (endsMs <= startsMs) return invalid('to', '"to" is not after "from"')
  if (endsMs - startsMs > (costLimits.daysMax + 0.1) * DAY_MS)
    return invalid('to', `"to" is more than ${costLimits.daysMax} days after "from"`)
  const amountMicros = amount === undefined ? undefined : parseAmount(amount)
  if (amountMicros === undefined)
    return invalid('amount', amount === undefined ? 'it is missing' : `"${amount}" is no amount such as 12.50`)
  const currency = code === undefined ? defaults.currency : parseCurrency(String(code))
  if (currency === undefined)
    return invalid('currency', code === undefined ? 'it is missing' : `"${code}" is no ISO 4217 code`)
  const dimensions = readDimensions(values)
  if ('path' in dimensions) return dimensions as Refusal
  return { rowNo, startsMs, endsMs, dimensions, amountMicros, currency }
}

const CONTROL = /\p{Cc}/u

function readDimensions(values: GivenRow): Readonly<Record<string, string>> | Refusal {
  const entries = Object.entries(values).sort(([one], [other]) => (one < other ? -1 : 1))
  for (const [name, value] of entries) {
    if (!isCostDimension(name)) return invalid(name, `there is no dimension "${name.slice(0, 60)}" of clicks to import costs by`) // prettier-ignore
    const text = String(value)
    if (text.length > costLimits.valueCharactersMax || CONTROL.test(text))
      return invalid(name, `a value has at most ${costLimits.valueCharactersMax} characters and no control characters`)
  }
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]))
}

const DAY_MS = 86_400_000
const DAY = /^\d{4}-\d{2}-\d{2}$/
const LOCAL = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?$/
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/
const MOMENT =
  'it is neither a day (2026-11-01) nor a time of the zone (2026-11-01T13:00) nor ISO 8601 with an offset, of the years ' +
  factsYears

/** A day is the whole day: as `to` it is included. @param addDays to a day */
function momentOf(given: string | number | undefined, timezone: string, addDays: number): number | undefined {
  const ms = anyMomentOf(String(given ?? ''), timezone, addDays)
  return ms === undefined ? undefined : factsMoment(ms)
}

function anyMomentOf(text: string, timezone: string, addDays: number): number | undefined {
  try {
    if (DAY.test(text))
      return Temporal.PlainDate.from(text, { overflow: 'reject' })
        .add({ days: addDays })
        .toZonedDateTime({ timeZone: timezone }).epochMilliseconds
    if (LOCAL.test(text))
      return Temporal.PlainDateTime.from(text.replace(' ', 'T'), { overflow: 'reject' }).toZonedDateTime(timezone)
        .epochMilliseconds
    return INSTANT.test(text) ? Temporal.Instant.from(text).epochMilliseconds : undefined
  } catch {
    // A day or an hour that does not exist, such as 2026-02-30.
    return undefined
  }
}

/** Names of the dimensions of a row: rows of one shape are matched with clicks in one query. */
export const shapeOf = (row: CostRow): string => Object.keys(row.dimensions).join(' ')

/** The values of a row as one text, in the order of their names. They hold no control characters. */
export const keyOf = (row: CostRow): string => Object.values(row.dimensions).join('\u0001')

function addUpEqual(rows: readonly CostRow[]): readonly CostRow[] {
  const merged = new Map<string, CostRow>()
  for (const row of rows) {
    const same = [row.startsMs, row.endsMs, row.currency, shapeOf(row), keyOf(row)].join('\u0002')
    const before = merged.get(same)
    merged.set(same, before === undefined ? row : { ...before, amountMicros: before.amountMicros + row.amountMicros })
  }
  return [...merged.values()]
}

/** Rows in sets of one shape, in each of which no two rows of equal values overlap in time: a click is then looked up by its values and
 * the last start before it.
 */
export function layersOf(rows: readonly CostRow[]): readonly (readonly CostRow[])[] {
  const layers = new Map<string, CostRow[]>()
  const endOf = new Map<string, number>()
  for (const row of [...rows].sort((one, other) => one.startsMs - other.startsMs || one.rowNo - other.rowNo)) {
    let level = 0
    const place = (): string => `${level}\u0002${shapeOf(row)}\u0002${keyOf(row)}`
    while ((endOf.get(place()) ?? -Infinity) > row.startsMs) level++
    endOf.set(place(), row.endsMs)
    const name = `${level}\u0002${shapeOf(row)}`
    const layer = layers.get(name) ?? []
    layer.push(row)
    layers.set(name, layer)
  }
  return [...layers.values()]
}
