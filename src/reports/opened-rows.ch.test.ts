import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ownerTenant } from '#accounts'
import { withClickHouse } from '#test-kit'

import { parseReport, runReport, streamReport, type AskedReport } from './index.ts'

test('a row that is opened is in the currency of its report, also where its own amounts are in another', async (t) => {
  const facts = await withClickHouse(t)
  await facts.command({
    query: `INSERT INTO clicks (at, click_id, class, outcome, advertiser_id, cost_micros, currency)
      SELECT toDateTime64('2026-03-27 12:00:00', 3, 'UTC'), generateUUIDv4(number), 'click', 'redirected', if(number < 3, 'a', 'b'),
        if(number < 3, 1000000, 7000000), if(number < 3, 'USD', 'PLN') FROM numbers(4)`,
  })
  const reportOf = (more: Partial<AskedReport>) => {
    const query = {
      from: '2026-03-27',
      to: '2026-03-27',
      tz: 'UTC',
      metrics: ['click_cost'],
      only: {},
      not: {},
      ...more,
    }
    const parsed = parseReport(query, ownerTenant, { timezone: 'UTC', currency: 'EUR', nowMs: 0 })
    assert.equal(parsed.kind, 'asked')
    return { ...(parsed as Extract<typeof parsed, { kind: 'asked' }>).report, defaultCurrency: 'EUR' }
  }
  const all = await runReport(facts, ownerTenant, reportOf({ group_by: ['advertiser_id'] }))
  assert.deepEqual([all.currency, all.rows], ['USD', [{ advertiser_id: 'a', click_cost: '3.00' }, { advertiser_id: 'b', click_cost: '0.00' }]]) // prettier-ignore
  const below = reportOf({ parent: { advertiser_id: ['b'] } })
  const opened = await runReport(facts, ownerTenant, below)
  assert.deepEqual([opened.currency, opened.other_currencies, opened.totals], ['USD', ['PLN'], { click_cost: '0.00' }])
  assert.equal((await streamReport(facts, ownerTenant, below, { secondsMax: 10, threads: 1 })).currency, 'USD')
  const filtered = await runReport(facts, ownerTenant, reportOf({ only: { advertiser_id: ['b'] } }))
  assert.deepEqual([filtered.currency, filtered.totals], ['PLN', { click_cost: '7.00' }])
})
