import assert from 'node:assert/strict'
import { test } from 'node:test'

import { asTenant, ownerTenant, type Tenant } from '#accounts'
import { inTransaction, type Pool } from '#platform/postgres'

import { listDeliveries } from '../records/deliveries.ts'
import { replayDelivery, replayNewest } from './replay.ts'
import {
  cancelReplay,
  countReplay,
  createReplay,
  listReplays,
  replayLimits,
  stepReplays,
  type NewReplay,
  type ReplayFilter,
} from './replay-by-filter.ts'
import { localEndpoint, manyCauses, openBench, type Bench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'

const FROM = '2020-01-01T00:00:00Z'
const PER_MINUTE = 60_000

/** Ends everything that is ready with one try. */
const END = `
  WITH gone AS (DELETE FROM delivery_ready RETURNING *)
  INSERT INTO delivery_attempts (delivery_id, created_at, endpoint_id, attempt_no, attempted_at, outcome, http_status, error, total_ms,
    response_head, response_bytes, worker_id, try_no, is_fenced)
  SELECT delivery_id, created_at, endpoint_id, 1, now(), $1, $2, $3, 1, '', 0, gen_random_uuid(), 1, false FROM gone`

const end = async (pool: Pool, state = 'gave_up', status: number | null = 500, error: string | null = 'http_error') =>
  void (await pool.query(END, [state, status, error]))

const begin = (pool: Pool, filter: Partial<ReplayFilter> = {}, over: Partial<NewReplay> = {}) =>
  createReplay(pool, {
    filter: { from: FROM, ...filter },
    perMinute: PER_MINUTE,
    by: 'test',
    tenant: ownerTenant,
    nowMs: Date.now(),
    ...over,
  })

const count = (pool: Pool, filter: Partial<ReplayFilter> = {}, tenant: Tenant = ownerTenant) =>
  asTenant(pool, tenant, (tx) => countReplay(tx, { from: FROM, ...filter }, tenant))

/** Steps without regard to the pace until nothing runs any more. */
async function runToEnd(pool: Pool): Promise<number> {
  for (let steps = 1; steps < 100; steps++) {
    await stepReplays(pool)
    await pool.query('UPDATE delivery_replays SET next_at = now()')
    if ((await listReplays(pool, { state: 'running' }, undefined, 1)).length === 0) return steps
  }
  throw new Error('the replay does not end')
}

const replaysOf = async (bench: Bench) =>
  (await bench.rows(`SELECT event_id, replay_no, body, url FROM deliveries WHERE kind = 'replay'`)).length

test('a replay sends what fits once more under the same event ids, and the count before says how many', async (t) => {
  await using bench = await openBench(t, [localEndpoint({}), localEndpoint({ endpoint_id: 'b' })])
  await bench.enqueue(manyCauses(40))
  await end(bench.pool)
  assert.deepEqual(await count(bench.pool, { endpoint_id: 'b' }), { replayed: 40, skipped: {}, isCut: false })
  await begin(bench.pool, { endpoint_id: 'b' })
  await runToEnd(bench.pool)
  const [replay] = await listReplays(bench.pool, {}, undefined, 1)
  assert.deepEqual([replay!.state, replay!.replayed, replay!.skipped], ['done', 40n, {}])
  const pairs = await bench.rows(`
    SELECT FROM deliveries AS r JOIN deliveries AS o ON o.endpoint_id = r.endpoint_id AND o.event_id = r.event_id AND o.url = r.url
    JOIN delivery_ready AS q ON q.delivery_id = r.delivery_id
    WHERE r.replay_no = 1 AND r.kind = 'replay' AND o.replay_no = 0 AND r.endpoint_id = 'b'`)
  assert.equal(pairs.length, 40)
})

test('each part of the filter narrows it', async (t) => {
  await using bench = await openBench(t, [localEndpoint({}), localEndpoint({ endpoint_id: 'b' })])
  await bench.enqueue([sampleCause()])
  await end(bench.pool, 'delivered', 200, null)
  await bench.enqueue([sampleCause({ revision: 2, advertiserId: 'other', affiliateId: 'bob', campaignId: 'spring', offerId: 'boots', type: 'lead' })]) // prettier-ignore
  await end(bench.pool, 'gave_up', null, 'timeout')
  const sent = async (filter: Partial<ReplayFilter>) => (await count(bench.pool, filter)).replayed
  assert.equal(await sent({}), 4)
  for (const filter of [
    { state: 'delivered' },
    { state: 'gave_up' },
    { http_status: 200 },
    { error: 'timeout' },
    { advertiser_id: 'other' },
    { affiliate_id: 'bob' },
    { campaign_id: 'spring' },
    { offer_id: 'boots' },
    { cause: 'lead' },
    { endpoint_id: 'b' },
  ] as const)
    assert.equal(await sent(filter), 2, JSON.stringify(filter))
  assert.equal(await sent({ error: 'timeout', state: 'delivered' }), 0)
  assert.equal(await sent({ to: '2020-01-02T00:00:00Z' }), 0)
  assert.equal(await sent({ from: '2999-01-02T00:00:00Z' }), 0)
})

test('what still waits and what was replayed already is left out, with a count and a reason', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue([sampleCause(), sampleCause({ revision: 2 })])
  await end(bench.pool)
  const [first] = await listDeliveries(bench.pool, {}, undefined, 1)
  await replayDelivery(bench.pool, first!.delivery_id)
  await bench.enqueue([sampleCause({ revision: 3 })])
  const expected = { replayed: 1, skipped: { replayed_already: 1, still_waiting: 2 }, isCut: false }
  assert.deepEqual(await count(bench.pool), expected)
  await begin(bench.pool)
  await runToEnd(bench.pool)
  const [replay] = await listReplays(bench.pool, {}, undefined, 1)
  assert.deepEqual([replay!.replayed, replay!.skipped], [1n, expected.skipped])
  assert.deepEqual((await count(bench.pool, { state: 'gave_up' })).replayed, 0)
})

test('tests of endpoints are not replayed', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue([sampleCause()])
  await end(bench.pool)
  await bench.pool.query(`
    INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, click_id, config_version, method, url)
    SELECT 900, created_at, endpoint_id, gen_random_uuid(), 0, 'test', 'test', click_id, 1, method, url FROM deliveries`)
  assert.deepEqual(await count(bench.pool), { replayed: 1, skipped: {}, isCut: false })
})

test('replays that meet the same deliveries send each once', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue(manyCauses(300))
  await end(bench.pool)
  for (let index = 0; index < 3; index++) await begin(bench.pool)
  await Promise.all([1, 2, 3].map(() => stepReplays(bench.pool)))
  await runToEnd(bench.pool)
  assert.equal(await replaysOf(bench), 300)
  const replays = await listReplays(bench.pool, {}, undefined, 9)
  assert.equal(replays.reduce((sum, { replayed }) => sum + Number(replayed), 0), 300) // prettier-ignore
  assert.equal(replays.reduce((sum, { skipped }) => sum + Number(skipped.replayed_already ?? 0), 0), 600) // prettier-ignore
})

test('many steps skip nothing and repeat nothing, also where deliveries share their millisecond', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue(manyCauses(2_300))
  await end(bench.pool)
  await begin(bench.pool)
  const steps = await runToEnd(bench.pool)
  assert.ok(steps > 4)
  assert.equal(await replaysOf(bench), 2_300)
  const [replay] = await listReplays(bench.pool, {}, undefined, 1)
  assert.equal(replay!.replayed, 2_300n)
})

test('a step that is cut off is made again whole', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue(manyCauses(50))
  await end(bench.pool)
  await begin(bench.pool)
  // The note of the step fails after its deliveries were made.
  await bench.pool.query(`
    CREATE FUNCTION cut_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut off'; END $$;
    CREATE TRIGGER cut_off BEFORE UPDATE ON delivery_replays EXECUTE FUNCTION cut_off()`)
  await assert.rejects(stepReplays(bench.pool), /cut off/)
  assert.equal(await replaysOf(bench), 0)
  await bench.pool.query('DROP TRIGGER cut_off ON delivery_replays')
  await runToEnd(bench.pool)
  assert.equal(await replaysOf(bench), 50)
})

test('a replay keeps its own pace', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue(manyCauses(30))
  await end(bench.pool)
  await begin(bench.pool, {}, { perMinute: 120 })
  await stepReplays(bench.pool)
  await stepReplays(bench.pool)
  assert.equal(await replaysOf(bench), 2)
  const [row] = await bench.rows(
    'SELECT extract(epoch FROM next_at - clock_timestamp()) * 1000 AS ms FROM delivery_replays',
  )
  assert.ok(Number(row!['ms']) > 500 && Number(row!['ms']) <= 1_000)
})

test('a cancelled replay makes nothing more', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue(manyCauses(30))
  await end(bench.pool)
  const replay = await begin(bench.pool, {}, { perMinute: 600 })
  await stepReplays(bench.pool)
  await cancelReplay(bench.pool, replay!.replay_id)
  await runToEnd(bench.pool)
  const [after] = await listReplays(bench.pool, {}, undefined, 1)
  assert.deepEqual([after!.state, after!.replayed, await replaysOf(bench)], ['cancelled', 10n, 10])
  await cancelReplay(bench.pool, replay!.replay_id)
})

test('deliveries whose transaction was open when the replay came by are not skipped', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue(manyCauses(5))
  await end(bench.pool)
  const late = await bench.pool.connect()
  await late.query('BEGIN')
  await late.query('SELECT now()')
  await begin(bench.pool)
  await stepReplays(bench.pool)
  assert.equal((await listReplays(bench.pool, { state: 'running' }, undefined, 1)).length, 1)
  const { rows } = await late.query<{ delivery_id: bigint }>(`
    INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, click_id, config_version, method, url)
    SELECT 900, date_trunc('milliseconds', now()), endpoint_id, gen_random_uuid(), 0, 'auto', 'sale', click_id, 1, method, url
    FROM deliveries LIMIT 1 RETURNING delivery_id`)
  await late.query(`INSERT INTO delivery_finals SELECT delivery_id, created_at, endpoint_id, 'gave_up', NULL, 0, now() FROM deliveries WHERE delivery_id = $1`, [rows[0]!.delivery_id]) // prettier-ignore
  await late.query('COMMIT')
  late.release()
  await bench.pool.query('UPDATE delivery_replays SET next_at = now()')
  await runToEnd(bench.pool)
  assert.equal(await replaysOf(bench), 6)
})

test("a tenant's replay finds its own deliveries only, whatever its filter says", async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue([sampleCause(), sampleCause({ revision: 2, advertiserId: 'other' })])
  await end(bench.pool)
  const other: Tenant = { role: 'advertiser', advertiserId: 'other' }
  assert.equal((await count(bench.pool, {}, other)).replayed, 1)
  assert.equal((await count(bench.pool, { advertiser_id: 'acme' }, other)).replayed, 0)
  await begin(bench.pool, { endpoint_id: 'tracker' }, { tenant: other })
  await runToEnd(bench.pool)
  assert.deepEqual(await bench.rows(`SELECT advertiser_id FROM deliveries WHERE kind = 'replay'`), [{ advertiser_id: 'other' }]) // prettier-ignore
  const seenBy = (tenant: Tenant) => asTenant(bench.pool, tenant, (tx) => listReplays(tx, {}, undefined, 9))
  assert.equal((await seenBy(other)).length, 1)
  assert.equal((await seenBy({ role: 'advertiser', advertiserId: 'acme' })).length, 0)
})

test("an affiliate's replay leaves what its conversions made others send", async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue([sampleCause()])
  await end(bench.pool)
  const ada: Tenant = { role: 'affiliate', affiliateId: 'ada' }
  await begin(bench.pool, {}, { tenant: ada })
  await runToEnd(bench.pool)
  assert.equal(await replaysOf(bench), 0)
})

test('a delivery that somebody replayed between the look and the sending is not sent again', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  await bench.enqueue([sampleCause()])
  await end(bench.pool)
  const [row] = await listDeliveries(bench.pool, {}, undefined, 1)
  const place = { createdAt: row!.created_at, deliveryId: row!.delivery_id }
  const send = () => inTransaction(bench.pool, (tx) => replayNewest(tx, [place]))
  assert.equal(await send(), 1)
  assert.equal(await send(), 0, 'its replay waits')
  await end(bench.pool)
  assert.equal(await send(), 0, 'its replay is the newest')
})

test('no more replays run at once than may', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  for (let index = 0; index < replayLimits.runningMax; index++) assert.ok(await begin(bench.pool))
  assert.equal(await begin(bench.pool), undefined)
})

test('nobody keeps others from replaying', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  const anna: Tenant = { role: 'affiliate', affiliateId: 'anna' }
  const acme: Tenant = { role: 'advertiser', advertiserId: 'acme' }
  const beginAs = (tenant: Tenant) => begin(bench.pool, {}, { tenant })
  for (let index = 0; index < replayLimits.runningOfTenantMax; index++) assert.ok(await beginAs(anna))
  assert.equal(await beginAs(anna), undefined)
  assert.ok(await beginAs(acme))
  for (let index = 0; index < replayLimits.runningMax; index++) assert.ok(await begin(bench.pool))
  assert.ok(await beginAs(acme))
})

test('replays are listed newest first, page by page', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  for (let index = 0; index < 5; index++) await begin(bench.pool)
  const first = await listReplays(bench.pool, {}, undefined, 3)
  const last = first[2]!
  const rest = await listReplays(bench.pool, {}, { atMs: last.created_at.getTime(), id: last.replay_id }, 3)
  const ids = [...first.slice(0, 3), ...rest].map(({ replay_id }) => replay_id)
  assert.equal(new Set(ids).size, 5)
})
