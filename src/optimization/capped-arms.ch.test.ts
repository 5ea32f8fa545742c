import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { liveCaps, openSqliteCapState, type CapState } from '#caps'
import type { FactsClient } from '#platform/clickhouse'
import { newClickId } from '#platform/ids'
import type { Pool } from '#platform/postgres'
import { chooseTarget, compileSnapshot, type Offer, type Snapshot } from '#routing'
import { campaign, facts as factsOf, flow, offer, snapshot } from '#routing/test-snapshots'
import { withClickHouse, withDatabase, withTempDir } from '#test-kit'

import { learnOnce } from './learn.ts'
import { findLearned } from './store.ts'
import { emptyFacts, NOW_MS, optimize, smartLink, writeArm, writeRecentClicks } from './test-places.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const CLICKS = 2_000
/** What `writeThree` writes. */
const RATES: Readonly<Record<string, number>> = { good: 0.08, fair: 0.04, poor: 0.002 }

type Caps = NonNullable<Offer['caps']>
const daily = (parts: Partial<Caps[number]> = {}): Caps[number] =>
  ({ cap_id: 'daily', metric: 'clicks', period: 'day', limit: 100, mode: 'hard', ...parts }) // prettier-ignore

type World = { readonly pool: Pool; readonly facts: FactsClient; readonly caps: CapState }

async function withWorld(t: TestContext): Promise<World> {
  const { pool } = await withDatabase(t)
  const facts = await withClickHouse(t)
  await emptyFacts(facts)
  for (const [id, rate] of Object.entries(RATES))
    await writeArm(facts, id, { clicks: 2_000, conversions: 2_000 * rate })
  const caps = openSqliteCapState({ directory: join(withTempDir(t), 'caps') })
  t.after(() => caps.close())
  return { pool, facts, caps }
}

/** The three offers; the best one has caps. */
function cappedLink(caps: Caps, parts: Partial<Offer> = {}, floor_share = 0.02): Snapshot {
  const { offers, ...rest } = smartLink({ floor_share })
  const [good, ...others] = offers
  return { ...rest, offers: [{ ...good!, caps, ...parts }, ...others] }
}

/** How many of the clicks each offer gets of the edges, which count them. */
function visit(world: World, from: Snapshot, nowMs: number, count = CLICKS): Readonly<Record<string, number>> {
  const config = compileSnapshot(from)
  const caps = liveCaps(world.caps, (error) => assert.fail(String(error)))
  const counts: Record<string, number> = { good: 0, fair: 0, poor: 0 }
  for (let click = 0; click < count; click += 1) {
    const asked = factsOf({ campaignId: 'summer' }, { clickId: newClickId(nowMs), at: nowMs, caps })
    counts[chooseTarget(asked, config).assignment.offer_id!]! += 1
  }
  return counts
}

async function learn({ pool, facts }: World, from: Snapshot, nowMs: number, caps?: CapState): Promise<Snapshot> {
  await learnOnce({ pool, facts, caps }, from, nowMs)
  return { ...from, learned: (await findLearned(pool))! }
}

const armsOf = async ({ pool }: World) =>
  new Map((await findLearned(pool))!.state[0]!.arms.map((arm) => [arm.arm_id, arm]))

const worthOf = (counts: Readonly<Record<string, number>>): number =>
  Object.entries(counts).reduce((sum, [id, clicks]) => sum + clicks * RATES[id]!, 0)

for (const [what, parts, floorShare] of [
  ['has no fallback', {}, 0.02],
  ['has the worst offer as its fallback', { cap_fallbacks: ['poor'] }, 0.02],
  ['has no floor either', {}, 0],
] as const)
  test(`the visitors of a best offer that is full go to the second best: it ${what}`, async (t) => {
    const world = await withWorld(t)
    const snapshot = cappedLink([daily()], parts, floorShare)
    const before = await learn(world, snapshot, NOW_MS)
    visit(world, before, NOW_MS, 150)
    const without = visit(world, before, NOW_MS)
    const after = await learn(world, snapshot, NOW_MS + MINUTE_MS, world.caps)
    const counts = visit(world, after, NOW_MS + MINUTE_MS)
    assert.equal(counts['good'], 0)
    assert.ok(counts['fair']! > 0.95 * CLICKS, JSON.stringify(counts))
    const best = CLICKS * RATES['fair']!
    const [regret, regretWithout] = [best - worthOf(counts), best - worthOf(without)]
    t.diagnostic(`regret ${regret.toFixed(1)} of ${best}, without knowing caps ${regretWithout.toFixed(1)}`)
    assert.ok(regret < 0.15 * regretWithout)
  })

test('the state says which cap took an arm its clicks and until when, and the arm is back when the period ends', async (t) => {
  const world = await withWorld(t)
  const snapshot = cappedLink([daily({ cap_id: 'wide', limit: 5_000 }), daily()])
  visit(world, await learn(world, snapshot, NOW_MS), NOW_MS, 200)
  await learn(world, snapshot, NOW_MS + MINUTE_MS, world.caps)
  const full = (await armsOf(world)).get('good')!
  const until = new Date(Date.UTC(2026, 5, 2)).toISOString()
  assert.deepEqual(full.cap, { offer_id: 'good', cap_id: 'daily', clicks_left: 0, is_held: false, until })
  assert.deepEqual([full.learned_share, full.weight], [0, 0])
  assert.ok(full.best_share > 0.99)
  assert.equal((await armsOf(world)).get('fair')!.cap, undefined)
  await learn(world, snapshot, Date.UTC(2026, 5, 2), world.caps)
  const back = (await armsOf(world)).get('good')!
  assert.equal(back.cap, undefined)
  assert.ok(back.weight > 9_000)
})

test('a cap that is full for some only takes the arm away from nobody else', async (t) => {
  const world = await withWorld(t)
  const german = { field: 'country', op: 'is', value: 'DE' } as const
  const snapshot = cappedLink([daily({ per: ['affiliate'], limit: 5 }), daily({ cap_id: 'german', rule: german, limit: 0 })]) // prettier-ignore
  visit(world, await learn(world, snapshot, NOW_MS), NOW_MS, 50)
  await learn(world, snapshot, NOW_MS + MINUTE_MS, world.caps)
  const good = (await armsOf(world)).get('good')!
  assert.equal(good.cap, undefined)
  assert.ok(good.weight > 9_000)
})

test('a cap that will be full before the next run gives its arm no more clicks than it takes', async (t) => {
  const world = await withWorld(t)
  // 2,000 in five minutes: 400 until the next run.
  await writeRecentClicks(world.facts, 'good', 2_000)
  const snapshot = cappedLink([daily()])
  const counts = visit(world, await learn(world, snapshot, NOW_MS, world.caps), NOW_MS, 400)
  const good = (await armsOf(world)).get('good')!
  assert.deepEqual([good.cap?.clicks_left, good.learned_share], [100, 0.25])
  assert.ok(counts['good']! >= 70 && counts['good']! <= 100, JSON.stringify(counts))
  assert.ok(counts['fair']! > 260, JSON.stringify(counts))
})

test('room that clicks hold for their conversions counts as taken while they hold it', async (t) => {
  const world = await withWorld(t)
  const snapshot = cappedLink([daily({ metric: 'conversions', hold_minutes: 30 })])
  visit(world, await learn(world, snapshot, NOW_MS), NOW_MS, 150)
  await learn(world, snapshot, NOW_MS + MINUTE_MS, world.caps)
  assert.deepEqual((await armsOf(world)).get('good')!.cap?.is_held, true)
  await learn(world, snapshot, NOW_MS + 40 * MINUTE_MS, world.caps)
  assert.equal((await armsOf(world)).get('good')!.cap, undefined)
})

test('a flow has room while one of its offers has', async (t) => {
  const world = await withWorld(t)
  const flowsOf = (secondCap: Caps): Snapshot =>
    snapshot({
      offers: [offer('good', { caps: [daily({ limit: 0 })] }), offer('fair', { caps: secondCap }), offer('poor')],
      campaigns: [
        campaign({
          optimize: optimize({ weights: ['flows'] }),
          flows: [
            flow('f1', { offers: ['good', 'fair'].map((offer_id) => ({ offer_id, weight: 1 })) }),
            flow('f2', { offers: [{ offer_id: 'poor', weight: 1 }] }),
          ],
        }),
      ],
    })
  await learn(world, flowsOf([daily({ limit: 1_000 })]), NOW_MS, world.caps)
  assert.equal((await armsOf(world)).get('f1')!.cap, undefined)
  await learn(world, flowsOf([daily({ cap_id: 'hourly', period: 'hour', limit: 0 })]), NOW_MS, world.caps)
  assert.deepEqual((await armsOf(world)).get('f1')!.cap, {
    ...{ offer_id: 'fair', cap_id: 'hourly', clicks_left: 0, is_held: false },
    until: new Date(NOW_MS + 60 * MINUTE_MS).toISOString(),
  })
})

test('where every arm is full the weights are those that were learned', async (t) => {
  const world = await withWorld(t)
  const full = [daily({ limit: 0, period: 'total' })]
  const from = cappedLink(full)
  await learn(
    world,
    { ...from, offers: from.offers.map((one) => ({ ...one, caps: full })) },
    NOW_MS + DAY_MS,
    world.caps,
  )
  const good = (await armsOf(world)).get('good')!
  assert.ok(good.weight > 9_000)
  assert.equal(good.cap?.until, null)
})
