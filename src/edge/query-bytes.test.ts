import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { clickParameterNames } from './click-parameters.ts'
import { readQuery, type QueryLimits } from './query.ts'
import { compileNames, readNamedQuery } from './query-bytes.ts'

const names = Object.entries(clickParameterNames).flatMap(([name, aliases]) => [name, ...aliases])
const table = compileNames(names)
const limits = { parametersMax: 100, valueCharactersMax: 1_024 }

type Pairs = readonly (readonly [name: string, value: string])[]

function readNamed(text: string, own: QueryLimits): Pairs {
  const pairs: [string, string][] = []
  readNamedQuery(text, own, table, (number, value) => pairs.push([names[number]!, value]))
  return pairs
}

/** What readQuery gives of the same text, names in lower case, unknown ones left out. */
function expected(text: string, own: QueryLimits): Pairs {
  const pairs: [string, string][] = []
  readQuery(text, own, (name, value) => {
    if (names.includes(name.toLowerCase())) pairs.push([name.toLowerCase(), value])
  })
  return pairs
}

test('a query of known names is read as readQuery reads it, whatever is in it', () => {
  const piece = fc.oneof(
    fc.constantFrom(...names),
    fc.constantFrom(...names).map((name) => name.toUpperCase()),
    fc.constantFrom('=', '&', '?', '%', '+', '%41', '%6', '%zz', '%00', '\0', '%C3%BC', '%C3', 'ü', 'Ж', '\u212A', 'fbclid', 's%75b1'),
    fc.string(),
    fc.string({ unit: 'binary' }),
  ) // prettier-ignore
  const pair = fc.tuple(fc.constantFrom(...names), piece, piece).map(([name, one, other]) => `${name}=${one}${other}`)
  const query = fc.oneof(fc.array(fc.oneof(pair, piece)).map((pieces) => pieces.join('&')), fc.array(piece).map((pieces) => pieces.join(''))) // prettier-ignore
  const own = fc.record({ parametersMax: fc.integer({ min: 1, max: 5 }), valueCharactersMax: fc.integer({ min: 1, max: 20 }) }) // prettier-ignore
  fc.assert(
    fc.property(query, fc.oneof(fc.constant(limits), own), (text, some) => {
      assert.deepEqual(readNamed(text, some), expected(text, some))
    }),
    { numRuns: 3_000 },
  )
})

test('every known name is found, in either case, and no other', () => {
  for (const [number, name] of names.entries()) {
    assert.deepEqual(readNamed(`${name}=1&x${name}=2&${name}x=3`, limits)[0], [names[number], '1'])
    assert.deepEqual(readNamed(`${name.toUpperCase()}=1`, limits), [[name, '1']])
  }
  assert.deepEqual(readNamed('fbclid=1&=2&constructor=3&__proto__=4', limits), [])
})

test('a text longer than the scratch memory is read all the same', () => {
  assert.deepEqual(readNamed(`sub1=a&x=${'y'.repeat(60_000)}&sub2=b`, limits), [
    ['sub1', 'a'],
    ['sub2', 'b'],
  ])
})

test('values of 13 and more characters stay what they are when the next query is read', () => {
  const [[, first] = []] = readNamed('sub1=abcdefghijklmnop', limits)
  const [[, second] = []] = readNamed('sub1=a+b%20c+d+e+f+g+h', limits)
  readNamed('sub1=0000000000000000&sub2=0+0+0+0+0+0+0+0+0', limits)
  assert.deepEqual([first, second], ['abcdefghijklmnop', 'a b c d e f g h'])
})
