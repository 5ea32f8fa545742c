import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test, type TestContext } from 'node:test'

import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint } from '#routing'

import type { Completion } from '../queue/queue.ts'
import { reconcileDeliveries } from '../queue/reconcile-deliveries.ts'
import { localEndpoint, manyCauses, openBench, type Bench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver, type Receiver } from '../test-receiver.ts'
import { enableEndpoint } from './enable.ts'
import { createReplay, stepReplays } from '../replay/replay-by-filter.ts'
import { countMissed, missedFilter } from './missed.ts'
import { listNotices } from './notices.ts'
import { listPauses, pauseDeliveries, resumeDeliveries } from './pauses.ts'

const QUICK = { healthIntervalMs: 5 }
const DUE = 'UPDATE delivery_deferred SET run_at = now()'

/** The configuration's own rows of an endpoint `tracker`: what is paused must exist. */
const CONFIGURE = `
  INSERT INTO advertisers (advertiser_id, name, timezone, currency, status) VALUES ('acme', 'Acme', 'Etc/UTC', 'USD', 'active');
  INSERT INTO affiliates VALUES ('ada', 'Ada', 'active');
  INSERT INTO postback_endpoints (endpoint_id, advertiser_id, name, status, scope, triggers, method, url, timeout_ms, max_concurrency,
    max_attempts, expires_hours, allow_private_address)
  VALUES ('tracker', 'acme', 'Tracker', 'active', '{"advertiser_id":"acme","affiliate_id":"ada"}', '[]', 'GET', 'https://t.example/',
    1000, 1, 1, 1, false)`

type GateBench = Bench & {
  /** Sends some messages to another endpoint, one after the other: whatever else was due had its turn as often. */
  readonly passRounds: () => Promise<void>
}

/** Nothing of it fits an endpoint of acme or ada. */
const OTHER = { advertiserId: 'other', affiliateId: 'bob' }
const ROUNDS = 5
const sentinel = (url: string): PostbackEndpoint =>
  localEndpoint({ endpoint_id: 'sentinel', url, scope: { advertiser_id: OTHER.advertiserId } })

async function openGateBench(t: TestContext, over: Partial<PostbackEndpoint>): Promise<GateBench> {
  const other = await startReceiver(t)
  const bench = await openBench(t, [localEndpoint({ scope, ...over }), sentinel(other.url)])
  await bench.pool.query(CONFIGURE)
  const passRounds = async (): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      const next = other.arrival(other.arrivals.length + 1)
      await bench.enqueue([sampleCause({ ...OTHER, conversionId: randomUUID() })])
      await next
    }
  }
  return { ...bench, passRounds }
}

/** Waits until a query gives a row. Everything that is waited for is written by a worker at work. */
async function eventually<Row>(pool: Pool, sql: string): Promise<Row> {
  for (;;) {
    const { rows } = await pool.query(sql)
    if (rows[0] !== undefined) return rows[0] as Row
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const failingReceiver = (t: TestContext): Promise<Receiver & { readonly heal: () => void }> => {
  let status = 500
  const started = startReceiver(t, (response) => void response.writeHead(status).end())
  return started.then((receiver) => ({ ...receiver, heal: () => void (status = 200) }))
}

const scope = { advertiser_id: 'acme', affiliate_id: 'ada' }

for (const [object, id] of [
  ['endpoint', 'tracker'],
  ['affiliate', 'ada'],
  ['advertiser', 'acme'],
] as const)
  // prettier-ignore
  test(`deliveries of a paused ${object} wait, another worker that starts included, and go out when it is resumed`, async (t) => {
    const receiver = await startReceiver(t)
    await using bench = await openGateBench(t, { url: receiver.url })
    assert.equal(await pauseDeliveries(bench.pool, object, id, 'eva', 'fraud?'), 'paused')
    assert.equal(await pauseDeliveries(bench.pool, object, id, 'eva'), 'paused_before')
    assert.equal(await pauseDeliveries(bench.pool, object, 'nobody', 'eva'), 'unknown')
    const first = await bench.start()
    await bench.enqueue([sampleCause()])
    await bench.passRounds()
    await first.stop()
    await bench.start()
    await bench.passRounds()
    assert.deepEqual((await listPauses(bench.pool)).map((one) => [one.object, one.object_id, one.note]), [[object, id, 'fraud?']]) // prettier-ignore
    assert.equal(receiver.arrivals.length, 0)
    const resumedAt = performance.now()
    assert.equal(await resumeDeliveries(bench.pool, object, id), 'resumed')
    assert.equal(await resumeDeliveries(bench.pool, object, id), 'not_paused')
    await receiver.arrival(1)
    assert.ok(performance.now() - resumedAt < 1_000)
    const completions = await bench.recorded(2 * ROUNDS + 1)
    assert.equal(completions.at(-1)!.claimed.endpointId, 'tracker')
    assert.equal(completions.at(-1)!.claimed.attempts, 0)
    assert.deepEqual(await reconcileDeliveries(bench.pool), [])
  })

test('a pause takes effect within a second while deliveries flow, and loses none', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openGateBench(t, { url: receiver.url, max_per_minute: 6_000 })
  await bench.start()
  await bench.enqueue(manyCauses(300))
  await receiver.arrival(20)
  const pausedAt = performance.now()
  await pauseDeliveries(bench.pool, 'affiliate', 'ada', 'eva')
  let arrivals = receiver.arrivals.length
  let lastAt = pausedAt
  // A hundred go out in a second: so many rounds without any are no chance.
  for (let quiet = 0; quiet < 30; quiet++) {
    await bench.passRounds()
    if (receiver.arrivals.length === arrivals) continue
    arrivals = receiver.arrivals.length
    lastAt = performance.now()
    quiet = 0
  }
  assert.ok(lastAt - pausedAt < 1_000)
  assert.ok(arrivals < 300)
  await resumeDeliveries(bench.pool, 'affiliate', 'ada')
  await receiver.arrival(300)
  assert.equal(new Set(receiver.arrivals.map(({ headers }) => headers['webhook-id'])).size, 300)
})

test('who waits for its rate has its turn, however busy others are', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openGateBench(t, { url: receiver.url, max_per_minute: 6_000 })
  await bench.start()
  await bench.enqueue(manyCauses(150))
  const startedAt = performance.now()
  while (receiver.arrivals.length < 150) {
    await bench.passRounds()
    assert.ok(performance.now() - startedAt < 5_000, `${receiver.arrivals.length} arrived`)
  }
})

/** Makes an endpoint that has failed once look as if it had failed for so long. */
const AGE = (hours: number): string =>
  `UPDATE endpoint_states SET failing_since = now() - ${hours} * interval '1 hour' WHERE endpoint_id = 'tracker'`

async function failOnce(bench: Bench, count: number): Promise<readonly Completion[]> {
  await bench.pool.query(DUE)
  return bench.recorded(count)
}

test('an endpoint that fails is warned of after 24 and 72 hours and disabled after five days; its deliveries wait', async (t) => {
  const receiver = await failingReceiver(t)
  await using bench = await openGateBench(t, { url: receiver.url, max_attempts: 50 })
  await bench.start({ ...QUICK, random: () => 0.5 })
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  await eventually(bench.pool, 'SELECT 1 FROM endpoint_states WHERE failing_since IS NOT NULL')
  for (const [index, hours] of [23, 25, 26, 73, 74, 119].entries()) {
    await bench.pool.query(AGE(hours))
    const before = await eventually<{ at: Date }>(bench.pool, 'SELECT last_failure_at AS at FROM endpoint_states')
    await failOnce(bench, index + 2)
    await eventually(bench.pool, `SELECT 1 FROM endpoint_states WHERE last_failure_at > '${before.at.toISOString()}'::timestamptz + interval '1 ms'`) // prettier-ignore
  }
  assert.equal((await bench.rows('SELECT 1 FROM endpoint_states WHERE disabled_at IS NULL')).length, 1)
  await bench.pool.query(AGE(121))
  await failOnce(bench, 8)
  await eventually(bench.pool, "SELECT 1 FROM endpoint_states WHERE disabled_reason = 'failing' AND probe_at > now()")
  const notices = (await listNotices(bench.pool, {}, undefined, 10)).toReversed()
  assert.deepEqual(
    notices.map(({ kind, details }) => [kind, details['hours'] ?? details['reason']]),
    [['endpoint_failing', 24], ['endpoint_failing', 72], ['endpoint_disabled', 'failing']],
  ) // prettier-ignore
  assert.deepEqual([notices[0]!.endpoint_id, notices[0]!.advertiser_id, notices[0]!.affiliate_id], ['tracker', 'acme', 'ada']) // prettier-ignore

  const arrivals = receiver.arrivals.length
  await bench.pool.query(DUE)
  await bench.enqueue(manyCauses(3))
  await eventually(bench.pool, 'SELECT 1 WHERE NOT EXISTS (SELECT FROM delivery_deferred)')
  await bench.passRounds()
  assert.equal(receiver.arrivals.length, arrivals)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('while disabled one delivery asks from time to time: a failure uses up nothing, a success puts it into service', async (t) => {
  const receiver = await failingReceiver(t)
  await using bench = await openGateBench(t, { url: receiver.url })
  await bench.pool.query(`INSERT INTO endpoint_states VALUES ('tracker', now() - interval '6 days', now(), 72, now(), 'failing', now())`) // prettier-ignore
  const first = await bench.start(QUICK)
  await bench.enqueue(manyCauses(4))
  const [asked] = await bench.recorded(1)
  assert.ok(asked!.isProbe)
  await eventually(bench.pool, "SELECT 1 FROM endpoint_states WHERE probe_at > now() + interval '40 minutes'")
  await bench.passRounds()
  assert.equal(receiver.arrivals.length, 1)
  receiver.heal()
  // A worker that starts knows of the earlier question only what is on record.
  await first.stop()
  await bench.pool.query('UPDATE endpoint_states SET probe_at = now()')
  await bench.start(QUICK)
  await receiver.arrival(4)
  await eventually(bench.pool, "SELECT 1 FROM notices WHERE kind = 'endpoint_recovered'")
  assert.deepEqual(await bench.rows('SELECT * FROM endpoint_states'), [])
  assert.equal((await bench.rows("SELECT 1 FROM delivery_attempts WHERE is_probe AND outcome = 'retry'")).length, 1)
})

test('410 disables the endpoint until somebody enables it, who hears what was missed and can have it sent', async (t) => {
  let status = 410
  const receiver = await startReceiver(t, (response) => void response.writeHead(status).end())
  await using bench = await openGateBench(t, { url: receiver.url, max_concurrency: 1 })
  await bench.start(QUICK)
  await bench.enqueue(manyCauses(1))
  await bench.recorded(1)
  await eventually(bench.pool, "SELECT 1 FROM endpoint_states WHERE disabled_reason = 'gone' AND probe_at IS NULL")
  status = 200
  await bench.enqueue(manyCauses(3))
  await bench.passRounds()
  assert.equal(receiver.arrivals.length, 1)

  const enabling = await enableEndpoint(bench.pool, 'tracker')
  assert.ok(enabling.kind === 'enabled')
  assert.equal(enabling.missed, 1)
  assert.deepEqual(await enableEndpoint(bench.pool, 'tracker'), { kind: 'not_disabled' })
  await receiver.arrival(3)
  const recover = async (): Promise<void> => {
    const filter = missedFilter('tracker', enabling.since)
    const owner = { by: 'test', tenant: { role: 'owner' } } as const
    await createReplay(bench.pool, { filter, perMinute: 600, nowMs: Date.now(), ...owner })
    await bench.pool.query('UPDATE delivery_replays SET next_at = now()')
    await stepReplays(bench.pool)
  }
  assert.equal(await countMissed(bench.pool, 'tracker', enabling.since), 1)
  await recover()
  await receiver.arrival(4)
  assert.equal(await countMissed(bench.pool, 'tracker', enabling.since), 0)
  await recover()
  assert.equal((await bench.rows("SELECT 1 FROM deliveries WHERE kind = 'replay'")).length, 1)
  assert.equal(new Set(receiver.arrivals.map(({ headers }) => headers['webhook-id'])).size, 3)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('410 is about one message only where the endpoint calls it final', async (t) => {
  const receiver = await startReceiver(t, (response) => void response.writeHead(410).end())
  await using bench = await openGateBench(t, { url: receiver.url, final_statuses: ['410'] })
  await bench.start(QUICK)
  await bench.enqueue(manyCauses(3))
  const completions = await bench.recorded(3)
  assert.deepEqual(new Set(completions.map(({ giveUpReason }) => giveUpReason)), new Set(['answer_final']))
})

test('a success forgets that an endpoint failed', async (t) => {
  const receiver = await failingReceiver(t)
  await using bench = await openGateBench(t, { url: receiver.url })
  await bench.start(QUICK)
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  await eventually(bench.pool, 'SELECT 1 FROM endpoint_states')
  receiver.heal()
  await failOnce(bench, 2)
  await eventually(bench.pool, 'SELECT 1 WHERE NOT EXISTS (SELECT FROM endpoint_states)')
})

test('what is above the quota waits, uses up no attempt and survives a restart', async (t) => {
  const receiver = await startReceiver(t)
  const quota = { count: 3, per: 'month', zone: 'Etc/UTC' } as const
  await using bench = await openGateBench(t, { url: receiver.url, quota })
  const first = await bench.start()
  await bench.enqueue(manyCauses(5))
  await receiver.arrival(3)
  await first.stop()
  await bench.start()
  await bench.passRounds()
  assert.equal(receiver.arrivals.length, 3)
  assert.deepEqual(await bench.rows("SELECT attempts::int FROM delivery_ready WHERE endpoint_id = 'tracker'"), [
    { attempts: 0 },
    { attempts: 0 },
  ])
  bench.setEndpoints([localEndpoint({ url: receiver.url, scope, quota: { ...quota, count: 5 } })], 2)
  await receiver.arrival(5)
  assert.equal(receiver.arrivals.length, 5)
})
