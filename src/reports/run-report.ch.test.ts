import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import fc from 'fast-check'

import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { formatAmount } from '#platform/money'
import { RuleLists } from '#rules'
import { withClickHouse } from '#test-kit'

import {
  findDimension,
  metrics,
  parseReport,
  runReport,
  visibleMetrics,
  type AskedReport,
  type ReportAnswer,
} from './index.ts'

/** A hand-made world whose numbers can be checked by eye, and a generated one that a slow reference adds up in plain loops. */
type Click = {
  at: string
  advertiser_id: string
  campaign_id: string
  offer_id: string
  affiliate_id: string
  country: string
  class: string
  outcome: string
  bot: string
  is_unique_campaign: boolean
  is_unique_offer: boolean
  cost_micros: number
  currency: string
  sub1: string
  sub2_keys: Record<string, string>
}
type Event = Pick<
  Click,
  'at' | 'advertiser_id' | 'campaign_id' | 'offer_id' | 'affiliate_id' | 'country' | 'sub1' | 'sub2_keys'
> & { type: string; refusal: string }
type Conversion = Omit<Event, 'refusal'> & {
  sign: number
  status: string
  revenue_micros: number
  payout_micros: number
  currency: string
}
type World = { clicks: Click[]; events: Event[]; conversions: Conversion[] }

const testLists = new RuleLists({ office: ['x'] })

const place = {
  advertiser_id: 'acme',
  campaign_id: 'main',
  offer_id: 'summer',
  affiliate_id: 'anna',
  country: 'DE',
  sub1: 'x',
  sub2_keys: { geo: 'DE' } as Record<string, string>,
}
const click = (at: string, more: Partial<Click> = {}): Click => ({
  at,
  ...place,
  class: 'click',
  outcome: 'redirected',
  bot: '',
  is_unique_campaign: false,
  is_unique_offer: false,
  cost_micros: 0,
  currency: '',
  ...more,
})
const event = (at: string, type: string, more: Partial<Event> = {}): Event => ({
  at,
  ...place,
  type,
  refusal: '',
  ...more,
})
const conversion = (
  at: string,
  type: string,
  status: string,
  revenue: number,
  payout: number,
  more: Partial<Conversion> = {},
): Conversion => ({
  at,
  ...place,
  type,
  status,
  sign: 1,
  revenue_micros: revenue * 1e6,
  payout_micros: payout * 1e6,
  currency: 'EUR',
  ...more,
})

const hand: World = {
  clicks: [
    click('2026-03-28T10:00:00.000Z', { is_unique_campaign: true, cost_micros: 500_000, currency: 'EUR' }),
    click('2026-03-28T10:30:00.000Z'),
    click('2026-03-28T23:30:00.000Z', {
      is_unique_campaign: true,
      country: 'TR',
      sub2_keys: { geo: 'TR' },
      affiliate_id: 'bert',
    }),
    click('2026-03-29T00:30:00.000Z', { bot: 'user_agent', outcome: 'fallback' }),
    click('2026-03-29T01:30:00.000Z', { campaign_id: '', is_unique_offer: true }),
    click('2026-03-29T02:00:00.000Z', {
      class: 'prefetch',
      is_unique_campaign: true,
      cost_micros: 9_000_000,
      currency: 'EUR',
    }),
    click('2026-03-29T02:00:00.000Z', { outcome: 'not_found' }),
    click('2026-03-29T03:00:00.000Z', { advertiser_id: 'other', affiliate_id: 'anna' }),
  ],
  events: [
    event('2026-03-28T10:00:05.000Z', 'open'),
    event('2026-03-28T10:00:09.000Z', 'lp_click'),
    event('2026-03-28T10:00:10.000Z', 'lp_click', { refusal: 'click_unknown' }),
  ],
  conversions: [
    conversion('2026-03-28T11:00:00.000Z', 'lead', 'approved', 3, 1),
    // Pending, then approved: the first state is taken back.
    conversion('2026-03-28T12:00:00.000Z', 'sale', 'pending', 10, 4),
    conversion('2026-03-28T12:00:00.000Z', 'sale', 'pending', 10, 4, { sign: -1 }),
    conversion('2026-03-28T12:00:00.000Z', 'sale', 'approved', 10, 4),
    conversion('2026-03-28T13:00:00.000Z', 'sale', 'pending', 20, 8),
    conversion('2026-03-28T14:00:00.000Z', 'lead', 'rejected', 3, 1),
    conversion('2026-03-29T14:00:00.000Z', 'sale', 'approved', 100, 50, { currency: 'USD' }),
    conversion('2026-03-29T15:00:00.000Z', 'sale', 'approved', 7, 2, { advertiser_id: 'other' }),
  ],
}

const owner: Tenant = { role: 'owner' }
const acme: Tenant = { role: 'advertiser', advertiserId: 'acme' }
const anna: Tenant = { role: 'affiliate', affiliateId: 'anna' }
const annaAtAcme: Tenant = { role: 'affiliate', affiliateId: 'anna', advertiserId: 'acme' }

async function load(facts: FactsClient, world: World): Promise<void> {
  for (const table of ['clicks', 'events', 'conversions'] as const) {
    await facts.command({ query: `TRUNCATE TABLE ${table}` })
    const values = world[table].map((row, index) => ({
      ...row,
      at: row.at.replace('Z', ''),
      ...(table === 'events' && { event_id: `${index}` }),
    }))
    if (values.length > 0)
      await facts.insert({
        table,
        values,
        format: 'JSONEachRow',
        clickhouse_settings: { date_time_input_format: 'best_effort' },
      })
  }
}

const everything: AskedReport = { from: '2026-03-28', to: '2026-03-29', tz: 'UTC', currency: 'EUR', only: {}, not: {} }
const defaults = { timezone: 'UTC', currency: 'USD', nowMs: Date.UTC(2026, 2, 30, 12) }

async function ask(facts: FactsClient, tenant: Tenant, asked: Partial<AskedReport>): Promise<ReportAnswer> {
  const parsed = parseReport({ ...everything, ...asked }, tenant, defaults)
  assert.ok(parsed.kind === 'asked', parsed.kind === 'asked' ? '' : parsed.detail)
  return runReport(facts, tenant, {
    ...parsed.report,
    defaultCurrency: defaults.currency,
  })
}

let facts: FactsClient
before(async (t) => {
  facts = await withClickHouse(t as TestContext)
})

test('adds up what happened, with bots apart and corrected conversions once', async () => {
  await load(facts, hand)
  const { totals } = await ask(facts, acme, {})
  assert.deepEqual(totals, {
    clicks: 5, uniques: 3, bots: 1, opens: 1, lp_clicks: 1, ctr: 0.2, leads: 1, sales: 3, pending: 1, rejected: 1, cr: 0.8,
    epc: '2.60', revenue: '13.00', revenue_pending: '20.00', payout: '5.00', payout_pending: '8.00', cost: '0.50',
    profit: '7.50', roi: 1.363636,
  }) // prettier-ignore
})

test('shows an affiliate neither revenue nor profit nor cost, and its payout as its earnings', async () => {
  await load(facts, hand)
  const { totals } = await ask(facts, annaAtAcme, {})
  assert.deepEqual(
    Object.keys(totals).filter((name) => ['revenue', 'revenue_pending', 'profit', 'roi', 'cost'].includes(name)),
    [],
  )
  assert.equal(totals['epc'], '1.25')
  for (const name of ['revenue', 'revenue_pending', 'profit', 'roi', 'cost'])
    assert.equal(parseReport({ ...everything, metrics: [name] }, anna, defaults).kind, 'forbidden')
})

test('tells an affiliate neither by group nor by filter how its clicks were judged', () => {
  const affiliates: readonly Tenant[] = [anna, annaAtAcme]
  const others: readonly Tenant[] = [owner, acme]
  const asks: readonly [string, Partial<AskedReport>][] = [
    ['group_by', { group_by: ['country', 'fraud_reason'] }],
    ['fraud_reason', { only: { fraud_reason: ['ip_rate'] } }],
    ['not.fraud_reason', { not: { fraud_reason: [''] } }],
  ]
  for (const [path, asked] of asks) {
    for (const tenant of affiliates)
      assert.deepEqual(parseReport({ ...everything, ...asked }, tenant, defaults), {
        kind: 'forbidden',
        path,
        detail: '"fraud_reason" is not shown to an affiliate',
      })
    for (const tenant of others) assert.equal(parseReport({ ...everything, ...asked }, tenant, defaults).kind, 'asked')
  }
})

test('shows a tenant its own rows only, whatever it asks for', async () => {
  await load(facts, hand)
  const countOf = async (tenant: Tenant, only: AskedReport['only'] = {}): Promise<unknown> =>
    (await ask(facts, tenant, { only, metrics: ['clicks'] })).totals['clicks']
  assert.equal(await countOf(owner), 6)
  assert.equal(await countOf(acme), 5)
  assert.equal(await countOf(acme, { advertiser_id: ['other'] }), 0)
  assert.equal(await countOf(anna), 5)
  assert.equal(await countOf(annaAtAcme), 4)
  assert.equal(await countOf(annaAtAcme, { affiliate_id: ['bert'] }), 0)
})

test('takes the days and hours of the zone that was asked for', async () => {
  await load(facts, hand)
  const inBerlin = await ask(facts, acme, { tz: 'Europe/Berlin', group_by: ['date'], metrics: ['clicks'] })
  assert.deepEqual(inBerlin.rows, [
    { date: '2026-03-28', clicks: 2 },
    { date: '2026-03-29', clicks: 3 },
  ])
  const hours = await ask(facts, acme, {
    tz: 'Europe/Berlin',
    group_by: ['hour'],
    metrics: ['clicks'],
    from: '2026-03-29',
  })
  // The hour from two to three does not exist on this night.
  assert.deepEqual(hours.rows, [
    { hour: '2026-03-29T00:00:00+01:00', clicks: 1 },
    { hour: '2026-03-29T01:00:00+01:00', clicks: 1 },
    { hour: '2026-03-29T03:00:00+02:00', clicks: 1 },
  ])
})

test('groups by the keys of sub2 and filters by any dimension, also the other way round', async () => {
  await load(facts, hand)
  const { rows } = await ask(facts, acme, { group_by: ['sub2.geo'], metrics: ['clicks', 'sales'], order: '-clicks' })
  assert.deepEqual(rows, [
    { 'sub2.geo': 'DE', clicks: 4, sales: 3 },
    { 'sub2.geo': 'TR', clicks: 1, sales: 0 },
  ])
  assert.equal((await ask(facts, acme, { only: { 'sub2.geo': ['TR'] }, metrics: ['clicks'] })).totals['clicks'], 1)
  assert.equal((await ask(facts, acme, { not: { country: ['DE'] }, metrics: ['clicks'] })).totals['clicks'], 1)
  assert.equal((await ask(facts, acme, { only: { campaign_id: [''] }, metrics: ['clicks'] })).totals['clicks'], 1)
})

test('a rule of the rule language is a filter, over every table that the metrics need', async () => {
  await load(facts, hand)
  const under = async (filter: string, tenant = acme) =>
    (await ask(facts, tenant, { filter, metrics: ['clicks', 'sales'] })).totals
  const all = await under('country in (DE, TR, US, FR) or sub1 exists')
  assert.deepEqual(await under('sub2.geo is TR'), { clicks: 1, sales: 0 })
  assert.deepEqual(await under('not sub2.geo is TR'), { clicks: Number(all['clicks']) - 1, sales: all['sales'] })
  assert.deepEqual(await under('sub2.geo is TR or sub2.geo is DE'), { clicks: 5, sales: 3 })
  assert.deepEqual(
    await under('country is DE and sub2.geo starts_with "D"'),
    await under('country is DE and sub2.geo is DE'),
  )
  assert.equal((await ask(facts, acme, { filter: 'status is rejected', metrics: ['sales'] })).totals['sales'], 0)
})

test('a filter that cannot be read, asks for what a table does not hold or for what is hidden is refused with its reason', () => {
  const refusal = (filter: string, tenant: Tenant, names = ['clicks']) => {
    const asked = { only: {}, not: {}, filter, metrics: names }
    const parsed = parseReport(asked, tenant, { timezone: 'UTC', currency: 'USD', nowMs: 0, lists: testLists })
    return parsed.kind === 'asked' ? 'asked' : `${parsed.kind} ${parsed.path}: ${parsed.detail}`
  }
  const affiliate: Tenant = { role: 'affiliate', affiliateId: 'anna' }
  assert.match(refusal('contry is DE', owner), /^invalid filter: character 1: .*country/)
  assert.match(refusal('status is approved', owner), /^invalid filter: status is not known of clicks/)
  assert.equal(refusal('status is approved', owner, ['sales']), 'asked')
  assert.equal(refusal('status is approved', affiliate, ['sales']), 'asked')
  for (const hidden of ['cost between 1 and 2', 'not (country is DE and ip is 10.0.0.0/8)', 'user_agent contains x'])
    assert.match(refusal(hidden, affiliate), /^forbidden filter: /)
  assert.equal(refusal('sub1 in (@office)', owner), 'asked')
  assert.match(refusal('sub1 in (@nowhere)', owner), /no list/)
})

test('answers null where there is nothing to divide by', async () => {
  await load(facts, { clicks: [], events: [], conversions: [] })
  const { totals, rows } = await ask(facts, owner, {})
  assert.deepEqual(
    [totals['cr'], totals['epc'], totals['roi'], totals['ctr'], totals['clicks'], totals['profit']],
    [null, null, null, null, 0, '0.00'],
  )
  assert.equal((await ask(facts, owner, { group_by: ['country'] })).rows.length, 0)
  assert.equal(rows.length, 1)
})

test('never adds currencies up: it takes one and names the others', async () => {
  await load(facts, hand)
  const chosen = await ask(facts, acme, { currency: undefined, metrics: ['revenue'] })
  assert.deepEqual([chosen.currency, chosen.other_currencies, chosen.totals['revenue']], ['USD', ['EUR'], '100.00'])
  const euros = await ask(facts, acme, { metrics: ['revenue'] })
  assert.deepEqual([euros.currency, euros.other_currencies, euros.totals['revenue']], ['EUR', ['USD'], '13.00'])
  const elsewhere = await ask(
    facts,
    { role: 'advertiser', advertiserId: 'other' },
    { currency: undefined, metrics: ['revenue'] },
  )
  assert.equal(elsewhere.currency, 'EUR')
})

test('says when there are more rows than the limit, and counts them in the totals all the same', async () => {
  await load(facts, hand)
  const { rows, totals, is_truncated } = await ask(facts, acme, {
    group_by: ['country'],
    metrics: ['clicks'],
    limit: 1,
  })
  assert.deepEqual([rows, totals, is_truncated], [[{ country: 'DE', clicks: 4 }], { clicks: 5 }, true])
})

test('takes a value for what it is, whatever is in it', async () => {
  const nasty = `'); DROP TABLE clicks; --\\{x:String}`
  await load(facts, { ...hand, clicks: [click('2026-03-28T10:00:00.000Z', { sub1: nasty })] })
  const { rows } = await ask(facts, acme, { only: { sub1: [nasty] }, group_by: ['sub1'], metrics: ['clicks'] })
  assert.deepEqual(rows, [{ sub1: nasty, clicks: 1 }])
})

const oneOf = <Value>(...values: Value[]): fc.Arbitrary<Value> => fc.constantFrom(...values)
const atArb = fc
  .integer({ min: Date.UTC(2026, 9, 23), max: Date.UTC(2026, 9, 28) })
  .map((ms) => new Date(ms).toISOString())
const placeArb = fc.record({
  at: atArb,
  advertiser_id: oneOf('acme', 'other'),
  campaign_id: oneOf('main', 'second', ''),
  offer_id: oneOf('summer', 'winter'),
  affiliate_id: oneOf('anna', 'bert', ''),
  country: oneOf('DE', 'TR', ''),
  sub1: oneOf('', 'a', 'b'),
  sub2_keys: oneOf<Record<string, string>>({}, { geo: 'TR' }, { geo: 'DE', dev: 'm' }),
})
const clickArb = fc
  .tuple(
    placeArb,
    fc.record({
      class: oneOf('click', 'click', 'head'),
      outcome: oneOf('redirected', 'shown', 'fallback', 'not_found'),
      bot: oneOf('', '', 'user_agent'),
      is_unique_campaign: fc.boolean(),
      is_unique_offer: fc.boolean(),
      cost_micros: fc.integer({ min: 0, max: 3_000_000 }),
      currency: oneOf('EUR', 'USD'),
    }),
  )
  .map(([one, two]): Click => ({ ...one, ...two }))
const eventArb = fc
  .tuple(placeArb, fc.record({ type: oneOf('open', 'lp_click', 'reg'), refusal: oneOf('', '', 'duplicate') }))
  .map(([one, two]): Event => ({ ...one, ...two }))
const conversionArb = fc
  .tuple(
    placeArb,
    fc.record({
      sign: oneOf(1, 1, 1, -1),
      type: oneOf('lead', 'sale'),
      status: oneOf('pending', 'approved', 'rejected'),
      revenue_micros: fc.integer({ min: 0, max: 90_000_000 }),
      payout_micros: fc.integer({ min: 0, max: 90_000_000 }),
      currency: oneOf('EUR', 'USD'),
    }),
  )
  .map(([one, two]): Conversion => ({ ...one, ...two }))
const worldArb = fc.record({
  clicks: fc.array(clickArb, { maxLength: 60, minLength: 20 }),
  events: fc.array(eventArb, { maxLength: 20 }),
  // One that is taken back was there before.
  conversions: fc
    .array(conversionArb, { maxLength: 40 })
    .map((rows) => rows.flatMap((row) => (row.sign === 1 ? [row] : [{ ...row, sign: 1 }, row]))),
})

/** The same question answered by plain loops over the rows. */
function slowReport(world: World, tenant: Tenant, asked: AskedReport): Map<string, Record<string, bigint>> {
  const zone = asked.tz!
  const dayOf = (at: string): string => new Date(at).toLocaleDateString('sv-SE', { timeZone: zone })
  const valueOf = (row: Event | Click | Conversion, name: string): string => {
    if (name === 'date') return dayOf(row.at)
    const dimension = findDimension(name)!
    return dimension.kind === 'sub2_key'
      ? (row.sub2_keys[dimension.of] ?? '')
      : String((row as Record<string, unknown>)[name])
  }
  const isOwn = (row: Event): boolean =>
    tenant.role === 'owner' ||
    ((tenant.advertiserId === undefined || row.advertiser_id === tenant.advertiserId) &&
      (tenant.role !== 'affiliate' || row.affiliate_id === tenant.affiliateId))
  const counts = (row: Event | Click | Conversion): boolean =>
    isOwn(row as Event) &&
    dayOf(row.at) >= asked.from! &&
    dayOf(row.at) <= asked.to! &&
    Object.entries(asked.only).every(([name, values]) => values.includes(valueOf(row, name))) &&
    Object.entries(asked.not).every(([name, values]) => !values.includes(valueOf(row, name)))
  const groups = new Map<string, Record<string, bigint>>()
  const add = (row: Event | Click | Conversion, sums: Record<string, number | boolean>): void => {
    const key = JSON.stringify((asked.group_by ?? []).map((name) => valueOf(row, name)))
    const group = groups.get(key) ?? {}
    for (const [name, value] of Object.entries(sums)) group[name] = (group[name] ?? 0n) + BigInt(value)
    groups.set(key, group)
  }
  for (const row of world.clicks.filter(counts)) {
    if (row.class !== 'click' || row.outcome === 'not_found') continue
    const isUnique = row.campaign_id === '' ? row.is_unique_offer : row.is_unique_campaign
    add(row, {
      present: 1,
      clicks: 1,
      uniques: isUnique,
      bots: row.bot !== '',
      cost: row.currency === 'EUR' ? row.cost_micros : 0,
    })
  }
  for (const row of world.events.filter(counts))
    if (row.refusal === '' && row.type !== 'reg')
      add(row, { present: 1, opens: row.type === 'open', lp_clicks: row.type === 'lp_click' })
  for (const row of world.conversions.filter(counts)) {
    const money = (micros: number, status: string): number =>
      row.status === status && row.currency === 'EUR' ? row.sign * micros : 0
    const one = (isIt: boolean): number => (isIt ? row.sign : 0)
    add(row, {
      present: row.sign,
      leads: one(row.type === 'lead' && row.status !== 'rejected'), sales: one(row.type === 'sale' && row.status !== 'rejected'),
      pending: one(row.status === 'pending'), rejected: one(row.status === 'rejected'),
      revenue: money(row.revenue_micros, 'approved'), payout: money(row.payout_micros, 'approved'),
      revenue_pending: money(row.revenue_micros, 'pending'), payout_pending: money(row.payout_micros, 'pending'),
    }) // prettier-ignore
  }
  // What was taken back as a whole makes no group.
  for (const [key, group] of groups) if (group['present'] === 0n) groups.delete(key)
  return groups
}

/** Half away from zero. */
function divide(money: bigint, count: bigint): string | null {
  if (count === 0n) return null
  const size = ((money < 0n ? -money : money) * 2n + count) / (2n * count)
  return formatAmount(money < 0n ? -size : size, 2)
}
const ratio = (part: bigint, whole: bigint): number | null => (whole === 0n ? null : Number(part) / Number(whole))

function measuresOf(sums: Record<string, bigint>, tenant: Tenant): Record<string, unknown> {
  const of = (name: string): bigint => sums[name] ?? 0n
  const profit = of('revenue') - of('payout') - of('cost')
  const derived: Record<string, unknown> = {
    ctr: ratio(of('lp_clicks'), of('clicks')),
    cr: ratio(of('leads') + of('sales'), of('clicks')),
    epc: divide(of(tenant.role === 'affiliate' ? 'payout' : 'revenue'), of('clicks')),
    profit: formatAmount(profit, 2),
    roi: ratio(profit, of('payout') + of('cost')),
  }
  return Object.fromEntries(
    visibleMetrics(tenant.role)
      .filter(({ isDefault }) => isDefault)
      .map(({ name, unit }) => [
        name,
        name in derived ? derived[name] : unit === 'money' ? formatAmount(of(name), 2) : Number(of(name)),
      ]),
  )
}

function assertSameRow(actual: Record<string, unknown>, expected: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(expected))
    if (metrics.get(name)?.unit === 'ratio' && value !== null)
      assert.ok(
        Math.abs(Number(actual[name]) - Number(value)) <= 1e-6,
        `${name}: ${String(actual[name])} ${String(value)}`,
      )
    else assert.deepEqual(actual[name], value, name)
}

test('agrees with plain loops over the rows for any grouping, filter, zone and tenant', async () => {
  const askedArb = fc.record({
    from: oneOf('2026-10-23', '2026-10-25'),
    to: oneOf('2026-10-25', '2026-10-27'),
    tz: oneOf('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata'),
    currency: fc.constant('EUR'),
    group_by: fc.subarray(['date', 'campaign_id', 'affiliate_id', 'country', 'sub1', 'sub2.geo'], { maxLength: 3 }),
    only: oneOf<AskedReport['only']>({}, { country: ['DE', ''] }, { 'sub2.geo': ['TR'] }, { date: ['2026-10-25'] }),
    not: oneOf<AskedReport['not']>({}, { sub1: ['a'] }, { 'sub2.dev': ['m'] }),
  })
  const run = async (world: World, asked: AskedReport, tenant: Tenant): Promise<void> => {
    const answer = await ask(facts, tenant, { ...asked, limit: 10_000 })
    const expected = slowReport(world, tenant, asked)
    if (asked.group_by!.length > 0) {
      assert.equal(answer.rows.length, expected.size)
      for (const row of answer.rows) {
        const sums = expected.get(JSON.stringify(asked.group_by!.map((name) => row[name])))
        assert.ok(sums, `unexpected row ${JSON.stringify(row)}`)
        assertSameRow(row, measuresOf(sums, tenant))
      }
    }
    const total = slowReport(world, tenant, { ...asked, group_by: [] }).get('[]') ?? {}
    assertSameRow(answer.totals, measuresOf(total, tenant))
  }
  for (const world of fc.sample(worldArb, { numRuns: 4, seed: 7 })) {
    await load(facts, world)
    await fc.assert(
      fc.asyncProperty(askedArb, oneOf<Tenant>(owner, acme, anna, annaAtAcme), (asked, tenant) =>
        run(world, asked, tenant),
      ),
      { numRuns: 25, seed: 11 },
    )
  }
})
