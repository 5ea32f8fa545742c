import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { withClickHouse } from '#test-kit'

import { exactSettings } from '../ask-facts.ts'

import { compileFormula, FormulaMistake, parseFormula, resultSql, type Formula } from './index.ts'

/** Values of metrics: counts, amounts in units and seconds, as a person reads them. */
const rows = [
  { clicks: 0, sales: 0, revenue: 0, cost: 0, ttc: 0 },
  { clicks: 3, sales: 1, revenue: 10, cost: 0.000001, ttc: 1.5 },
  { clicks: 7, sales: 7, revenue: -2.5, cost: 1234567.891011, ttc: 86_400 },
  { clicks: 1_000_003, sales: 12, revenue: 98_765.4321, cost: 3, ttc: 0.001 },
] as const
type Row = (typeof rows)[number]

const units = { clicks: 'count', sales: 'count', revenue: 'money', cost: 'money', ttc: 'seconds' } as const
const scale = { count: 1, money: 1e6, seconds: 1e3, ratio: 1 } as const
const find = (name: string) => ({ kind: 'column', sql: name, unit: units[name as keyof typeof units] }) as const

/** The same by the machine's own arithmetic. */
function evaluate(formula: Formula, row: Row): number | boolean | null {
  const number = (part: Formula): number | null => evaluate(part, row) as number | null
  switch (formula.kind) {
    case 'number':
      return Number(formula.value.over) / Number(formula.value.under)
    case 'metric':
      return row[formula.name as keyof Row]
    case 'negate':
      return number(formula.of) === null ? null : -number(formula.of)!
    case 'not':
      return evaluate(formula.of, row) === null ? null : !evaluate(formula.of, row)
    case 'arithmetic':
    case 'compare': {
      const [a, b] = [number(formula.left), number(formula.right)]
      return a === null || b === null ? null : calculate(formula.op, a, b)
    }
    case 'logic':
      return logic(formula.op, evaluate(formula.left, row) as boolean | null, evaluate(formula.right, row) as boolean | null)
    case 'call':
      return call(formula.name, formula.args, number, (part) => evaluate(part, row) === true)
    default:
      return formula satisfies never
  }
} // prettier-ignore

const sums: Readonly<Record<string, (a: number, b: number) => number | boolean | null>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0 ? null : a / b),
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
}
const calculate = (op: string, a: number, b: number): number | boolean | null => sums[op]!(a, b)

function logic(op: 'and' | 'or', a: boolean | null, b: boolean | null): boolean | null {
  const decisive = op === 'or'
  if (a === decisive || b === decisive) return decisive
  return a === null || b === null ? null : !decisive
}

function call(
  name: string,
  args: readonly Formula[],
  number: (part: Formula) => number | null,
  isMet: (part: Formula) => boolean,
): number | null {
  if (name === 'if') return isMet(args[0]!) ? number(args[1]!) : number(args[2]!)
  const values = args.map(number)
  if (name === 'coalesce') return values.find((value) => value !== null) ?? null
  if (values.includes(null)) return null
  const known = values as number[]
  if (name === 'abs') return Math.abs(known[0]!)
  return name === 'min' ? Math.min(...known) : Math.max(...known)
}

const { value: numberText, condition } = fc.letrec<{ value: string; condition: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constantFrom('clicks', 'sales', 'revenue', 'cost', 'ttc', '2', '0.5', '3', '1000', '7%'),
    fc.tuple(tie('value'), fc.constantFrom('+', '-', '*', '/'), tie('value')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    tie('value').map((a) => `-(${a})`),
    fc.tuple(fc.constantFrom('min', 'max', 'coalesce'), tie('value'), tie('value')).map(([f, a, b]) => `${f}(${a}, ${b})`),
    tie('value').map((a) => `abs(${a})`),
    fc.tuple(tie('condition'), tie('value'), tie('value')).map(([c, a, b]) => `if(${c}, ${a}, ${b})`),
  ),
  condition: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.tuple(tie('value'), fc.constantFrom('<', '>='), tie('value')).map(([a, op, b]) => `${a} ${op} ${b}`),
    fc.tuple(tie('condition'), fc.constantFrom('and', 'or'), tie('condition')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    tie('condition').map((a) => `not (${a})`),
  ),
})) // prettier-ignore

/** Formulas whose units fit, with their SQL. */
function compileSome(count: number): readonly { text: string; formula: Formula; unit: keyof typeof scale; sql: string }[] {
  const found = []
  for (const text of fc.sample(fc.oneof(numberText, condition.map((c) => `if(${c}, clicks, -sales)`)), { numRuns: count * 4, seed: 3 })) {
    const parsed = parseFormula(text)
    // Too long.
    if (parsed.kind === 'invalid') continue
    try {
      found.push({ text, formula: parsed.formula, ...resultSql(compileFormula(parsed.formula, find)) })
    } catch (mistake) {
      assert.ok(mistake instanceof FormulaMistake, text)
    }
  }
  assert.ok(found.length > count)
  return found.slice(0, count)
} // prettier-ignore

const BATCH = 50

test('formulas give what arithmetic gives, to the sixth decimal of what is large and unknown where it is unknown', async (t) => {
  const facts = await withClickHouse(t)
  const micros = (row: Row): string =>
    Object.entries(row).map(([name, value]) => `toInt64(${Math.round(value * scale[units[name as keyof Row]])}) AS ${name}`).join(', ') // prettier-ignore
  const from = rows.map((row, index) => `SELECT ${index} AS i, ${micros(row)}`).join(' UNION ALL ')
  const formulas = compileSome(300)
  for (let start = 0; start < formulas.length; start += BATCH) {
    const batch = formulas.slice(start, start + BATCH)
    const columns = batch.map(({ sql }, index) => `toFloat64(${sql}) AS r${index}`).join(', ')
    const answer = await facts.query({
      query: `SELECT ${columns} FROM (${from}) ORDER BY i`,
      format: 'JSONEachRow',
      clickhouse_settings: exactSettings,
    })
    const results = await answer.json<Record<string, number | null>>()
    for (const [at, row] of rows.entries())
      for (const [index, { text, formula, unit }] of batch.entries()) {
        const expected = evaluate(formula, row) as number | null
        const actual = results[at]![`r${index}`]!
        const what = `${text} of ${JSON.stringify(row)}: ${actual} instead of ${expected}`
        if (expected === null || actual === null) assert.equal(actual, expected, what)
        else {
          const difference = Math.abs(actual / scale[unit] - expected)
          assert.ok(difference <= Math.abs(expected) * 1e-9 + 0.51 / (unit === 'ratio' ? 1e6 : scale[unit]), what)
        }
      }
  }
})

test('amounts are exact: one division of sums is rounded once, half away from zero', async (t) => {
  const facts = await withClickHouse(t)
  const cases: readonly [string, string][] = [
    ['revenue / 3 * 3', '10000001'],
    ['revenue / clicks', '2500000'],
    ['-revenue / clicks', '-2500000'],
    ['revenue / clicks * 1000', '2500000250'],
    ['revenue * 0.1 + revenue * 0.2', '3000000'],
    ['cost', '9223372036854775807'],
    ['cost - 1', '9223372036853775807'],
    ['cost / 2', '4611686018427387904'],
    ['revenue - 100', '-89999999'],
  ]
  for (const [text, expected] of cases) {
    const parsed = parseFormula(text)
    assert.ok(parsed.kind === 'formula')
    const { sql } = resultSql(compileFormula(parsed.formula, find))
    const query = `SELECT toString(${sql}) AS result FROM (SELECT toInt64(4) AS clicks, toInt64(10000001) AS revenue, toInt64(9223372036854775807) AS cost)`
    const answer = await facts.query({ query, format: 'JSONEachRow' })
    assert.deepEqual(await answer.json(), [{ result: expected }], text)
  }
})
