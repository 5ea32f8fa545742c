import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ENOUGH, expectEarnings, type Observed } from './expect-earnings.ts'

const sale = (offerId: string, country: string, conversions: number, currency = 'USD') => ({
  ...{ offerId, country, currency, conversions },
  revenueMicros: BigInt(conversions) * 4_000_000n,
  payoutMicros: BigInt(conversions) * 3_000_000n,
  revenueSquares: conversions * 4_000_000 ** 2,
  payoutSquares: conversions * 3_000_000 ** 2,
})
const cell = (offer_id: string, country: string, before: number, after: number) => ({
  offer_id,
  country,
  before,
  after,
})

const observed: Observed = {
  clicks: [
    { offerId: 'lamp', country: 'DE', clicks: 1_000 },
    { offerId: 'lamp', country: 'US', clicks: 1_000 },
    { offerId: 'lamp', country: 'FR', clicks: 50 },
  ],
  conversions: [sale('lamp', 'DE', 100), sale('lamp', 'US', 20), sale('lamp', 'FR', 3)],
}

test('takes the rate of the country where it has enough behind it, else that of the offer', () => {
  const { by_currency, rates } = expectEarnings([cell('lamp', 'DE', 10, 20), cell('lamp', 'FR', 0, 205)], observed, 1)
  assert.deepEqual(rates.map(({ country, observed_clicks, observed_conversions }) => [country, observed_clicks, observed_conversions]), [
    ['DE', 1_000, 100], [undefined, 2_050, 123],
  ]) // prettier-ignore
  // 10 clicks at 0.40, then 20 at 0.40 and 205 at 492 / 2,050.
  const { before, after, difference } = by_currency[0]!.revenue
  assert.deepEqual([before, after, difference], ['4.00', '57.20', '53.20'])
  assert.equal(by_currency[0]!.payout.difference, '39.90')
})

test('gives an interval of 1.96 standard errors of a compound Poisson sum', () => {
  const { revenue } = expectEarnings([cell('lamp', 'DE', 0, 1_000)], observed, 1).by_currency[0]!
  // The 100 sales of 4.00 have the standard error 4 × √100 = 40.
  assert.deepEqual(
    [revenue.difference, revenue.difference_low, revenue.difference_high],
    ['400.00', '321.60', '478.40'],
  )
})

test('is certain of nothing where nothing moves', () => {
  const { revenue } = expectEarnings([cell('lamp', 'DE', 30, 30)], observed, 1).by_currency[0]!
  assert.deepEqual([revenue.difference, revenue.difference_low, revenue.difference_high], ['0.00', '0.00', '0.00'])
})

test('scales a sample up to its period', () => {
  const { revenue } = expectEarnings([cell('lamp', 'DE', 0, 100)], observed, 0.1).by_currency[0]!
  assert.equal(revenue.after, '400.00')
})

test(`knows nothing of an offer with fewer than ${ENOUGH.clicks} clicks or ${ENOUGH.conversions} conversions`, () => {
  const few: Observed = {
    clicks: [
      { offerId: 'new', country: 'DE', clicks: 99 },
      { offerId: 'poor', country: 'DE', clicks: 5_000 },
    ],
    conversions: [sale('new', 'DE', 50), sale('poor', 'DE', 9)],
  }
  const earnings = expectEarnings([cell('new', 'DE', 5, 0), cell('poor', 'DE', 0, 5)], few, 1)
  assert.deepEqual(earnings, {
    by_currency: [],
    rates: [],
    unknown: [
      { offer_id: 'new', clicks_before: 5, clicks_after: 0 },
      { offer_id: 'poor', clicks_before: 0, clicks_after: 5 },
    ],
  })
  const [rate] = expectEarnings([cell('new', 'DE', 5, 0)], { ...few, clicks: [{ offerId: 'new', country: 'DE', clicks: 100 }] }, 1).rates // prettier-ignore
  assert.equal(rate!.observed_clicks, 100)
})

test('keeps currencies apart', () => {
  const two: Observed = { ...observed, conversions: [sale('lamp', 'DE', 50), sale('lamp', 'DE', 50, 'EUR')] }
  const { by_currency } = expectEarnings([cell('lamp', 'DE', 1_000, 0)], two, 1)
  assert.deepEqual(by_currency.map(({ currency, revenue }) => [currency, revenue.before]), [['EUR', '200.00'], ['USD', '200.00']]) // prettier-ignore
})
