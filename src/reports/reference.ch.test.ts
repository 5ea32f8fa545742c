import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import { dimensions, findMetric, metrics } from './index.ts'
import {
  assertAgrees,
  assertPages,
  compareMany,
  loadWorld,
  makeWorld,
  questionsOf,
  ratesTo,
  readLog,
  referenceDimension,
  referenceMetric,
  worldTenants,
} from './test-world/index.ts'

/** Every number of the reports against a slow reference that adds up the records of the log. */
const WORLDS = 4
const QUESTIONS_PER_WORLD = 12

const KEPT_METRICS = ['clicks', 'uniques', 'uniques_campaign', 'uniques_offer', 'uniques_global', 'bots', 'click_cost']
const KEPT_GROUPS = [
  ['date'],
  ['date', 'campaign_id'],
  ['country', 'device_type'],
  ['affiliate_id', 'offer_id'],
  ['hour'],
  [],
]
const METRICS = ['clicks', 'cr', 'revenue', 'ttc_p90']
const GROUPS = ['country', 'asn', 'status', 'sub1', 'weekday', 'date']

async function mergeParts(facts: FactsClient): Promise<void> {
  for (const table of ['clicks', 'events', 'conversions', 'costs'])
    await facts.command({ query: `OPTIMIZE TABLE ${table} FINAL` })
}

for (let seed = 1; seed <= WORLDS; seed++)
  test(`every metric, grouped and filtered in any way, is what the records of the log say: world ${seed}`, async (t) => {
    const facts = await withClickHouse(t)
    const world = makeWorld({ seed, clicks: 400 })
    const happened = readLog(world)
    await loadWorld(facts, happened)
    // Parts that are merged have kept sums, which answer some reports in place of the rows.
    if (seed % 2 === 0) await mergeParts(facts)
    const asked = fc
      .constantFrom(...worldTenants)
      .chain((tenant) => questionsOf(tenant, world.days).map((question) => ({ tenant, question })))
    await fc.assert(
      fc.asyncProperty(asked, ({ tenant, question }) => assertAgrees(facts, happened, tenant, question)),
      { numRuns: QUESTIONS_PER_WORLD, seed },
    )
  })

test('sums of clicks that are kept answer as the rows do', async (t) => {
  const facts = await withClickHouse(t)
  const world = makeWorld({ seed: 7, clicks: 2_000 })
  const happened = readLog(world)
  await loadWorld(facts, happened)
  await mergeParts(facts)
  const asked = fc.constantFrom(...worldTenants.slice(0, 2)).chain((tenant) =>
    fc.tuple(questionsOf(tenant, world.days), fc.constantFrom(...KEPT_GROUPS)).map(([question, group_by]) => ({
      tenant,
      question: {
        ...{
          ...question,
          group_by,
          metrics: KEPT_METRICS.filter((name) => findMetric(name)!.visibleTo.includes(tenant.role)),
          tz: 'UTC',
          only: {},
          not: {},
          parent: {},
        },
        ...{ filter: undefined, having: undefined, compare: undefined, rates: undefined },
      },
    })),
  )
  await fc.assert(
    fc.asyncProperty(asked, ({ tenant, question }) => assertAgrees(facts, happened, tenant, question)),
    { numRuns: 8, seed: 7 },
  )
})

test('the size of a sale that earns nothing is converted like any other amount', async (t) => {
  const facts = await withClickHouse(t)
  const world = makeWorld({ seed: 6, clicks: 1_500 })
  const isFree = ({ now }: (typeof all.conversions)[number]): boolean =>
    now.status === 'approved' && now.revenueMicros === 0n && now.payoutMicros === 0n && now.saleAmountMicros !== 0n
  const all = readLog(world)
  const happened = { clicks: [], events: [], costs: [], conversions: all.conversions.filter(isFree) }
  await loadWorld(facts, happened)
  const [question] = fc.sample(questionsOf(worldTenants[0]!, world.days), { numRuns: 1, seed: 1 })
  const [first, last] = [world.days[0]!, world.days.at(-1)!]
  const plain = {
    ...question!,
    from: first,
    to: last,
    only: {},
    not: {},
    parent: {},
    filter: undefined,
    having: undefined,
  }
  const rates = ratesTo('EUR')
  assert.ok(happened.conversions.length > 3)
  const asked = { ...plain, compare: undefined, time: 'event', currency: 'EUR', group_by: [], rates } as const
  await assertAgrees(facts, happened, worldTenants[0]!, { ...asked, metrics: ['sale_amount', 'aov'] })
})

test('pages of a report, put together, are the whole in its order, and each has the totals of all rows', async (t) => {
  const facts = await withClickHouse(t)
  const world = makeWorld({ seed: 5, clicks: 400 })
  await loadWorld(facts, readLog(world))
  const [owner] = worldTenants
  const asked = questionsOf(owner!, world.days).map((question) => ({ ...question, metrics: METRICS }))
  const grouped = fc.record({
    question: fc
      .tuple(asked, fc.subarray(GROUPS, { minLength: 1, maxLength: 3 }))
      .map(([question, group_by]) => ({ ...question, group_by })),
    by: fc.subarray([...METRICS, 'first'], { minLength: 1, maxLength: 2 }),
    isDescending: fc.boolean(),
    limit: fc.constantFrom(3, 7, 50),
  })
  await fc.assert(
    fc.asyncProperty(grouped, ({ question, by, isDescending, limit }) => {
      const columns = by.map((name) => (name === 'first' ? question.group_by[0]! : name))
      return assertPages(
        facts,
        owner!,
        question,
        columns.map((name) => `${isDescending ? '-' : ''}${name}`).join(','),
        limit,
      )
    }),
    { numRuns: 8, seed: 3 },
  )
})

test('reports on thousands of clicks of many worlds are what their logs say', async (t) => {
  const facts = await withClickHouse(t)
  for (const table of ['clicks', 'events', 'conversions', 'costs'])
    await facts.command({ query: `TRUNCATE TABLE ${table}` })
  const found = await compareMany(facts, { seed: 11, clicks: 6_000, questions: 5 })
  assert.ok(found.facts > 10_000 && found.rows > 20, `${found.facts} facts, ${found.rows} rows`)
})

test('every metric and dimension that a report knows is defined in the reference', () => {
  const isMissing = (name: string): boolean =>
    worldTenants.some(({ role }) => referenceMetric(name, role) === undefined)
  assert.deepEqual([...metrics.keys()].filter(isMissing), [])
  assert.deepEqual([...dimensions.keys()].filter((name) => referenceDimension(name) === undefined), []) // prettier-ignore
})
