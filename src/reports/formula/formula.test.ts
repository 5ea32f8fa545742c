import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import {
  compileFormula,
  conditionSql,
  FormulaMistake,
  metricsOf,
  parseFormula,
  resultSql,
  type Formula,
} from './index.ts'

const units = { clicks: 'count', sales: 'count', revenue: 'money', cost: 'money', ttc: 'seconds' } as const
const find = (name: string) =>
  name in units ? ({ kind: 'column', sql: name, unit: units[name as keyof typeof units] } as const) : undefined

function read(text: string): Formula {
  const parsed = parseFormula(text)
  assert.ok(parsed.kind === 'formula', parsed.kind === 'invalid' ? `${text}: ${parsed.message}` : '')
  return parsed.formula
}

const mistakeOf = (text: string, use: (formula: Formula) => unknown = (formula) => resultSql(compileFormula(formula, find))): string => {
  const parsed = parseFormula(text)
  if (parsed.kind === 'invalid') return `${parsed.column}: ${parsed.message}`
  try {
    use(parsed.formula)
    return 'none'
  } catch (mistake) {
    assert.ok(mistake instanceof FormulaMistake)
    return `${mistake.column}: ${mistake.message}`
  }
} // prettier-ignore

/** With every bracket. */
function print(formula: Formula): string {
  switch (formula.kind) {
    case 'number':
      return String(Number(formula.value.over) / Number(formula.value.under))
    case 'metric':
      return formula.name
    case 'negate':
      return `(-${print(formula.of)})`
    case 'not':
      return `(not ${print(formula.of)})`
    case 'call':
      return `${formula.name}(${formula.args.map(print).join(', ')})`
    case 'arithmetic':
    case 'compare':
    case 'logic':
      return `(${print(formula.left)} ${formula.op} ${print(formula.right)})`
    default:
      return formula satisfies never
  }
}

test('reads signs, words and brackets as people mean them', () => {
  const cases = {
    'a + b * c': '(a + (b * c))',
    'a - b - c': '((a - b) - c)',
    'a / b / c': '((a / b) / c)',
    '-a * -b': '((-a) * (-b))',
    '(a + b) × c ÷ 2 − 1': '((((a + b) * c) / 2) - 1)',
    'a > 1 and b < 2 or not c = 3': '(((a > 1) and (b < 2)) or (not (c = 3)))',
    'a ≤ 2% AND b <> 1': '((a <= 0.02) and (b != 1))',
    'IF(a > 0, b, coalesce(c, 1.5))': 'if((a > 0), b, coalesce(c, 1.5))',
    'event.kyc + `event.add-to-cart`': '(event.kyc + event.add-to-cart)',
    '1 - -1': '(1 - (-1))',
    '`and` + 1': '(and + 1)',
  }
  for (const [text, expected] of Object.entries(cases)) assert.equal(print(read(text)), expected, text)
})

test('says what is wrong and where', () => {
  const cases: readonly [string, RegExp][] = [
    ['', /^1: expected a metric, a number or "\(" and found the end/],
    ['clicks +', /^9: expected/],
    ['clicks clicks', /^8: expected an operator such as \+ or the end and found "clicks"/],
    ['(clicks', /^8: expected "\)" and found the end/],
    ['clicks & 1', /^8: "&" means nothing here/],
    ['sum(clicks)', /^1: there is no function "sum"; there are if, min/],
    ['if(clicks > 1, 2)', /^1: if takes 3 values/],
    ['1 < clicks < 2', /^12: expected an operator/],
    ['luck / 2', /^1: there is no metric "luck"/],
    ['clicks + revenue', /^8: a number and money cannot stand together/],
    ['revenue + ttc', /^9: money and time/],
    ['revenue * cost', /^1: the result is money to the power of 2/],
    ['clicks / revenue', /^1: the result is money to the power of -1/],
    ['clicks / 0', /^8: this divides by 0/],
    ['clicks > 1', /^1: a formula gives a number, and this is a condition/],
    ['if(clicks, 1, 2)', /^4: a condition such as/],
    ['(clicks > 1) + 1', /^9: a number is needed here/],
    ['round(revenue, cost)', /^1: round takes/],
    ['1234567890123456', /^1: a number has at most 15 digits/],
    ['1'.padEnd(1_001, '+1'), /^1001: a formula has at most 1000 characters/],
    ['1'.padEnd(301, '+1'), /at most 200 parts/],
    ['('.repeat(31), /more than 30 brackets/],
    ['-'.repeat(150), /more than 30/],
  ]
  for (const [text, expected] of cases) assert.match(mistakeOf(text), expected, text)
  assert.match(
    mistakeOf('clicks + 1', (formula) => conditionSql(compileFormula(formula, find))),
    /^1: a condition/,
  )
})

test('knows the unit of a result', () => {
  const cases = {
    'clicks + sales': 'count',
    'clicks * 2': 'count',
    'clicks / 2': 'ratio',
    'clicks * 0.5': 'ratio',
    'sales / clicks': 'ratio',
    'revenue / cost': 'ratio',
    'revenue - cost * 1.2': 'money',
    'revenue - 100': 'money',
    'revenue / clicks * 1000': 'money',
    'revenue * cost / cost': 'money',
    'ttc / clicks': 'seconds',
    'max(revenue, 0)': 'money',
    'if(clicks > 10, sales / clicks, 0)': 'ratio',
    '1': 'count',
  }
  for (const [text, expected] of Object.entries(cases))
    assert.equal(resultSql(compileFormula(read(text), find)).unit, expected, text)
})

test('names every metric once, and nothing else', () => {
  assert.deepEqual(metricsOf(read('if(a > 1, b / a, -c) + abs(b)')), ['a', 'b', 'c'])
})

test('never throws and never runs long, whatever is in the text', () => {
  const parts = ['clicks', 'revenue', '1', '2%', '(', ')', '+', '-', '*', '/', '<', '>=', 'and', 'or', 'not', 'if(', ',', '`x`', '.', ' ', '$', "'"]
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.array(fc.constantFrom(...parts)).map((some) => some.join(' '))), (text) => void mistakeOf(text)),
    { numRuns: 500 },
  )
}) // prettier-ignore
