import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pool } from '#platform/postgres'
import { causesOfRevision, type DeliveryCause, type TriggerState } from '../messages/delivery-causes.ts'
import { deliveryChecks, reconcileDeliveries } from './reconcile-deliveries.ts'
import { localEndpoint, manyCauses, openBench, type Bench } from '../test-bench.ts'
import { sampleCause, sampleClick, sampleConversion } from '../test-causes.ts'

const found = async (pool: Pool) => (await reconcileDeliveries(pool)).map(({ check, count }) => [check, count])

/** Applies the bench's configuration as of two hours before the sample conversion. */
const applyConfiguration = (bench: Bench, at = '2023-11-14T20:00:00Z') =>
  bench.pool.query(
    `INSERT INTO config_versions (version, snapshot, created_at, created_by, diff) VALUES ($1, $2, $3, 'test', '[]')`,
    [bench.snapshot().version, bench.snapshot(), at],
  )

const CONVERSION = sampleConversion()
const CLICK = sampleClick({ source_id: 'fb' })

async function recordConversion(pool: Pool, states: readonly TriggerState[]): Promise<void> {
  await pool.query(
    `INSERT INTO conversions (conversion_id, advertiser_id, click_id, type, goal, txid, affiliate_id, campaign_id, offer_id,
      status, payout_micros, revenue_micros, currency, created_at, updated_at, click)
    VALUES ($1, 'acme', $2, $3, 'deposit', 'tx-1', 'ada', 'autumn', 'shoes', 'pending', 0, 0, 'USD', $4, $4, $5)`,
    [CONVERSION.conversionId, CONVERSION.clickId, states[0]!.type, CONVERSION.createdAt, CLICK],
  )
  for (const [index, state] of states.entries()) {
    await pool.query(
      `INSERT INTO conversion_revisions (conversion_id, advertiser_id, revision, status, payout_micros, revenue_micros,
        sale_amount_micros, is_hold_released, cause, revised_at)
      VALUES ($1, 'acme', $2, $3, $6, $7, 0, $4, 'event', $5)`,
      [
        CONVERSION.conversionId,
        index + 1,
        state.status,
        state.isHoldReleased,
        CONVERSION.createdAt,
        state.payoutMicros,
        state.revenueMicros,
      ],
    )
  }
}

/** The causes that these states lead to, as the conversions module makes them. */
const causesOf = (states: readonly TriggerState[]): readonly DeliveryCause[] =>
  states.flatMap((state, index) => {
    const conversion = { ...sampleConversion({ revision: index + 1 }), ...state }
    return causesOfRevision(states[index - 1], conversion, CLICK, CONVERSION.createdAt.getTime())
  })

const worth = (payoutMicros: bigint, revenueMicros: bigint) => ({ type: 'lead', payoutMicros, revenueMicros }) as const
const LIFE: readonly TriggerState[] = [
  { ...worth(1n, 5n), status: 'pending', isHoldReleased: false },
  { ...worth(2n, 5n), status: 'approved', isHoldReleased: false },
  { ...worth(2n, 6n), status: 'approved', isHoldReleased: false },
  { ...worth(2n, 6n), status: 'approved', isHoldReleased: true },
  { ...worth(2n, 6n), status: 'rejected', isHoldReleased: true },
]
const ALL = ['lead', 'sale', 'rejected', 'hold_released', 'status_changed', 'payout_changed'] as const

test('SQL and code agree on what each revision fires, for every trigger and scope', async (t) => {
  const scopes = [{}, { affiliate_id: 'ada' }, { offer_id: 'shoes', campaign_id: 'autumn' }, { advertiser_id: 'acme' }, { source_id: 'fb' }, { offer_id: 'boots' }, { affiliate_id: 'bob' }, { source_id: 'tiktok' }] // prettier-ignore
  const endpoints = scopes.flatMap((scope, index) =>
    ALL.map((trigger) => localEndpoint({ endpoint_id: `e${index}-${trigger}`, scope, triggers: [trigger] })),
  )
  await using bench = await openBench(t, endpoints)
  await applyConfiguration(bench)
  await recordConversion(bench.pool, LIFE)
  // Five scopes fit; lead once, status_changed twice, hold_released once, rejected once, payout_changed twice, of which an
  // affiliate is told once: the second time only the revenue moved.
  assert.deepEqual(await found(bench.pool), [['revision_without_delivery', 5 * 7 - 1]])
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
  const [forgotten, doubled, untried, decidedTwice] = rows.map((row) => String(row.delivery_id))
  const move = `created_at, endpoint_id`
  const attempt = `INSERT INTO delivery_attempts SELECT delivery_id, ${move}, 1, now(), 'retry', 500, NULL, NULL, 1, 1, NULL, '', 0, NULL,
    gen_random_uuid(), 1, false FROM deliveries WHERE delivery_id = ${decidedTwice}`
  await bench.pool.query(`
    DELETE FROM delivery_ready WHERE delivery_id IN (${forgotten}, ${untried}, ${decidedTwice});
    INSERT INTO delivery_deferred SELECT delivery_id, ${move}, now(), 1 FROM deliveries WHERE delivery_id = ${doubled};
    INSERT INTO delivery_workers VALUES (gen_random_uuid(), now() - interval '61 s'), (gen_random_uuid(), now() + interval '1 s');
    INSERT INTO delivery_finals SELECT delivery_id, ${move}, 'gave_up', 'gone', 1, now()
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
