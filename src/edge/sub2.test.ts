import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { parseSub2 } from './sub2.ts'

const any: ReadonlySet<string> = new Set()
const keysOf = (text: string, allowed: ReadonlySet<string> = any): Readonly<Record<string, string>> | undefined => {
  const sub2 = parseSub2(text, allowed)
  return sub2.kind === 'parsed' ? sub2.keys : undefined
}

test('pairs are split on the bar and on the first dash', () => {
  assert.deepEqual(keysOf('geo-TR|dev-mobile|abtest-a-b'), { geo: 'TR', dev: 'mobile', abtest: 'a-b' })
})

test('it is URL-decoded; what is not properly encoded stays', () => {
  assert.deepEqual(keysOf('geo-TR%7Cdev-mobile'), { geo: 'TR', dev: 'mobile' })
  assert.deepEqual(keysOf('off-50%'), { off: '50%' })
})

test('the first pair of a key counts, keys that are not allowed are left out', () => {
  assert.deepEqual(keysOf('geo-TR|geo-DE'), { geo: 'TR' })
  assert.deepEqual(keysOf('geo-TR|x-1', new Set(['geo'])), { geo: 'TR' })
})

test('a value may be empty', () => {
  assert.deepEqual(keysOf('geo-'), { geo: '' })
})

test('a part without key or dash, and more than 200 characters, are refused', () => {
  for (const text of ['', 'plain', 'geo-TR|', '|geo-TR', '-TR', 'geo-TR|plain']) {
    assert.deepEqual(parseSub2(text, any), { kind: 'refused', reason: 'sub2_invalid' }, text)
  }
  assert.ok(keysOf(`a-${'x'.repeat(198)}`))
  assert.equal(keysOf(`a-${'x'.repeat(199)}`), undefined)
})

test('no key reaches the prototype of the object', () => {
  const keys = keysOf('__proto__-x|constructor-y|a-1')
  assert.equal(Object.getPrototypeOf(keys), Object.prototype)
  assert.deepEqual(Object.entries(keys!), [
    ['constructor', 'y'],
    ['a', '1'],
  ])
})

test('it never throws, and gives back every pair that was put together', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseSub2(text, any)))
  const key = fc.stringMatching(/^[a-z0-9]{1,8}$/)
  const value = fc.stringMatching(/^[A-Za-z0-9-]{0,8}$/)
  fc.assert(
    fc.property(fc.dictionary(key, value, { minKeys: 1, maxKeys: 8, noNullPrototype: true }), (pairs) => {
      const text = Object.entries(pairs)
        .map(([name, text]) => `${name}-${text}`)
        .join('|')
      assert.deepEqual(keysOf(text), pairs)
    }),
  )
})
