import assert from 'node:assert/strict'
import { test } from 'node:test'

import { describeMissing, formatTable } from './describe-results.ts'

const settled = { clicks: 340, shown: 352, received: 70, quietMs: 6_500 }

test('what has not arrived is said with its numbers, and nothing where all is there', () => {
  assert.equal(describeMissing(settled), undefined)
  assert.equal(describeMissing({ ...settled, shown: 331 }), 'the report shows 331 of 340 clicks that went to an offer')
  assert.equal(describeMissing({ ...settled, received: 0 }), 'no postback has come to a partner')
  assert.equal(
    describeMissing({ ...settled, shown: 0, quietMs: 1_240 }),
    'the report shows 0 of 340 clicks that went to an offer; postbacks to partners still come, the last 1.2 s ago',
  )
})

test('a table is as wide as its longest values, numbers to the right, what is empty a dash', () => {
  assert.equal(
    formatTable([
      { offer_id: 'lumen-shop', clicks: 9 },
      { offer_id: null, clicks: 120 },
    ]),
    ['  offer_id    clicks', '  lumen-shop       9', '  -              120'].join('\n'),
  )
})
