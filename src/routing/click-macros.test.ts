import assert from 'node:assert/strict'
import { test } from 'node:test'

import { newClickId } from '#platform/ids'
import type { ClickRecord } from '#records'
import { clickMacro } from './click-macros.ts'
import { compileSnapshot } from './compile-snapshot.ts'
import { snapshot, TEST_TIME } from './test-snapshots.ts'

const click: ClickRecord = {
  kind: 'click',
  click_id: newClickId(TEST_TIME),
  at: TEST_TIME,
  class: 'click',
  outcome: 'redirected',
  config_version: 1,
  trace: '',
  ip: '192.0.2.1',
  asn: 3320,
  campaign_id: 'summer',
  offer_id: 'o1',
  cost_micros: 12_500,
  currency: 'EUR',
  external_click_id: 'fb.1.2',
  sub30: 'last',
}
const config = compileSnapshot(snapshot())

test('macros of a click come from its record and the names of the configuration', () => {
  const expected = {
    click_id: click.click_id,
    external_id: 'fb.1.2',
    campaign_name: 'Summer',
    offer_name: 'Offer o1',
    currency: 'USD',
    cost: '0.0125',
    cost_currency: 'EUR',
    asn: '3320',
    click_timestamp: '1768478400',
    date: '2026-01-15',
    sub30: 'last',
  } as const
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(clickMacro(click, config, name as keyof typeof expected), value)
  }
})

test('the random macro is the same for the same click', () => {
  const value = clickMacro(click, config, 'random')
  assert.match(value!, /^\d+$/)
  assert.equal(clickMacro(click, config, 'random'), value)
})

test('macros of a conversion have no value yet', () => {
  for (const name of ['payout', 'status', 'txid', 'conversion_id'] as const) {
    assert.equal(clickMacro(click, config, name), undefined)
  }
})
