import fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MICROS_MAX, formatAmount, micros, parseAmount, parseCurrency, shareOf } from './money.ts'

test('reads amounts as partners write them', () => {
  const written: readonly [string | number, bigint][] = [
    ['12', 12_000_000n],
    ['12.50', 12_500_000n],
    ['12,50', 12_500_000n],
    [' 0.000001 ', 1n],
    ['-3', -3_000_000n],
    ['+3', 3_000_000n],
    ['0.0000005', 1n],
    ['0.0000004', 0n],
    [12.5, 12_500_000n],
    [0.1 + 0.2, 300_000n],
    [1e-9, 0n],
  ]
  for (const [text, amount] of written) assert.equal(parseAmount(text), amount, String(text))
})

test('refuses what is no decimal number', () => {
  for (const text of ['', 'abc', '1e3', '1.2.3', '{payout}', '1 000', '0x10', '.5', '5.', 'NaN', '--1'])
    assert.equal(parseAmount(text), undefined, text)
  for (const number of [NaN, Infinity, -Infinity]) assert.equal(parseAmount(number), undefined)
})

test('refuses a comma before exactly three digits: it may separate thousands', () => {
  assert.equal(parseAmount('1,500'), undefined)
  assert.equal(parseAmount('1,5000'), 1_500_000n)
  assert.equal(parseAmount('1.500'), 1_500_000n)
})

test('refuses amounts over the limit', () => {
  assert.equal(parseAmount('9000000000'), MICROS_MAX)
  assert.equal(parseAmount('9000000000.000001'), undefined)
  assert.equal(parseAmount(9.1e9), undefined)
})

test('an amount that was written is read back unchanged', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -MICROS_MAX, max: MICROS_MAX }), (amount) => {
      assert.equal(parseAmount(formatAmount(amount)), amount)
    }),
  )
})

test('reading never throws', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.double()), (input) => void parseAmount(input)))
})

test('writes at least the decimals asked for', () => {
  assert.equal(formatAmount(12_500_000n), '12.5')
  assert.equal(formatAmount(12_500_000n, 2), '12.50')
  assert.equal(formatAmount(-1n), '-0.000001')
})

test('a share is rounded half away from zero', () => {
  assert.equal(shareOf(micros(10_000_001n), 5_000), 5_000_001n)
  assert.equal(shareOf(micros(-10_000_001n), 5_000), -5_000_001n)
  assert.equal(shareOf(micros(1n), 4_999), 0n)
})

test('knows currencies in either case and no others', () => {
  assert.equal(parseCurrency(' usd '), 'USD')
  for (const text of ['', 'US', 'XXQ', '{currency}', undefined]) assert.equal(parseCurrency(text), undefined)
})
