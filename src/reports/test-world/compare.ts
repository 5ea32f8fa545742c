import assert from 'node:assert/strict'

import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'

import { findMetric, parseReport, runReport } from '../index.ts'
import type { Happened } from './read-log.ts'
import { answerSlowly, type Cells, type Expected, type ExpectedRow, type Having, type Question } from './reference.ts'
import type { Cell, Quotient } from './reference-metrics.ts'

/** Asks the facts and the reference the same, and compares every cell and the totals.
 * @throws {AssertionError} they differ
 */
export async function assertAgrees(
  facts: FactsClient,
  happened: Happened,
  tenant: Tenant,
  question: Question,
): Promise<void> {
  const answer = await askFacts(facts, tenant, question)
  assertSame(answer, answerSlowly(happened, tenant, question), question)
}

/** @returns by default all rows of the answer */
export function askFacts(facts: FactsClient, tenant: Tenant, question: Question, page: Page = { limit: 10_000 }) {
  const { having, compare, rates, ...others } = question
  const asked = {
    ...others,
    ...page,
    having: having && textOfHaving(having),
    compare: compare && `${compare.from}..${compare.to}`,
  }
  const parsed = parseReport(asked, tenant, { timezone: 'UTC', currency: 'EUR', nowMs: 0 })
  if (parsed.kind !== 'asked') assert.fail(`${parsed.path}: ${parsed.detail}`)
  const find = async () => ({ find: (currency: string, day: string) => rates!.get(`${currency} ${day}`) })
  return runReport(facts, tenant, {
    ...parsed.report,
    defaultCurrency: 'EUR',
    rates: rates === undefined ? undefined : { find },
  })
}

export type Page = { readonly limit: number; readonly offset?: number; readonly order?: string }

const textOfHaving = ({ word, conditions }: Having): string =>
  conditions
    .map(({ metric, op, thousandths, isNegated }) => {
      const condition = `${metric} ${op} ${Number(thousandths) / 1_000}`
      return isNegated ? `not (${condition})` : condition
    })
    .join(` ${word} `)

/** Parts of one that an answer can tell of a unit. */
const PARTS: Readonly<Record<string, bigint>> = { count: 1n, money: 1_000_000n, ratio: 1_000_000n, seconds: 1_000n }

/** A number of an answer in whole parts: micros, milliseconds, millionths. */
function partsOf(actual: unknown, unit: string): bigint {
  const text = typeof actual === 'number' ? actual.toFixed(6) : String(actual)
  const [whole = '0', decimals = ''] = text.replace('-', '').split('.')
  const millionths = BigInt(whole) * 1_000_000n + BigInt(decimals.padEnd(6, '0'))
  const parts = millionths / (1_000_000n / PARTS[unit]!)
  return text.startsWith('-') ? -parts : parts
}

const size = (value: bigint): bigint => (value < 0n ? -value : value)

/** Whole numbers are equal; a quotient is rounded to the nearest part, a half to either side. */
function assertCell(name: string, unit: string, actual: unknown, expected: Cell): void {
  if (expected === null) return assert.equal(actual, null, name)
  assert.notEqual(actual, null, name)
  assert.equal(typeof actual, unit === 'money' ? 'string' : 'number', name)
  if (unit === 'money') assert.match(String(actual), /^-?\d+\.\d{2,6}$/, name)
  const parts = partsOf(actual, unit)
  if (typeof expected === 'bigint') return assert.equal(parts, expected, name)
  // A quotient of amounts, of milliseconds or of counts: only a ratio has to be cut into parts.
  const part = unit === 'ratio' ? expected.part * PARTS[unit]! : expected.part
  const { whole } = expected
  assert.ok(2n * size(parts * whole - part) <= size(whole), `${name}: ${String(actual)} is not ${part} / ${whole}`)
}

const quotientOf = (cell: bigint | Quotient): Quotient => (typeof cell === 'bigint' ? { part: cell, whole: 1n } : cell)

function changeOf(now: Cell, before: Cell): Quotient | null {
  if (now === null || before === null) return null
  const [a, b] = [quotientOf(now), quotientOf(before)]
  return { part: a.part * b.whole - b.part * a.whole, whole: a.whole * b.whole }
}

function changeRatioOf(now: Cell, before: Cell): Quotient | null {
  const change = changeOf(now, before)
  if (change === null || before === null) return null
  const { part, whole } = quotientOf(before)
  if (part === 0n) return null
  return { part: change.part * size(whole), whole: change.whole * size(part) }
}

function assertRow(
  actual: Readonly<Record<string, unknown>>,
  { now, before }: ExpectedRow,
  { metrics }: Question,
): void {
  const cellOf = (cells: Cells, name: string): Cell => cells[name]!
  for (const name of metrics) {
    const { unit } = findMetric(name)!
    assertCell(name, unit, actual[name], cellOf(now, name))
    if (before === undefined) continue
    const [a, b] = [cellOf(now, name), cellOf(before, name)]
    assertCell(`${name}.before`, unit, actual[`${name}.before`], b)
    assertCell(`${name}.change`, unit, actual[`${name}.change`], changeOf(a, b))
    assertCell(`${name}.change_ratio`, 'ratio', actual[`${name}.change_ratio`], changeRatioOf(a, b))
  }
}

type Answer = Awaited<ReturnType<typeof runReport>>

/** @throws {AssertionError} an answer is not what was expected */
export function assertSame(
  { rows, totals, total_rows, is_truncated }: Answer,
  expected: Expected,
  question: Question,
): void {
  const { group_by } = question
  if (group_by.length > 0) {
    const keys = rows.map((row) => JSON.stringify(group_by.map((name) => row[name])))
    assert.deepEqual(keys.toSorted(), [...expected.groups.keys()].sort(), 'groups')
    rows.forEach((row, index) => assertRow(row, expected.groups.get(keys[index]!)!, question))
  }
  assertRow(totals, expected.totals, question)
  assert.deepEqual([total_rows, is_truncated], [group_by.length === 0 ? 1 : expected.groups.size, false])
}

/** Reads a report page by page and compares with the whole: the same rows in the same order, equal totals on every page, and the
 * order that was asked for.
 * @param order columns, comma-separated, `-` before one: descending
 * @throws {AssertionError} they differ
 */
export async function assertPages(
  facts: FactsClient,
  tenant: Tenant,
  question: Question,
  order: string,
  limit: number,
): Promise<void> {
  const whole = await askFacts(facts, tenant, question, { order, limit: 10_000 })
  assertOrdered(whole.rows, order.split(','), question.group_by)
  const rows: unknown[] = []
  for (let offset = 0; offset <= whole.total_rows; offset += limit) {
    const page = await askFacts(facts, tenant, question, { order, limit, offset })
    assert.deepEqual([page.totals, page.total_rows], [whole.totals, whole.total_rows])
    assert.equal(page.is_truncated, offset + limit < whole.total_rows)
    rows.push(...page.rows)
  }
  assert.deepEqual(rows, whole.rows)
}

type Row = Answer['rows'][number]

/** Rows that are equal in all columns of the order stand in the order of their dimensions. */
function assertOrdered(rows: readonly Row[], order: readonly string[], groupBy: readonly string[]): void {
  const columns = order.map((by) => ({ name: by.replace('-', ''), sign: by.startsWith('-') ? -1 : 1 }))
  const rest = groupBy.filter((name) => columns.every((column) => column.name !== name))
  const all = [...columns, ...rest.map((name) => ({ name, sign: 1 }))]
  for (const [index, row] of rows.entries()) {
    const before = rows[index - 1]
    if (before === undefined) continue
    const compared = all.map(({ name, sign }) => compareValues(name, sign, before[name]!, row[name]!))
    const first = compared.find((result) => result !== 0) ?? 0
    assert.ok(first < 0, `${JSON.stringify(before)} stands before ${JSON.stringify(row)} by ${order.join()}`)
  }
}

/** Unknown numbers come last in either direction; words are ordered by their bytes, numbers by their size. */
function compareValues(name: string, sign: number, a: Row[string], b: Row[string]): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  if (findMetric(name) !== undefined) return sign * Math.sign(Number(partsOf(a, 'ratio') - partsOf(b, 'ratio')))
  if (NUMBERED.has(name)) return sign * Math.sign(Number(a) - Number(b))
  return sign * Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
}

/** Dimensions that are numbers written as text. */
const NUMBERED: ReadonlySet<string> = new Set(['asn', 'hour_of_day', 'weekday'])
