import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createMemoryCaps, type Cap, type ExpectedAmounts } from '#caps'
import { newClickId } from '#platform/ids'
import { compileCappedOffers, type Offer } from '#routing'
import { advertiser, offer, snapshot, TEST_TIME } from '#routing/test-snapshots'

import { apiLimits } from './limits.ts'
import { listCaps } from './list-caps.ts'

const ALL = { ofTenant: undefined }
const WORTH: ExpectedAmounts = { payoutMicros: 2_500_000, revenueMicros: 0 }

/** Offers with caps, and clicks and conversions of them. */
function withCounts(offers: readonly Offer[]) {
  const config = snapshot({
    advertisers: [advertiser({ timezone: 'Asia/Tokyo' }), advertiser({ advertiser_id: 'globex' })],
    offers,
  })
  const counters = createMemoryCaps()
  const compiled = compileCappedOffers(config)
  const click = (offerId: string, parts: object = {}) => {
    const record = { click_id: newClickId(TEST_TIME), at: TEST_TIME, class: 'click', outcome: 'redirected', ...parts }
    const keys = compiled.get(offerId)!.keysOfRecordedClick(record as never)
    assert.equal(counters.reserve(record.click_id, TEST_TIME, keys).kind, 'reserved')
    return record
  }
  const convert = (offerId: string, record: ReturnType<typeof click>) =>
    counters.settle([
      {
        ...{ conversionId: record.click_id, clickId: record.click_id, revision: 1, at: TEST_TIME, counts: true },
        ...{ keys: compiled.get(offerId)!.keysOfConversion(record as never, TEST_TIME, WORTH), whenOver: 'count' },
      },
    ])
  return {
    click,
    convert,
    list: (filter: object = ALL) => listCaps(config, counters, { ...ALL, ...filter }, TEST_TIME),
  }
}

const daily = { cap_id: 'daily', metric: 'conversions', period: 'day', limit: 4, mode: 'hard' } as const

test('tells how full a cap is, in its period', () => {
  const { click, convert, list } = withCounts([offer('o1', { caps: [daily] })])
  convert('o1', click('o1'))
  click('o1')
  const [row] = list()
  const { used, held, limit, share, currency, values, period_start, period_end } = row!
  assert.deepEqual({ used, held, limit, share, currency, values }, { used: '1', held: '1', limit: '4', share: 0.5, currency: null, values: {} }) // prettier-ignore
  // Days of the advertiser begin at 15:00 UTC.
  assert.match(period_start!, /T15:00:00\.000Z$/)
  assert.equal(Date.parse(period_end!) - Date.parse(period_start!), 86_400_000)
})

test('tells amounts of money as decimal text, and no period of a cap that never ends', () => {
  const cap = { cap_id: 'budget', metric: 'payout', period: 'total', limit: 100_000_000, mode: 'soft' } as const
  const { click, convert, list } = withCounts([offer('o1', { caps: [cap] })])
  convert('o1', click('o1'))
  const [{ used, limit, currency, period_start, period_end, share } = {} as never] = list()
  assert.deepEqual([used, limit, currency, period_start, period_end, share], ['2.5', '100', 'USD', null, null, 0.025])
})

test('has a row for each value, the fullest first, and a fingerprint where a value is not plain', () => {
  const { click, list } = withCounts([offer('o1', { caps: [{ ...daily, per: ['affiliate', 'sub1'] }] })])
  click('o1', { affiliate_id: 'ann', sub1: 'x' })
  for (let count = 0; count < 3; count++) click('o1', { affiliate_id: 'bob' })
  for (let count = 0; count < 2; count++) click('o1', { affiliate_id: 'ann', sub1: 'not plain' })
  const rows = list()
  assert.deepEqual(
    rows.map(({ values, held }) => [values, held]),
    [[{ affiliate: 'bob', sub1: '' }, '3'], [{}, '2'], [{ affiliate: 'ann', sub1: 'x' }, '1']],
  ) // prettier-ignore
  assert.deepEqual(rows.map((row) => 'fingerprint' in row), [false, true, false]) // prettier-ignore
})

test('has an empty row for a cap that nothing counts in, and a full one for a cap that takes nobody', () => {
  const { list } = withCounts([offer('o1', { caps: [daily, { ...daily, cap_id: 'none', limit: 0 }] }), offer('o2')])
  assert.deepEqual(list().map(({ cap_id, used, share }) => [cap_id, used, share]), [['none', '0', 1], ['daily', '0', 0]]) // prettier-ignore
})

test('tells of the offers that are asked for, and nobody of the offers of another advertiser', () => {
  const { list } = withCounts([
    offer('o1', { caps: [daily] }),
    offer('o2', { caps: [daily] }),
    offer('o3', { caps: [daily], advertiser_id: 'globex' }),
  ])
  const ids = (filter: object) => list(filter).map(({ offer_id }) => offer_id)
  assert.deepEqual(ids({ offer_id: 'o2' }), ['o2'])
  assert.deepEqual(ids({ advertiser_id: 'globex' }), ['o3'])
  assert.deepEqual(ids({ ofTenant: 'acme' }), ['o1', 'o2'])
  assert.deepEqual(ids({ ofTenant: 'acme', advertiser_id: 'globex' }), [])
  assert.deepEqual(ids({ ofTenant: 'acme', offer_id: 'o3' }), [])
})

test('looks at so many counts of one cap and no more', () => {
  const per: Cap['per'] = ['sub1']
  const { click, list } = withCounts([offer('o1', { caps: [{ ...daily, metric: 'clicks', limit: 1e6, per }] })])
  for (let index = 0; index < apiLimits.countsOfCapMax + 5; index += 1) click('o1', { sub1: `s${index}` })
  assert.equal(list().length, apiLimits.countsOfCapMax)
})
