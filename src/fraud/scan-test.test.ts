import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { scanForExcess, type TieGroup } from './scan-test.ts'

/** Every way of dealing the values of the groups, each as likely as the others. */
function allDeals(counts: readonly number[], ofSample: number): number[][] {
  const [count, ...rest] = counts
  if (count === undefined) return ofSample === 0 ? [[]] : []
  const splits = Array.from({ length: Math.min(count, ofSample) + 1 }, (_, taken) => taken)
  return splits.flatMap((taken) =>
    allDeals(rest, ofSample - taken).flatMap((deal) =>
      Array.from({ length: choose(count, taken) }, () => [taken, ...deal]),
    ),
  )
}

function choose(n: number, k: number): number {
  let ways = 1
  for (let i = 0; i < k; i += 1) ways = (ways * (n - i)) / (i + 1)
  return Math.round(ways)
}

/** The smallest hypergeometric tail over the groups, counted out. */
function rarestTail(counts: readonly number[], deal: readonly number[], deals: readonly (readonly number[])[]): number {
  const upTo = (values: readonly number[], group: number): number =>
    values.slice(0, group + 1).reduce((sum, value) => sum + value, 0)
  const total = upTo(counts, counts.length)
  const ofSample = upTo(deal, deal.length)
  const tails = counts.map((_, group) => {
    const i = upTo(deal, group)
    if (i <= (upTo(counts, group) * ofSample) / total) return 1
    return deals.filter((other) => upTo(other, group) >= i).length / deals.length
  })
  return Math.min(...tails)
}

test('the p-value is the share of all ways of dealing that come as far out, ties and small samples included', () => {
  const group = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 3 }))
  fc.assert(
    fc.property(fc.array(group, { minLength: 2, maxLength: 5 }), (drawn) => {
      const groups: TieGroup[] = drawn.map(([count, taken]) => ({ count, ofSample: Math.min(count, taken) }))
      const counts = groups.map(({ count }) => count)
      const deal = groups.map(({ ofSample }) => ofSample)
      const deals = allDeals(counts, deal.reduce((sum, taken) => sum + taken, 0)) // prettier-ignore
      const own = rarestTail(counts, deal, deals)
      const expected = deals.filter((other) => rarestTail(counts, other, deals) <= own + 1e-12).length / deals.length
      const { pValue } = scanForExcess(groups)
      assert.ok(Math.abs(pValue - (own === 1 ? 1 : expected)) < 1e-9, `${pValue}, not ${expected}`)
    }),
    { numRuns: 60 },
  )
})

test('the group is the one up to whose end the first sample stands out most', () => {
  const groups = [
    { count: 10, ofSample: 2 },
    { count: 10, ofSample: 10 },
    { count: 100, ofSample: 8 },
  ]
  assert.equal(scanForExcess(groups).group, 1)
})

test('a tiny p-value is exact: all of a sample before all others is one way of all', () => {
  const groups = [
    { count: 30, ofSample: 30 },
    { count: 30, ofSample: 0 },
  ]
  const { pValue } = scanForExcess(groups)
  assert.ok(Math.abs(pValue * choose(60, 30) - 1) < 1e-6, String(pValue))
})

test('a sample that nowhere has more than its part has the p-value 1', () => {
  assert.deepEqual(scanForExcess([{ count: 10, ofSample: 5 }]), { group: undefined, pValue: 1 })
  assert.deepEqual(scanForExcess([]), { group: undefined, pValue: 1 })
})
