import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { findParameter, queryOf, readQuery } from './query.ts'
import { cleanText } from './text.ts'

const limits = { parametersMax: 100, valueCharactersMax: 1_024 }
const read = (text: string, own: Partial<typeof limits> = {}): readonly (readonly [string, string])[] => {
  const pairs: [string, string][] = []
  readQuery(text, { ...limits, ...own }, (name, value) => pairs.push([name, value]))
  return pairs
}

test('names and values are decoded, plus signs are spaces', () => {
  assert.deepEqual(read('a=1&b=x+y%26z&%63=%D0%96'), [
    ['a', '1'],
    ['b', 'x y&z'],
    ['c', 'Ж'],
  ])
})

test('what is not properly encoded stays as it is', () => {
  assert.deepEqual(read('a=100%&b=%zz&c=%D0'), [
    ['a', '100%'],
    ['b', '%zz'],
    ['c', '%D0'],
  ])
})

test('empty values, names without a value and empty pairs are left out', () => {
  assert.deepEqual(read('a=&b&&c=1&='), [['c', '1']])
})

test('a second question mark before a name is healed, one inside a value stays', () => {
  assert.deepEqual(read('?a=1&??b=2&c=what?'), [
    ['a', '1'],
    ['b', '2'],
    ['c', 'what?'],
  ])
  assert.equal(queryOf('/click??a=1'), '?a=1')
  assert.equal(queryOf('/click'), '')
})

test('at most 100 parameters are read', () => {
  const text = Array.from({ length: 150 }, (_, index) => `p${index}=1`).join('&')
  assert.equal(read(text).length, 100)
  assert.equal(read(text, { parametersMax: 3 }).length, 3)
})

test('values are cut at 1 024 characters', () => {
  assert.equal(read(`a=${'x'.repeat(2_000)}`)[0]![1].length, 1_024)
  assert.equal(read(`a=${'%D0%96'.repeat(1_500)}`)[0]![1].length, 1_024)
})

test('no value holds a NUL or half of a surrogate pair', () => {
  assert.deepEqual(read('a=x%00y'), [['a', 'xy']])
  assert.equal(cleanText('😀😀', 3), '😀\ufffd')
})

test('any text is read without an error, within the limits', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webQueryParameters()), (text) => {
      for (const [, value] of read(text)) {
        assert.ok(value.length > 0 && value.length <= 1_024 && !value.includes('\0'))
      }
    }),
  )
})

test('what a browser encodes is read back', () => {
  const pairs = fc.array(
    fc.tuple(fc.stringMatching(/^[a-z_0-9]{1,12}$/), fc.string({ minLength: 1, unit: 'grapheme' })),
  )
  fc.assert(
    fc.property(pairs, (given) => {
      const expected = given.filter(([, value]) => !value.includes('\0'))
      assert.deepEqual(read(new URLSearchParams(expected).toString()), expected)
    }),
  )
})

test('a parameter is found by its name in either case, the first of several', () => {
  assert.equal(findParameter('a=1&FbClid=x+y&fbclid=z', 'fbclid', limits), 'x y')
  assert.equal(findParameter('a=&b=1', 'A', limits), undefined)
  assert.equal(findParameter('b=1&b=2', 'B', limits), '1')
})
