import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import fc from 'fast-check'

import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import { behaviourLimits, parseFunnel, runFunnel, type AskedFunnel, type FunnelAnswer } from './index.ts'
import { loadWorlds, momentsOfStep, worldOf, type Moment, type TestClick, type TestWorld } from './test-worlds.ts'

const DAY = Date.UTC(2026, 9, 24)
const SECOND = 1_000
const defaults = { timezone: 'UTC', nowMs: DAY + 10 * 86_400_000 }
const tenantOf = (world: string): Tenant => ({ role: 'advertiser', advertiserId: world })

let facts: FactsClient
before(async (t) => {
  facts = await withClickHouse(t as TestContext)
})

async function ask(tenant: Tenant, asked: AskedFunnel): Promise<FunnelAnswer> {
  const parsed = parseFunnel({ from: '2026-10-24', to: '2026-10-24', ...asked }, tenant, defaults)
  assert.ok(parsed.kind === 'asked', JSON.stringify(parsed))
  return runFunnel(facts, tenant, parsed.funnel)
}

const uuid = (index: number): string => `00000000-0000-7000-8000-00000000000${index}`
const clickAt = (seconds: number, index: number, more: Partial<TestClick> = {}): TestClick => ({
  ...{ atMs: DAY + seconds * SECOND, clickId: uuid(index), visitor: 'v', country: 'DE', landing: 'one' },
  isCounted: true,
  ...more,
})

/** Four clicks: one goes all the way in an hour, one stops at the page, one books before it clicks, one is no click. */
const [far, short, odd, head] = [
  clickAt(0, 1), clickAt(10, 2, { country: 'TR' }), clickAt(20, 3), clickAt(30, 4, { isCounted: false }),
] as const // prettier-ignore
const event = (click: TestClick, seconds: number, type: string) => ({
  ...{ atMs: DAY + seconds * SECOND, click, type, site: '', isRefused: false },
})
const hand: TestWorld = {
  clicks: [far, short, odd, head],
  events: [
    ...[event(far, 4, 'open'), event(far, 6, 'lp_click')],
    ...[event(short, 20, 'open'), { ...event(short, 21, 'lp_click'), isRefused: true }],
    ...[event(odd, 60, 'open'), event(odd, 60, 'lp_click'), event(head, 40, 'open')],
  ],
  conversions: [
    { atMs: DAY + 3_600 * SECOND, click: far, type: 'sale', statuses: ['pending', 'approved'] },
    { atMs: DAY + 50 * SECOND, click: odd, type: 'sale', statuses: ['approved', 'rejected'] },
  ],
}
const wholeWay: AskedFunnel['steps'] = [
  { of: 'clicks' },
  { of: 'events', type: 'open' },
  { of: 'events', type: 'lp_click' },
  { of: 'conversions', type: 'sale' },
]
const countsOf = ({ totals }: FunnelAnswer): readonly number[] => totals.map(({ count }) => count)

test('counts the clicks that came to each step in order, and says how long that took', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const { totals } = await ask(tenantOf('hand'), { steps: wholeWay })
  assert.deepEqual(totals, [
    { name: 'click', count: 3, share_of_first: 1, share_of_previous: 1, median_seconds_from_previous: null },
    // Opened after 4, 10 and 40 seconds.
    { name: 'open', count: 3, share_of_first: 1, share_of_previous: 1, median_seconds_from_previous: 10 },
    // That of `odd` came in the same millisecond as its opening, that of `short` was refused.
    { name: 'lp_click', count: 1, share_of_first: 0.333333, share_of_previous: 0.333333, median_seconds_from_previous: 2 },
    { name: 'sale', count: 1, share_of_first: 0.333333, share_of_previous: 1, median_seconds_from_previous: 3_594 },
  ]) // prettier-ignore
})

test('two things in the same millisecond come in no order', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const steps: AskedFunnel['steps'] = [
    { of: 'events', type: 'open' },
    { of: 'events', type: 'lp_click' },
  ]
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), { steps })), [4, 1])
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), { steps, mode: 'any' })), [4, 2])
})

test('a conversion counts with the state that it has now', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const after = async (status: readonly string[] | undefined): Promise<readonly number[]> =>
    countsOf(await ask(tenantOf('hand'), { steps: [{ of: 'clicks' }, { of: 'conversions', status }] }))
  assert.deepEqual(await after(undefined), [3, 1])
  assert.deepEqual(await after(['approved']), [3, 1])
  assert.deepEqual(await after(['pending']), [3, 0])
  assert.deepEqual(await after(['rejected']), [3, 1])
  assert.deepEqual(await after(['approved', 'rejected']), [3, 2])
})

test('the last step comes within the window after the first one', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const within = async (window_seconds: number): Promise<readonly number[]> =>
    countsOf(await ask(tenantOf('hand'), { steps: wholeWay, window_seconds }))
  assert.deepEqual(await within(3_600), [3, 3, 1, 1])
  assert.deepEqual(await within(3_599), [3, 3, 1, 0])
  assert.deepEqual(await within(5), [3, 1, 0, 0])
})

test('strictly, no other step of the funnel comes between two steps', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const steps: AskedFunnel['steps'] = [
    { of: 'clicks' },
    { of: 'events', type: 'lp_click' },
    { of: 'events', type: 'open' },
  ]
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), { steps, mode: 'ordered' })), [3, 2, 0])
  // `far` opened before it clicked on the page; the opening of `odd` came at the same time.
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), { steps, mode: 'strict' })), [3, 1, 0])
})

test('puts the clicks of a visitor together where it is asked to', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const asked: AskedFunnel = { steps: [{ of: 'clicks' }, { of: 'clicks' }, { of: 'clicks' }, { of: 'conversions' }] }
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), asked)), [3, 0, 0, 0])
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), { ...asked, unit: 'visitor' })), [1, 1, 1, 1])
})

test('shows the groups of the first step, largest first, the rest in the totals only', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const answer = await ask(tenantOf('hand'), { steps: wholeWay, group_by: ['country', 'landing_id'], limit: 1 })
  assert.deepEqual(countsOf(answer), [3, 3, 1, 1])
  assert.equal(answer.is_truncated, true)
  assert.deepEqual(
    answer.rows.map(({ group, steps }) => [group, steps.map(({ count }) => count)]),
    [[{ country: 'DE', landing_id: 'one' }, [2, 2, 1, 1]]],
  )
})

test('a rule is a step, and another one a filter over all of them', async () => {
  await loadWorlds(facts, new Map([['hand', hand]]))
  const steps: AskedFunnel['steps'] = [{ of: 'clicks', filter: 'country is DE' }, { of: 'events', filter: 'country in (DE, TR)' }] // prettier-ignore
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), { steps })), [2, 2])
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), { steps, filter: 'country is TR' })), [0, 0])
})

test('shows a tenant its own rows only', async () => {
  await loadWorlds(facts, new Map([['hand', hand], ['other', hand]])) // prettier-ignore
  assert.deepEqual(countsOf(await ask(tenantOf('hand'), { steps: wholeWay })), [3, 3, 1, 1])
  assert.deepEqual(countsOf(await ask(tenantOf('nobody'), { steps: wholeWay })), [0, 0, 0, 0])
  assert.deepEqual(countsOf(await ask({ role: 'affiliate', affiliateId: 'bert' }, { steps: wholeWay })), [0, 0, 0, 0])
  assert.deepEqual(countsOf(await ask({ role: 'affiliate', affiliateId: 'anna', advertiserId: 'other' }, { steps: wholeWay })), [3, 3, 1, 1]) // prettier-ignore
})

test('looks at the first moments of a step only, as many as the limit says', async () => {
  const { momentsPerStepMax } = behaviourLimits
  const ended = async (opens: number): Promise<readonly number[]> => {
    const click = clickAt(0, 1)
    const events = Array.from({ length: opens }, (_, index) => event(click, index + 1, 'open'))
    await loadWorlds(facts, new Map([['many', { clicks: [click], events: [...events, event(click, opens + 2, 'reg')], conversions: [] }]])) // prettier-ignore
    const steps: AskedFunnel['steps'] = [
      { of: 'events', type: 'open' },
      { of: 'events', type: 'reg' },
    ]
    return countsOf(await ask(tenantOf('many'), { steps, window_seconds: 2 }))
  }
  // Only the last opening has the registration within its window.
  assert.deepEqual(await ended(momentsPerStepMax), [1, 1])
  assert.deepEqual(await ended(momentsPerStepMax + 1), [1, 0])
})

test('refuses what it cannot answer, with the place in the request', () => {
  const refusal = (asked: Partial<AskedFunnel>, tenant: Tenant = { role: 'owner' }): string => {
    const parsed = parseFunnel({ steps: wholeWay, ...asked }, tenant, defaults)
    return parsed.kind === 'asked' ? 'asked' : `${parsed.kind} ${parsed.path}: ${parsed.detail}`
  }
  const affiliate: Tenant = { role: 'affiliate', affiliateId: 'anna' }
  assert.equal(refusal({}), 'asked')
  assert.match(refusal({ steps: [{ of: 'clicks', type: 'x' }] }), /^invalid steps.0.type: /)
  assert.match(refusal({ steps: [{ of: 'clicks' }, { of: 'events', status: ['approved'] }] }), /^invalid steps.1.status: /) // prettier-ignore
  assert.match(refusal({ steps: [{ of: 'clicks', filter: 'status is approved' }] }), /^invalid steps.0.filter: /)
  assert.match(refusal({ filter: 'status is approved' }), /^invalid filter: /)
  assert.match(refusal({ group_by: ['luck'] }), /^invalid group_by: /)
  assert.match(refusal({ tz: 'Mars' }), /^invalid tz: /)
  assert.match(refusal({ group_by: ['fraud_reason'] }, affiliate), /^forbidden group_by: /)
  assert.match(refusal({ steps: [{ of: 'clicks', filter: 'cost between 1 and 2' }] }, affiliate), /^forbidden steps.0.filter: /) // prettier-ignore
})

/** The same with plain loops over every beginning. */
function slowFunnel(world: TestWorld, asked: AskedFunnel, fromMs: number, toMs: number) {
  const { unit = 'click', mode = 'ordered', window_seconds = 0, group_by = [] } = asked
  const key = ({ click }: Moment): string => (unit === 'click' ? click.clickId : click.visitor)
  const isInRange = ({ atMs }: Moment): boolean => atMs >= fromMs && atMs < toMs
  const all = asked.steps.map((step) => momentsOfStep(world, step).filter((moment) => key(moment) !== ''))
  const units = new Set(all[0]!.filter(isInRange).map(key))
  const groups = new Map<string, { counts: number[]; waits: number[][] }>()
  for (const one of units) {
    const lists = all.map((list, index) =>
      list.filter((moment) => key(moment) === one && (index > 0 || isInRange(moment))),
    )
    const chain = bestChain(lists, mode, window_seconds * SECOND)
    const valuesOf = ({ click, atMs }: Moment): string =>
      JSON.stringify(group_by.map((name) => (name === 'country' ? click.country : name === 'landing_id' ? click.landing : new Date(atMs).toISOString().slice(0, 10)))) // prettier-ignore
    const firsts = lists[0]!.map((moment) => ({ atMs: moment.atMs, values: valuesOf(moment) }))
    firsts.sort((a, b) => a.atMs - b.atMs || (a.values < b.values ? -1 : 1))
    for (const name of group_by.length === 0 ? [''] : ['', firsts[0]!.values]) {
      const group = groups.get(name) ?? { counts: all.map(() => 0), waits: all.map(() => []) }
      groups.set(name, group)
      chain.forEach((atMs, index) => {
        group.counts[index]!++
        if (index > 0 && mode !== 'any') group.waits[index]!.push((atMs - chain[index - 1]!) / SECOND)
      })
    }
  }
  return groups
}

function bestChain(lists: readonly (readonly Moment[])[], mode: string, windowMs: number): readonly number[] {
  const starts = mode === 'any' ? lists.flat() : lists[0]!
  let best: readonly number[] = []
  for (const start of [...starts].sort((a, b) => a.atMs - b.atMs)) {
    const chain = mode === 'any' ? anyChain(lists, start.atMs, windowMs) : chainFrom(lists, mode, start.atMs, windowMs)
    if (chain.length > best.length) best = chain
  }
  return best
}

function anyChain(lists: readonly (readonly Moment[])[], startMs: number, windowMs: number): readonly number[] {
  const chain: number[] = []
  for (const list of lists) {
    const found = list.find(({ atMs }) => atMs >= startMs && atMs <= startMs + windowMs)
    if (found === undefined) break
    chain.push(found.atMs)
  }
  return chain
}

function chainFrom(
  lists: readonly (readonly Moment[])[],
  mode: string,
  startMs: number,
  windowMs: number,
): readonly number[] {
  const chain = [startMs]
  for (let index = 1; index < lists.length; index++) {
    const last = chain.at(-1)!
    const next = Math.min(
      ...lists[index]!.map(({ atMs }) => atMs).filter((ms) => ms > last && ms <= startMs + windowMs),
    )
    if (next === Infinity) break
    const isBroken = lists.some((list, other) => other !== index && other !== index - 1 && list.some(({ atMs }) => atMs > last && atMs < next)) // prettier-ignore
    if (mode === 'strict' && isBroken) break
    chain.push(next)
  }
  return chain
}

function medianOf(values: readonly number[]): number | null {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2
}

test('agrees with plain loops for any steps, order, window, unit, group and world', async () => {
  const worlds = new Map(
    Array.from({ length: 12 }, (_, index) => {
      const name = `w${index}`
      const world = worldOf({ name, fromMs: DAY - 40 * SECOND, stepMs: 10 * SECOND, steps: 18, clicksMax: 10 })
      return [name, fc.sample(world, { numRuns: 1, seed: index })[0]!] as const
    }),
  )
  await loadWorlds(facts, worlds)
  const step = fc.oneof(
    fc.constant({ of: 'clicks' as const }),
    fc.record({ of: fc.constant('events' as const), type: fc.constantFrom('open', 'lp_click', 'reg', undefined) }),
    fc.record({
      of: fc.constant('conversions' as const),
      type: fc.constantFrom('lead', 'sale', undefined),
      status: fc.constantFrom(undefined, ['approved'], ['rejected', 'pending']),
    }),
  )
  const askedArb = fc.record({
    steps: fc.oneof(
      fc.array(step, { minLength: 2, maxLength: 5 }),
      fc.array(step, { minLength: 1, maxLength: 3 }).map((rest) => [{ of: 'clicks' as const }, ...rest]),
    ),
    mode: fc.constantFrom('ordered' as const, 'strict' as const, 'any' as const),
    unit: fc.constantFrom('click' as const, 'visitor' as const),
    window_seconds: fc.constantFrom(10, 50, 1_000),
    group_by: fc.subarray(['country', 'landing_id', 'date'], { maxLength: 2 }),
    from: fc.constant(new Date(DAY).toISOString()),
    to: fc.constant(new Date(DAY + 100 * SECOND).toISOString()),
  })
  const toName = (names: readonly string[], group: Readonly<Record<string, string>>): string =>
    JSON.stringify(names.map((name) => group[name]))
  await fc.assert(
    fc.asyncProperty(askedArb, fc.constantFrom(...worlds.keys()), async (asked, name) => {
      const expected = slowFunnel(worlds.get(name)!, asked, DAY, DAY + 100 * SECOND)
      const answer = await ask(tenantOf(name), asked)
      const rows = new Map(answer.rows.map(({ group, steps }) => [toName(asked.group_by, group), steps]))
      assert.equal(rows.size, Math.max(0, asked.group_by.length === 0 ? 0 : expected.size - 1))
      for (const [group, { counts, waits }] of expected) {
        const actual = group === '' ? answer.totals : rows.get(group)
        assert.deepEqual(
          actual?.map(({ count }) => count),
          counts,
        )
        assert.deepEqual(actual?.map(({ median_seconds_from_previous: median }) => median), waits.map(medianOf)) // prettier-ignore
      }
    }),
    { numRuns: 40, seed: 5 },
  )
})
