import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import fc from 'fast-check'

import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import {
  parseTimeToConvert,
  runTimeToConvert,
  WAIT_BUCKETS_FROM_SECONDS,
  WAIT_PERCENTILES,
  type AskedTimeToConvert,
  type TimeToConvertAnswer,
  type Waits,
} from './index.ts'
import { loadWorlds, momentsOfStep, worldOf, type TestClick, type TestWorld } from './test-worlds.ts'

const DAY = Date.UTC(2026, 9, 24)
const SECOND = 1_000
const defaults = { timezone: 'UTC', nowMs: DAY + 10 * 86_400_000 }
const tenantOf = (world: string): Tenant => ({ role: 'advertiser', advertiserId: world })

let facts: FactsClient
before(async (t) => {
  facts = await withClickHouse(t as TestContext)
})

async function ask(tenant: Tenant, asked: AskedTimeToConvert): Promise<TimeToConvertAnswer> {
  const parsed = parseTimeToConvert({ from: '2026-10-24', to: '2026-10-24', ...asked }, tenant, defaults)
  assert.ok(parsed.kind === 'asked', JSON.stringify(parsed))
  return runTimeToConvert(facts, tenant, parsed.chain)
}

const filled = ({ buckets }: Waits): readonly (readonly [number, number | null, number])[] =>
  buckets
    .filter(({ count }) => count > 0)
    .map(({ from_seconds, to_seconds, count }) => [from_seconds, to_seconds, count])

test('tells how long it took from the click to the conversion, in buckets and percentiles', async () => {
  const clicks = [0, 1, 2, 3].map((index): TestClick => ({
    ...{ atMs: DAY + index, clickId: `00000000-0000-7000-8000-00000000000${index}`, visitor: 'v', landing: 'one' },
    ...{ country: index === 0 ? 'TR' : 'DE', isCounted: true },
  }))
  const sale = (click: TestClick, seconds: number, status = 'approved') => ({
    ...{ atMs: click.atMs + seconds * SECOND, click, type: 'sale', statuses: [status] },
  })
  // The first conversion of a click counts, and a rejected one does not.
  const [a, b, c, d] = clicks as [TestClick, TestClick, TestClick, TestClick]
  const conversions = [sale(a, 4), sale(b, 60), sale(b, 90), sale(c, 61.5), sale(d, 5, 'rejected')]
  await loadWorlds(facts, new Map([['hand', { clicks, events: [], conversions }]]))
  const { totals, rows } = await ask(tenantOf('hand'), { group_by: ['country'] })
  assert.deepEqual([totals.count, totals.min_seconds, totals.max_seconds], [3, 4, 61.5])
  assert.equal(totals.mean_seconds, 125.5 / 3)
  assert.deepEqual(filled(totals), [[2, 5, 1], [60, 120, 2]]) // prettier-ignore
  // Between 60 and 61.5 seconds by linear interpolation: the 75th of hundred lies in the middle of them.
  assert.deepEqual([totals.percentiles_seconds['p50'], totals.percentiles_seconds['p75']], [60, 60.75])
  assert.deepEqual(rows.map(({ group, waits }) => [group['country'], waits.count]), [['DE', 2], ['TR', 1]]) // prettier-ignore
})

test('answers null where nobody came to the end', async () => {
  await loadWorlds(facts, new Map())
  const { totals, rows, is_truncated } = await ask({ role: 'owner' }, {})
  assert.deepEqual([totals.count, totals.mean_seconds, totals.percentiles_seconds['p50'], rows, is_truncated], [0, null, null, [], false]) // prettier-ignore
})

/** The waits of each unit, with plain loops over every beginning; the first beginning that comes to the end counts. */
function slowWaits(
  world: TestWorld,
  { start, end, unit, window_seconds = 0 }: AskedTimeToConvert,
  fromMs: number,
  toMs: number,
): number[] {
  const waits = new Map<string, number>()
  const key = (click: TestClick): string => (unit === 'click' ? click.clickId : click.visitor)
  const begins = momentsOfStep(world, start!).filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
  for (const begin of [...begins].sort((a, b) => a.atMs - b.atMs)) {
    const ends = momentsOfStep(world, end!)
      .filter((one) => key(one.click) === key(begin.click) && one.atMs > begin.atMs)
      .map(({ atMs }) => atMs - begin.atMs)
    const wait = Math.min(...ends)
    if (key(begin.click) !== '' && wait <= window_seconds * SECOND && !waits.has(key(begin.click)))
      waits.set(key(begin.click), wait / SECOND)
  }
  return [...waits.values()].sort((a, b) => a - b)
}

function percentile(sorted: readonly number[], percent: number): number | null {
  if (sorted.length === 0) return null
  const place = ((sorted.length - 1) * percent) / 100
  const below = sorted[Math.floor(place)]!
  return below + (place - Math.floor(place)) * (sorted[Math.ceil(place)]! - below)
}

test('agrees with plain loops for any two steps, unit and window', async () => {
  const worlds = new Map(
    Array.from({ length: 8 }, (_, index) => {
      const name = `t${index}`
      const world = worldOf({ name, fromMs: DAY - 20 * SECOND, stepMs: 1_500, steps: 60, clicksMax: 12 })
      return [name, fc.sample(world, { numRuns: 1, seed: index })[0]!] as const
    }),
  )
  await loadWorlds(facts, worlds)
  const askedArb = fc.record({
    start: fc.constantFrom<AskedTimeToConvert['start']>({ of: 'clicks' }, { of: 'events', type: 'open' }),
    end: fc.constantFrom<AskedTimeToConvert['end']>({ of: 'conversions' }, { of: 'conversions', status: ['rejected'] }, { of: 'events' }), // prettier-ignore
    unit: fc.constantFrom('click' as const, 'visitor' as const),
    window_seconds: fc.constantFrom(9, 30, 1_000),
    from: fc.constant(new Date(DAY).toISOString()),
    to: fc.constant(new Date(DAY + 40 * SECOND).toISOString()),
  })
  await fc.assert(
    fc.asyncProperty(askedArb, fc.constantFrom(...worlds.keys()), async (asked, name) => {
      const expected = slowWaits(worlds.get(name)!, asked, DAY, DAY + 40 * SECOND)
      const { totals } = await ask(tenantOf(name), asked)
      assert.equal(totals.count, expected.length)
      for (const percent of WAIT_PERCENTILES) {
        const [actual, wanted] = [totals.percentiles_seconds[`p${percent}`], percentile(expected, percent)]
        assert.ok(
          actual === wanted || Math.abs(Number(actual) - Number(wanted)) < 1e-6,
          `p${percent}: ${actual} ${wanted}`,
        )
      }
      const counts = WAIT_BUCKETS_FROM_SECONDS.map((from, index) =>
        expected.filter((wait) => wait >= from && wait < (WAIT_BUCKETS_FROM_SECONDS[index + 1] ?? Infinity)).length) // prettier-ignore
      assert.deepEqual(totals.buckets.map(({ count }) => count), counts) // prettier-ignore
    }),
    { numRuns: 25, seed: 3 },
  )
})
