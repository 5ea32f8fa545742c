import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { convertSums, FACTOR_ONE, formatRate, guessFormat, isDay, parseRate, readRates } from './index.ts'

test('reads rates with up to twelve decimals and refuses what is none', () => {
  assert.equal(parseRate('1.0834'), 1_083_400_000_000n)
  assert.equal(parseRate('0.000000000001'), 1n)
  for (const text of ['', '0', '0.0', '-1', '1e3', '1,5', '1.0000000000001', '.5', 'N/A', '1 000'])
    assert.equal(parseRate(text), undefined, text)
  fc.assert(fc.property(fc.bigInt({ min: 1n, max: 10n ** 24n - 1n }), (rate) => assert.equal(parseRate(formatRate(rate)), rate))) // prettier-ignore
  fc.assert(fc.property(fc.string(), (text) => void parseRate(text)))
})

test('adds up exactly and rounds once, half away from zero', () => {
  const third = FACTOR_ONE / 3n
  const halves = [{ micros: 1n, factor: FACTOR_ONE / 2n }]
  assert.equal(convertSums(halves), 1n)
  assert.equal(convertSums([{ micros: -1n, factor: FACTOR_ONE / 2n }]), -1n)
  assert.equal(convertSums([...halves, ...halves]), 1n)
  assert.equal(convertSums([1n, 1n, 1n].map((micros) => ({ micros, factor: third }))), 1n)
  assert.equal(convertSums([]), 0n)
})

test('a file of rates is read whole or refused with its line', () => {
  const ecb = 'Date,USD,JPY,ROL,\n2026-11-20,1.08,161.5,N/A,\n2026-11-19,1.07,N/A,3,\n'
  assert.equal(guessFormat(ecb), 'ecb_csv')
  assert.deepEqual(readRates(ecb, 'ecb_csv'), {
    kind: 'rates',
    rates: [
      { day: '2026-11-20', currency: 'USD', rate: parseRate('1.08') },
      { day: '2026-11-20', currency: 'JPY', rate: parseRate('161.5') },
      { day: '2026-11-19', currency: 'USD', rate: parseRate('1.07') },
    ],
  })
  const plain = 'date,currency,rate\r\n2026-11-20,usd,1.08\r\n\r\n2026-02-30,USD,1\r\n'
  assert.equal(guessFormat(plain), 'csv')
  const refused = readRates(plain, 'csv')
  assert.deepEqual([refused.kind, refused.kind === 'invalid' && refused.line], ['invalid', 4])
  assert.equal(guessFormat('<?xml version="1.0"?>'), 'ecb_xml')
  for (const format of ['csv', 'ecb_csv', 'ecb_xml'] as const)
    fc.assert(fc.property(fc.string(), (text) => void readRates(text, format)))
})

test('knows which days there are', () => {
  assert.deepEqual(['2026-02-28', '2024-02-29', '2026-02-29', '2026-13-01', '2026-1-1', ''].map(isDay), [true, true, false, false, false, false]) // prettier-ignore
})
