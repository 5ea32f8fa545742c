import assert from 'node:assert/strict'
import { test } from 'node:test'

import { joined } from './retired-days.ts'

test('a day that was retired twice counts once', () => {
  const given = [
    { fromMs: 30, toMs: 40 },
    { fromMs: 10, toMs: 20 },
    { fromMs: 10, toMs: 15 },
    { fromMs: 20, toMs: 25 },
  ]
  assert.deepEqual(joined(given), [
    { fromMs: 10, toMs: 25 },
    { fromMs: 30, toMs: 40 },
  ])
  assert.deepEqual(joined([]), [])
})
