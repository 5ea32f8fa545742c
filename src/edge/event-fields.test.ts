import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { refusalReasons } from '#records'
import { readEvent, type EventNames } from './event-fields.ts'
import { newEventDraft } from './record-drafts.ts'

const names: EventNames = { isCustom: () => false }
const fieldNames = [
  ...['clickid', 'click_id', 'type', 'event', 'event_id', 'txid', 'amount', 'revenue_deposit', 'currency', 'sub2'],
  ...[
    'time_on_page_ms',
    'ts_client',
    'tz',
    'screen',
    'connection',
    'site',
    'referrer',
    'lang',
    'device_type',
    'visitor_code',
  ],
]

test('any JSON is read without an error, and what cannot be used has a reason', () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(fc.constantFrom(...fieldNames, '__proto__', 'constructor'), fc.oneof(fc.jsonValue(), fc.string())),
  )
  fc.assert(
    fc.property(value, (given) => {
      const fields = newEventDraft()
      const issues = readEvent(fields, JSON.parse(JSON.stringify(given)), '/0', names, new Set())
      for (const issue of issues) {
        assert.ok(Object.hasOwn(refusalReasons, issue.code))
        assert.ok(issue.path.startsWith('/0'))
      }
      assert.ok(fields.click_id !== undefined || issues.length > 0)
      assert.ok(JSON.stringify(fields).length < 8_000)
    }),
  )
})

test('every mistake of an event is told at once', () => {
  const event = { type: 'x', clickid: 'y', amount: 'z', currency: 'q', sub2: 's' }
  const issues = readEvent(newEventDraft(), event, '', names, new Set())
  assert.deepEqual(
    issues.map(({ path, code }) => `${path} ${code}`),
    [
      '/clickid click_id_invalid',
      '/type type_unknown',
      '/amount amount_invalid',
      '/currency currency_invalid',
      '/sub2 sub2_invalid',
    ],
  )
})
