import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { ClickHouseLogLevel, createClient } from '@clickhouse/client'

import { withEdge } from '#edge/test-edge'
import type { FactsClient } from '#platform/clickhouse'
import { fixedClock, systemClock } from '#platform/clock'
import { newClickId } from '#platform/ids'
import { createLogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import { chooseTarget, compileSnapshot, decodeTrace, type Snapshot } from '#routing'
import { facts as factsOf, TEST_TIME } from '#routing/test-snapshots'
import { followSnapshots, type SnapshotFollower } from '#snapshots'
import { withClickHouse, withDatabase, withTempDir } from '#test-kit'

import { learnOnce } from './learn.ts'
import { startOptimization } from './start-optimization.ts'
import { findLearned } from './store.ts'
import { emptyFacts, NOW_MS, smartLink, writeArm } from './test-places.ts'

const logLines = createLogLines('test', 'silent')
const MINUTE_MS = 60_000

async function withFacts(t: TestContext): Promise<{ readonly pool: Pool; readonly facts: FactsClient }> {
  const { pool } = await withDatabase(t)
  const facts = await withClickHouse(t)
  await emptyFacts(facts)
  return { pool, facts }
}

/** `good` converts four times as often as `fair`, and `poor` hardly ever. */
async function writeThree(facts: FactsClient): Promise<void> {
  await writeArm(facts, 'good', { clicks: 2_000, conversions: 160 })
  await writeArm(facts, 'fair', { clicks: 2_000, conversions: 40 })
  await writeArm(facts, 'poor', { clicks: 2_000, conversions: 4 })
}

const weightsAt = async (pool: Pool, version?: number) => (await findLearned(pool, version))?.weights['offers:f1']

/** Shares of 10,000 clicks. */
function drawShares(snapshot: Snapshot): Readonly<Record<string, number>> {
  const compiled = compileSnapshot(snapshot)
  const shares: Record<string, number> = {}
  for (let click = 0; click < 10_000; click += 1) {
    const asked = factsOf({ campaignId: 'summer' }, { clickId: newClickId(TEST_TIME) })
    const id = chooseTarget(asked, compiled).assignment.offer_id!
    shares[id] = (shares[id] ?? 0) + 1 / 10_000
  }
  return shares
}

test('after one run the edge favours the offer that converts best, and every other keeps its floor', async (t) => {
  // Hooks run in the order of their registration: ours must end before that of the database.
  const started: SnapshotFollower[] = []
  t.after(() => Promise.all(started.map((follower) => follower.stop())))
  const { pool, url } = await withDatabase(t)
  const facts = await withClickHouse(t)
  await emptyFacts(facts)
  await writeThree(facts)
  const snapshot = smartLink()
  await pool.query(
    `INSERT INTO config_versions (version, snapshot, created_at, created_by, diff) VALUES ($1, $2, $3, 'test', '[]')`,
    [snapshot.version, snapshot, snapshot.created_at],
  )
  const cacheFile = join(withTempDir(t), 'snapshot.json')
  const follower = followSnapshots({ databaseUrl: url, cacheFile, logLines, clock: systemClock })
  started.push(follower)
  await follower.firstLook()
  const edge = await withEdge(t, follower.current())
  const heard = new Promise<void>((resolve) => {
    follower.onChange((changed) => {
      edge.snapshots.take(changed)
      resolve()
    })
  })
  assert.equal(await learnOnce({ pool, facts }, snapshot, NOW_MS), 1)
  await heard

  const shares = drawShares(follower.current()!)
  assert.ok(shares['good']! > 0.77 && shares['good']! < 0.83, JSON.stringify(shares))
  for (const id of ['fair', 'poor']) assert.ok(shares[id]! > 0.08 && shares[id]! < 0.12, JSON.stringify(shares))

  // The edge itself, and its clicks decided again from what the log has of them and the weights that they name.
  await Promise.all(Array.from({ length: 200 }, () => edge.ask('/click?campaign_id=summer')))
  const clicks = (await edge.records()).filter((record) => record.kind === 'click')
  assert.equal(clicks.length, 200)
  const toGood = clicks.filter(({ offer_id }) => offer_id === 'good').length
  assert.ok(toGood > 130 && toGood < 190, `${toGood} of 200`)
  const weights = await findLearned(pool, 1)
  const compiled = compileSnapshot({ ...snapshot, learned: { version: 1, weights: weights!.weights } })
  for (const click of clicks) {
    assert.ok(
      decodeTrace(click.trace).some((step) => step.kind === 'weights' && step.version === 1),
      click.trace,
    )
    const again = chooseTarget(factsOf({ campaignId: 'summer' }, { clickId: click.click_id, at: click.at }), compiled)
    assert.equal(again.trace, click.trace)
    assert.equal(again.assignment.offer_id, click.offer_id)
  }
})

test('the state tells for every arm what was seen, expected and given to it', async (t) => {
  const { pool, facts } = await withFacts(t)
  await writeThree(facts)
  await learnOnce({ pool, facts }, smartLink(), NOW_MS)
  const { state, createdAt } = (await findLearned(pool))!
  const [place, ...others] = state
  assert.equal(others.length, 0)
  const { arms, since, ...told } = place!
  assert.deepEqual(told, {
    ...{ place: 'offers:f1', weights: 'offers', advertiser_id: 'acme', campaign_id: 'summer', flow_id: 'f1' },
    ...{ currency: 'USD', mode: 'on', goal: 'cr', seed: 1, weights_version: 1 },
  })
  assert.equal(since, createdAt.toISOString())
  const good = arms.find(({ arm_id }) => arm_id === 'good')!
  assert.equal(good.clicks, 2_000)
  assert.equal(good.conversions, 160)
  assert.ok(Math.abs(good.expected - 0.08) < 0.005)
  assert.ok(good.interval[0] < good.expected && good.expected < good.interval[1])
  assert.deepEqual(await weightsAt(pool), Object.fromEntries(arms.map(({ arm_id, weight }) => [arm_id, weight])))
})

test('money per click goes before conversions where it is the goal', async (t) => {
  const { pool, facts } = await withFacts(t)
  await writeArm(facts, 'good', { clicks: 2_000, conversions: 160, revenueMicros: 1_000_000 })
  await writeArm(facts, 'fair', { clicks: 2_000, conversions: 40, revenueMicros: 20_000_000 })
  await writeArm(facts, 'poor', { clicks: 2_000, conversions: 4, revenueMicros: 1_000_000 })
  await learnOnce({ pool, facts }, smartLink({ goal: 'epc' }), NOW_MS)
  const weights = (await weightsAt(pool))!
  assert.ok(weights['fair']! > 7_500, JSON.stringify(weights))
  const fair = (await findLearned(pool))!.state[0]!.arms.find(({ arm_id }) => arm_id === 'fair')!
  assert.ok(Math.abs(fair.expected - 0.4) < 0.05, `${fair.expected}`)
})

test('the mode watch learns and tells, and steers nothing', async (t) => {
  const { pool, facts } = await withFacts(t)
  await writeThree(facts)
  const snapshot = smartLink({ mode: 'watch' })
  await learnOnce({ pool, facts }, snapshot, NOW_MS)
  const { version, weights, state } = (await findLearned(pool))!
  assert.deepEqual(weights, {})
  const good = state[0]!.arms.find(({ arm_id }) => arm_id === 'good')!
  assert.ok(good.learned_share > 0.77 && Math.abs(good.weight - 3_333) <= 1)
  const [with_, without] = [compileSnapshot({ ...snapshot, learned: { version, weights } }), compileSnapshot(snapshot)]
  for (let click = 0; click < 500; click += 1) {
    const asked = factsOf({ campaignId: 'summer' })
    assert.equal(chooseTarget(asked, with_).trace, chooseTarget(asked, without).trace)
  }
})

test('weights that were learned go as soon as the mode is not on', async (t) => {
  const { pool, facts } = await withFacts(t)
  await writeThree(facts)
  await learnOnce({ pool, facts }, smartLink(), NOW_MS)
  const learned = (await findLearned(pool))!
  const shares = drawShares({ ...smartLink({ mode: 'off' }), learned })
  assert.ok(Math.abs(shares['poor']! - 1 / 3) < 0.02)
  assert.equal(await learnOnce({ pool, facts }, smartLink({ mode: 'off' }), NOW_MS + MINUTE_MS), 2)
  assert.deepEqual((await findLearned(pool))!.weights, {})
})

test('weights that hardly move make no version; the state is brought up to date', async (t) => {
  const { pool, facts } = await withFacts(t)
  await writeThree(facts)
  assert.equal(await learnOnce({ pool, facts }, smartLink(), NOW_MS), 1)
  await writeArm(facts, 'good', { clicks: 10, conversions: 1 })
  assert.equal(await learnOnce({ pool, facts }, smartLink(), NOW_MS + MINUTE_MS), 1)
  const { state, createdAt, learnedAt } = (await findLearned(pool))!
  assert.equal(learnedAt.getTime() - createdAt.getTime(), MINUTE_MS)
  assert.equal(state[0]!.arms[0]!.clicks, 2_010)
  assert.equal(state[0]!.since, createdAt.toISOString())
  await writeArm(facts, 'poor', { clicks: 2_000, conversions: 600 })
  assert.equal(await learnOnce({ pool, facts }, smartLink(), NOW_MS + 2 * MINUTE_MS), 2)
  assert.ok((await weightsAt(pool))!['poor']! > 7_000)
  assert.ok((await weightsAt(pool, 1))!['good']! > 7_000)
})

test('versions are kept for 90 days, the newest for ever', async (t) => {
  const { pool, facts } = await withFacts(t)
  await writeThree(facts)
  await learnOnce({ pool, facts }, smartLink(), NOW_MS)
  const days = (count: number) => NOW_MS + count * 86_400_000
  await learnOnce({ pool, facts }, smartLink({ mode: 'watch' }), days(89))
  assert.notEqual(await findLearned(pool, 1), undefined)
  await learnOnce({ pool, facts }, smartLink(), days(91))
  assert.equal(await findLearned(pool, 1), undefined)
  assert.notEqual(await findLearned(pool, 2), undefined)
})

test('a draw that ClickHouse gives up on keeps its weights, one that cannot be compared goes back to those of the configuration', async (t) => {
  const { pool, facts } = await withFacts(t)
  await writeThree(facts)
  await learnOnce({ pool, facts }, smartLink(), NOW_MS)
  const { weights } = (await findLearned(pool))!
  // Fifty bytes of memory are too few for any question.
  const narrow = {
    query: (question: Parameters<FactsClient['query']>[0]) =>
      facts.query({ ...question, clickhouse_settings: { ...question.clickhouse_settings, max_memory_usage: '50' } }),
  } as FactsClient
  assert.equal(await learnOnce({ pool, facts: narrow }, smartLink(), NOW_MS + MINUTE_MS), 1)
  const kept = (await findLearned(pool))!
  assert.deepEqual(kept.weights, weights)
  assert.equal(kept.state[0]!.problem, 'too_many_facts')
  const [first, ...offers] = smartLink({ goal: 'epc' }).offers
  const mixed = { ...smartLink({ goal: 'epc' }), offers: [{ ...first!, currency: 'EUR' }, ...offers] }
  assert.equal(await learnOnce({ pool, facts }, mixed, NOW_MS + 2 * MINUTE_MS), 2)
  assert.deepEqual((await findLearned(pool))!.weights, {})
})

test('an installation that optimises nothing has no versions', async (t) => {
  const { pool, facts } = await withFacts(t)
  assert.equal(await learnOnce({ pool, facts }, smartLink({ mode: 'off' }), NOW_MS), undefined)
  assert.equal(await findLearned(pool), undefined)
})

test('the job leaves the weights in use alone while ClickHouse is away, and goes on when it is back', async (t) => {
  const { pool, facts } = await withFacts(t)
  await writeThree(facts)
  await learnOnce({ pool, facts }, smartLink(), NOW_MS)
  const before = await findLearned(pool)
  await writeArm(facts, 'poor', { clicks: 2_000, conversions: 600 })
  const away = createClient({ url: 'http://127.0.0.1:1', log: { level: ClickHouseLogLevel.OFF } })
  t.after(() => away.close())
  let asked = 0
  const failed = Promise.withResolvers<void>()
  const switching = {
    query: (...question: Parameters<FactsClient['query']>) => {
      asked += 1
      if (asked === 2) failed.resolve()
      return asked <= 2 ? away.query(...question) : facts.query(...question)
    },
  } as FactsClient
  const clock = fixedClock(NOW_MS + MINUTE_MS)
  const job = startOptimization({ pool, facts: switching, snapshots: { current: () => smartLink() }, clock, logLines, intervalMs: 20 }) // prettier-ignore
  await failed.promise
  assert.deepEqual(await findLearned(pool), before)
  while ((await findLearned(pool))!.version === 1) await new Promise((resolve) => setImmediate(resolve))
  await job.stop()
  assert.ok((await weightsAt(pool))!['poor']! > 7_000)
})
