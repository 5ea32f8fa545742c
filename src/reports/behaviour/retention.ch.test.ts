import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import fc from 'fast-check'

import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import { parseRetention, runRetention, type AskedRetention, type RetentionAnswer } from './index.ts'
import { loadWorlds, momentsOfStep, worldOf, type TestClick, type TestWorld } from './test-worlds.ts'

const HOUR = 3_600_000
const tenantOf = (world: string): Tenant => ({ role: 'advertiser', advertiserId: world })

let facts: FactsClient
before(async (t) => {
  facts = await withClickHouse(t as TestContext)
})

async function ask(tenant: Tenant, asked: AskedRetention, nowMs = Date.UTC(2027, 0, 1)): Promise<RetentionAnswer> {
  const parsed = parseRetention(asked, tenant, { timezone: 'UTC', nowMs })
  assert.ok(parsed.kind === 'asked', JSON.stringify(parsed))
  return runRetention(facts, tenant, parsed.retention)
}

let clicks = 0
const clickAt = (time: string, visitor: string, country = 'DE'): TestClick => ({
  ...{ atMs: Date.parse(time), visitor, country, landing: 'one', isCounted: true },
  clickId: `00000000-0000-7000-8000-${String(++clicks).padStart(12, '0')}`,
})
/** In Berlin the clocks go back on the 25th, which therefore has 25 hours. */
const hand: TestWorld = {
  clicks: [
    ...[
      clickAt('2026-10-24T10:00:00Z', 'v1'),
      clickAt('2026-10-25T22:30:00Z', 'v1'),
      clickAt('2026-10-27T10:00:00Z', 'v1'),
    ],
    ...[
      clickAt('2026-10-24T11:00:00Z', 'v2', 'TR'),
      clickAt('2026-10-24T12:00:00Z', 'v2'),
      clickAt('2026-10-25T23:30:00Z', 'v2'),
    ],
    ...[clickAt('2026-10-25T12:00:00Z', 'v3'), clickAt('2026-10-25T12:00:00Z', '')],
    // Was there before.
    ...[clickAt('2026-10-20T12:00:00Z', 'v4'), clickAt('2026-10-25T12:00:00Z', 'v4')],
  ],
  events: [],
  conversions: [],
}
const triangle = ({ totals }: RetentionAnswer): readonly unknown[] =>
  totals.map(({ start, size, cells }) => [start, size, cells.map(({ returned }) => returned)])

test('counts who came back on the days after their first one, in the days of a zone', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const asked = { from: '2026-10-24', to: '2026-10-25', tz: 'Europe/Berlin', periods: 3 }
  // v1 is back on the 25th at 23:30 and on the 27th; v2 at 00:30 of the 26th, which is the 25th in UTC.
  assert.deepEqual(triangle(await ask(tenantOf('hand'), asked)), [
    ['2026-10-24', 2, [1, 1, 1]],
    ['2026-10-25', 2, [0, 0, 0]],
  ])
  assert.deepEqual(triangle(await ask(tenantOf('hand'), { ...asked, tz: 'UTC' })), [
    ['2026-10-24', 2, [2, 0, 1]],
    ['2026-10-25', 2, [0, 0, 0]],
  ])
  assert.deepEqual(triangle(await ask(tenantOf('hand'), { ...asked, kind: 'unbounded' })), [
    ['2026-10-24', 2, [2, 2, 1]],
    ['2026-10-25', 2, [0, 0, 0]],
  ])
})

test('leaves out whoever was there in the days before', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const asked = { from: '2026-10-24', to: '2026-10-25', tz: 'Europe/Berlin', periods: 1 }
  assert.deepEqual(triangle(await ask(tenantOf('hand'), { ...asked, lookback_days: 5 }))[1], ['2026-10-25', 1, [0]])
  assert.deepEqual(triangle(await ask(tenantOf('hand'), { ...asked, lookback_days: 3 }))[1], ['2026-10-25', 2, [0]])
})

test('says which numbers can still grow, and gives none for days that have not begun', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const asked = { from: '2026-10-24', to: '2026-10-25', tz: 'UTC', periods: 3 }
  const now = Date.parse('2026-10-26T12:00:00Z')
  const [first, second] = (await ask(tenantOf('hand'), asked, now)).totals
  assert.deepEqual(first?.cells.map(({ is_complete, returned }) => [is_complete, returned]), [[true, 2], [false, 0], [false, null]]) // prettier-ignore
  assert.deepEqual(second?.cells.map(({ is_complete, returned }) => [is_complete, returned]), [[false, 0], [false, null], [false, null]]) // prettier-ignore
  assert.deepEqual([first?.cells[0]?.share, first?.cells[2]?.share, first?.is_complete], [1, null, true])
  const unbounded = (await ask(tenantOf('hand'), { ...asked, kind: 'unbounded' }, now)).totals[0]
  assert.equal(unbounded?.cells[0]?.is_complete, false)
})

test('a cohort is a week from Monday on, or a month, and the range grows to whole ones', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const asked = { from: '2026-10-22', to: '2026-10-24', tz: 'UTC', periods: 1 }
  assert.deepEqual(triangle(await ask(tenantOf('hand'), { ...asked, period: 'week' })), [['2026-10-19', 4, [1]]])
  assert.deepEqual(triangle(await ask(tenantOf('hand'), { ...asked, period: 'month' })), [['2026-10-01', 4, [0]]])
})

test('puts visitors under the values of their first row, and the rest in the totals only', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const answer = await ask(tenantOf('hand'), { from: '2026-10-24', to: '2026-10-24', periods: 1, group_by: ['country'], limit: 1 }) // prettier-ignore
  assert.deepEqual(answer.rows.map(({ group, cohorts }) => [group, cohorts[0]?.size]), [[{ country: 'DE' }, 1]]) // prettier-ignore
  assert.deepEqual([answer.totals[0]?.size, answer.is_truncated], [2, true])
})

test('refuses more cohorts than the limit', () => {
  const parsed = parseRetention(
    { from: '2025-01-01', to: '2026-01-03' },
    { role: 'owner' },
    { timezone: 'UTC', nowMs: 0 },
  )
  assert.deepEqual([parsed.kind, parsed.kind === 'asked' || parsed.path], ['invalid', 'to'])
})

/** The same with plain loops over visitors and periods. */
type Checked = {
  readonly [Name in 'first' | 'returned' | 'period' | 'kind' | 'periods' | 'tz' | 'lookback_days']-?: NonNullable<
    AskedRetention[Name]
  >
}

function slowRetention(world: TestWorld, asked: Checked, from: string, to: string) {
  const dayAt = (ms: number) => Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(asked.tz).toPlainDate()
  const beginOf = (day: Temporal.PlainDate) =>
    asked.period === 'day' ? day : asked.period === 'month' ? day.with({ day: 1 }) : day.subtract({ days: day.dayOfWeek - 1 }) // prettier-ignore
  const later = (day: Temporal.PlainDate, count: number) => day.add({ [`${asked.period}s`]: count })
  const startMs = (day: Temporal.PlainDate) => day.toZonedDateTime({ timeZone: asked.tz }).epochMilliseconds
  const answer: unknown[] = []
  const begin = beginOf(Temporal.PlainDate.from(from))
  const firsts = momentsOfStep(world, asked.first).filter(({ click, atMs }) => click.visitor !== '' && atMs >= startMs(begin) - asked.lookback_days * 24 * HOUR) // prettier-ignore
  for (
    let start = begin;
    Temporal.PlainDate.compare(start, Temporal.PlainDate.from(to)) <= 0;
    start = later(start, 1)
  ) {
    const visitors = new Set(firsts.map(({ click }) => click.visitor))
    const cohort = [...visitors].filter((visitor) => {
      const first = Math.min(...firsts.filter(({ click }) => click.visitor === visitor).map(({ atMs }) => atMs))
      return first >= startMs(begin) && beginOf(dayAt(first)).equals(start)
    })
    const counts = Array.from({ length: asked.periods }, (_, index) => {
      const cameBack = (visitor: string): boolean =>
        momentsOfStep(world, asked.returned).some(({ click, atMs }) => {
          const last = asked.kind === 'exact' ? index + 1 : asked.periods
          return click.visitor === visitor && atMs >= startMs(later(start, index + 1)) && atMs < startMs(later(start, last + 1)) // prettier-ignore
        })
      return cohort.filter(cameBack).length
    })
    answer.push([start.toString(), cohort.length, counts])
  }
  return answer
}

test('agrees with plain loops for any steps, period, kind, zone, number of periods and days before', async () => {
  const worlds = new Map(
    Array.from({ length: 6 }, (_, index) => {
      const name = `r${index}`
      const world = worldOf({ name, fromMs: Date.UTC(2026, 9, 10), stepMs: 7 * HOUR, steps: 200, clicksMax: 40 })
      return [name, fc.sample(world, { numRuns: 1, seed: index })[0]!] as const
    }),
  )
  await loadWorlds(facts, worlds)
  const step = fc.constantFrom<NonNullable<AskedRetention['first']>>({ of: 'clicks' }, { of: 'events', type: 'open' }, { of: 'conversions' }, { of: 'conversions', status: ['rejected'] }) // prettier-ignore
  const askedArb = fc.record({
    ...{ first: step, returned: step, period: fc.constantFrom('day' as const, 'week' as const, 'month' as const) },
    kind: fc.constantFrom('exact' as const, 'unbounded' as const),
    periods: fc.constantFrom(1, 4, 62),
    tz: fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata'),
    lookback_days: fc.constantFrom(0, 4),
  })
  await fc.assert(
    fc.asyncProperty(askedArb, fc.constantFrom(...worlds.keys()), async (asked, name) => {
      const answer = await ask(tenantOf(name), { ...asked, from: '2026-10-15', to: '2026-10-29' }, Date.UTC(2040, 0))
      assert.deepEqual(triangle(answer), slowRetention(worlds.get(name)!, asked, '2026-10-15', '2026-10-29'))
    }),
    { numRuns: 40, seed: 9 },
  )
})
