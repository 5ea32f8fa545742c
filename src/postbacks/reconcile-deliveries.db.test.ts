import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pool } from '#platform/postgres'
import { triggersOfRevision, type DeliveryCause, type TriggerState } from './delivery-causes.ts'
import { deliveryChecks, reconcileDeliveries } from './reconcile-deliveries.ts'
import { localEndpoint, manyCauses, openBench, type Bench } from './test-bench.ts'
import { sampleCause, sampleConversion } from './test-causes.ts'

const found = async (pool: Pool) => (await reconcileDeliveries(pool)).map(({ check, count }) => [check, count])

/** Applies the bench's configuration as of two hours before the sample conversion. */
const applyConfiguration = (bench: Bench, at = '2023-11-14T20:00:00Z') =>
  bench.pool.query(
    `INSERT INTO config_versions (version, snapshot, created_at, created_by, diff) VALUES ($1, $2, $3, 'test', '[]')`,
    [bench.snapshot().version, bench.snapshot(), at],
  )

const CONVERSION = sampleConversion()

async function recordConversion(pool: Pool, states: readonly TriggerState[]): Promise<void> {
  await pool.query(
    `INSERT INTO conversions (conversion_id, advertiser_id, click_id, type, goal, txid, affiliate_id, campaign_id, offer_id,
      status, payout_micros, revenue_micros, currency, created_at, updated_at, click)
    VALUES ($1, 'acme', $2, $3, 'deposit', 'tx-1', 'ada', 'autumn', 'shoes', 'pending', 0, 0, 'USD', $4, $4, '{}')`,
    [CONVERSION.conversionId, CONVERSION.clickId, states[0]!.type, CONVERSION.createdAt],
  )
  for (const [index, state] of states.entries()) {
    await pool.query(
      `INSERT INTO conversion_revisions (conversion_id, advertiser_id, revision, status, payout_micros, revenue_micros,
        sale_amount_micros, is_hold_released, cause, revised_at)
      VALUES ($1, 'acme', $2, $3, 0, 0, 0, $4, 'event', $5)`,
      [CONVERSION.conversionId, index + 1, state.status, state.isHoldReleased, CONVERSION.createdAt],
    )
  }
}

/** The causes that these states lead to, as the conversions module makes them. */
const causesOf = (states: readonly TriggerState[]): readonly DeliveryCause[] =>
  states.flatMap((state, index) =>
    triggersOfRevision(states[index - 1], state).map((trigger) => {
      const cause = sampleCause({ ...state, revision: index + 1 })
      return { ...cause, trigger } as DeliveryCause
    }),
  )

const LIFE: readonly TriggerState[] = [
  { type: 'lead', status: 'pending', isHoldReleased: false },
  { type: 'lead', status: 'approved', isHoldReleased: false },
  { type: 'lead', status: 'approved', isHoldReleased: true },
  { type: 'lead', status: 'rejected', isHoldReleased: true },
]
const ALL = ['lead', 'sale', 'rejected', 'hold_released', 'status_changed'] as const

test('SQL and code agree on what each revision fires, for every trigger and scope', async (t) => {
  const scopes = [{}, { affiliate_id: 'ada' }, { offer_id: 'shoes', campaign_id: 'autumn' }, { advertiser_id: 'acme' }, { offer_id: 'boots' }, { affiliate_id: 'bob' }] // prettier-ignore
  const endpoints = scopes.flatMap((scope, index) =>
    ALL.map((trigger) => localEndpoint({ endpoint_id: `e${index}-${trigger}`, scope, triggers: [trigger] })),
  )
  await using bench = await openBench(t, endpoints)
  await applyConfiguration(bench)
  await recordConversion(bench.pool, LIFE)
  // Four scopes fit; lead once, status_changed twice, hold_released once, rejected once.
  assert.deepEqual(await found(bench.pool), [['revision_without_delivery', 4 * 5]])
  await bench.enqueue(causesOf(LIFE))
  assert.deepEqual(await found(bench.pool), [])
})

test('a reason counts as an answer', async (t) => {
  await using bench = await openBench(t, [localEndpoint({ status: 'paused' })])
  await applyConfiguration(bench)
  await recordConversion(bench.pool, LIFE.slice(0, 1))
  assert.deepEqual(await found(bench.pool), [['revision_without_delivery', 1]])
  await bench.enqueue(causesOf(LIFE.slice(0, 1)))
  assert.deepEqual(await found(bench.pool), [])
})

test('an endpoint owes nothing for conversions from before it was as it is', async (t) => {
  await using bench = await openBench(t, [localEndpoint({ triggers: ['sale'] })])
  await applyConfiguration(bench)
  bench.setEndpoints([localEndpoint({ triggers: ['lead'] })], 2)
  await applyConfiguration(bench, '2023-11-14T22:13:00Z')
  await recordConversion(bench.pool, LIFE.slice(0, 1))
  assert.deepEqual(await found(bench.pool), [])
  bench.setEndpoints([localEndpoint({ triggers: ['lead'], url: 'https://elsewhere.example/' })], 3)
  await applyConfiguration(bench, '2023-11-15T00:00:00Z')
  assert.deepEqual(await found(bench.pool), [])
})

test('each way to lose or double a delivery is found', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue(manyCauses(5))
  assert.deepEqual(await found(bench.pool), [])
  const { rows } = await bench.pool.query<{ delivery_id: bigint }>('SELECT delivery_id FROM deliveries ORDER BY 1')
  const [forgotten, doubled, abandoned, untried, decidedTwice] = rows.map((row) => String(row.delivery_id))
  const move = `created_at, endpoint_id`
  const attempt = `INSERT INTO delivery_attempts SELECT delivery_id, ${move}, 1, now(), 'delivered', 200, NULL, NULL, 1, 1, NULL, '', 0, NULL,
    gen_random_uuid(), nextval('delivery_lease_tokens'), false FROM deliveries WHERE delivery_id = ${decidedTwice}`
  await bench.pool.query(`
    DELETE FROM delivery_ready WHERE delivery_id IN (${forgotten}, ${abandoned}, ${untried}, ${decidedTwice});
    INSERT INTO delivery_deferred SELECT delivery_id, ${move}, now(), 1 FROM deliveries WHERE delivery_id = ${doubled};
    INSERT INTO delivery_inflight SELECT delivery_id, ${move}, 0, 0, gen_random_uuid(), 0, now() - interval '61 s'
      FROM deliveries WHERE delivery_id = ${abandoned};
    INSERT INTO delivery_finals SELECT delivery_id, ${move}, 'delivered', NULL, 1, now()
      FROM deliveries WHERE delivery_id IN (${untried}, ${decidedTwice});
    ${attempt}; ${attempt}`)
  const checks = [
    'delivery_forgotten',
    'delivery_in_two_places',
    'lease_abandoned',
    'end_without_attempt',
    'attempt_decided_twice',
  ]
  assert.deepEqual(await found(bench.pool), checks.map((check) => [check, 1])) // prettier-ignore
  const [first] = await reconcileDeliveries(bench.pool)
  assert.deepEqual(first!.examples, [`delivery ${forgotten}`])
  assert.deepEqual(await reconcileDeliveries(bench.pool, new Date('2999-01-01')), [])
  assert.deepEqual(Object.keys(deliveryChecks), ['revision_without_delivery', ...checks])
})

test('what expired without ever having been tried is no end without a try', async (t) => {
  await using bench = await openBench(t, [localEndpoint({ status: 'active' })])
  await bench.enqueue([sampleCause()])
  await bench.pool.query(`
    WITH taken AS (DELETE FROM delivery_ready RETURNING *)
    INSERT INTO delivery_finals SELECT delivery_id, created_at, endpoint_id, 'gave_up', 'expired', 0, now() FROM taken`)
  assert.deepEqual(await found(bench.pool), [])
})

test('a second end of a delivery is refused by the database', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue([sampleCause()])
  const end =
    "INSERT INTO delivery_finals SELECT delivery_id, created_at, endpoint_id, 'cancelled', NULL, 0, now() FROM deliveries"
  await bench.pool.query(end)
  await assert.rejects(bench.pool.query(end), /duplicate key/)
})
