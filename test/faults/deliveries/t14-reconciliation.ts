import { deliveryChecks, reconcileDeliveries, type DeliveryCheck } from '#postbacks'
import type { Pool } from '#platform/postgres'
import { comeToRest, notAtRest } from './come-to-rest.ts'
import type { FaultTest } from './fault-test.ts'
import { openFaultSite } from './site.ts'
import { until } from './until.ts'

const BEGIN_SECONDS_MAX = 20
const REST_SECONDS_MAX = 90

/** Damage to one delivery ($1), or to what is on record of workers, and the check that must name it. */
const DAMAGE: Readonly<Partial<Record<DeliveryCheck, readonly string[]>>> = {
  revision_without_delivery: [
    'DELETE FROM delivery_attempts WHERE delivery_id = $1',
    'DELETE FROM delivery_finals WHERE delivery_id = $1',
    'DELETE FROM deliveries WHERE delivery_id = $1',
  ],
  delivery_forgotten: [
    'DELETE FROM delivery_attempts WHERE delivery_id = $1',
    'DELETE FROM delivery_finals WHERE delivery_id = $1',
  ],
  delivery_in_two_places: [
    `INSERT INTO delivery_deferred (delivery_id, created_at, endpoint_id, run_at, attempts)
      SELECT delivery_id, created_at, endpoint_id, now(), 1 FROM deliveries WHERE delivery_id = $1`,
  ],
  end_without_attempt: [
    'DELETE FROM delivery_attempts WHERE delivery_id = $1',
    'DELETE FROM delivery_finals WHERE delivery_id = $1',
    `INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, attempts, finished_at)
      SELECT delivery_id, created_at, endpoint_id, 'gave_up', 1, now() FROM deliveries WHERE delivery_id = $1`,
  ],
  lease_abandoned: [
    `INSERT INTO delivery_workers (worker_id, lease_until)
      SELECT gen_random_uuid(), now() + seconds * interval '1 second' FROM unnest(ARRAY[-120, 120]) AS seconds
      WHERE $1::bigint IS NOT NULL`,
  ],
  attempt_decided_twice: [
    'INSERT INTO delivery_attempts SELECT * FROM delivery_attempts WHERE delivery_id = $1 AND NOT is_fenced',
  ],
}

export const reconciliation: FaultTest = {
  shows: 'the reconciliation finds nothing after kills, and each kind of damage that is then done by hand',
  run: async (settings) => {
    const total = settings.isShort ? 300 : 3_000
    await using site = await openFaultSite({
      ...settings,
      affiliateIds: ['ada'],
      endpoints: { one: { timeout_ms: 1_000 }, two: { timeout_ms: 1_000, max_concurrency: 20 } },
      answer: ({ txid }, nth) => ({ status: nth === 1 && Number(txid) % 9 === 0 ? 500 : 204, delayMs: 30 }),
    })
    const producer = site.startProducer({ perSecond: 150, end: total })
    const first = await site.startWorker()
    await first.ready
    const hasBegun = await until(() => site.receiver.arrivals.length > total / 4, BEGIN_SECONDS_MAX)
    const arrivedBefore = site.receiver.arrivals.length
    await first.kill()
    await site.startWorker()
    await producer.done
    const unended = await comeToRest(site.pool, REST_SECONDS_MAX)
    await site.stopWorkers()
    settings.tell('at rest')
    const found = await reconcileDeliveries(site.pool)
    const missed = await damageInTurn(site.pool)
    const uncovered = Object.keys(deliveryChecks).filter((check) => !(check in DAMAGE))
    return {
      did: [
        `${total} conversions to two endpoints, a sender killed among them, then reconciled`,
        `damage done by hand, one delivery at a time: ${Object.keys(DAMAGE).join(', ')}`,
      ],
      seen: {
        'deliveries before a sender was killed': hasBegun ? arrivedBefore : 0,
        'deliveries reconciled': total * 2 - unended,
        'kinds of damage found': Object.keys(DAMAGE).length - missed.length,
      },
      findings: [
        ...notAtRest(unended),
        ...found.map(({ check, count, examples }) => `reconcile ${check}: ${count} (${examples.join('; ')})`),
        ...missed,
        ...uncovered.map((check) => `no damage is known that ${check} finds`),
      ],
    }
  },
}

/** Each in a transaction of its own that is rolled back. */
async function damageInTurn(pool: Pool): Promise<readonly string[]> {
  const missed: string[] = []
  const { rows } = await pool.query<{ delivery_id: bigint }>('SELECT delivery_id FROM deliveries ORDER BY 1 LIMIT 1')
  for (const [check, statements] of Object.entries(DAMAGE)) {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      for (const statement of statements) await client.query(statement, [rows[0]!.delivery_id])
      const found = await reconcileDeliveries(client)
      if (!found.some((finding) => finding.check === check))
        missed.push(`${check} is not found: ${JSON.stringify(found.map((finding) => finding.check))}`)
    } finally {
      await client.query('ROLLBACK')
      client.release()
    }
  }
  return missed
}
