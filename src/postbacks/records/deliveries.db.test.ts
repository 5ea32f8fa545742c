import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTransaction } from '#platform/postgres'
import { enqueueDeliveries } from '../queue/enqueue-deliveries.ts'
import { findDelivery, listDeliveries } from './deliveries.ts'
import { deliveriesOfClick } from './deliveries-of-click.ts'
import { readQueueDepth } from '../metrics/delivery-metrics.ts'
import { replayDelivery, sendTest } from '../replay/replay.ts'
import { verifySignature } from '../sending/sign.ts'
import { localEndpoint, manyCauses, openBench, TEST_SECRET } from '../test-bench.ts'
import { SAMPLE_AT, SAMPLE_CLICK_ID, sampleCause } from '../test-causes.ts'
import { startReceiver } from '../test-receiver.ts'

const noArchive = () => Promise.reject(new Error('nothing is archived'))

test('a click shows what was sent for it try by try, and what was not and why', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => void response.writeHead(position === 1 ? 500 : 200).end('hm')) // prettier-ignore
  await using bench = await openBench(t, [
    localEndpoint({ url: receiver.url }),
    localEndpoint({ endpoint_id: 'paused', url: receiver.url, status: 'paused' }),
  ])
  await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  const before = await deliveriesOfClick(bench.pool, noArchive, SAMPLE_CLICK_ID)
  assert.equal(before.deliveries[0]!.state, 'deferred')
  assert.ok(before.deliveries[0]!.next_at! > new Date())
  await bench.pool.query('UPDATE delivery_deferred SET run_at = now()')
  await bench.recorded(2)
  const { deliveries, whyNot } = await deliveriesOfClick(bench.pool, noArchive, SAMPLE_CLICK_ID)
  const [delivery] = deliveries
  assert.deepEqual([delivery!.state, delivery!.attempts, delivery!.last_http_status, delivery!.next_at], ['delivered', 2, 200, null]) // prettier-ignore
  assert.deepEqual(delivery!.tries.map((item) => [item.attempt_no, item.http_status, item.response_head, item.remote_address]), [[1, 500, 'hm', '127.0.0.1'], [2, 200, 'hm', '127.0.0.1']]) // prettier-ignore
  assert.deepEqual(
    whyNot.map((item) => [item.endpoint_id, item.reason]),
    [['paused', 'endpoint_paused']],
  )
  assert.deepEqual(await deliveriesOfClick(bench.pool, noArchive, '01890a5d-ac96-774b-bcce-ffffffffffff'), {
    deliveries: [],
    whyNot: [],
  })
})

test('deliveries are listed newest first, page by page, without gaps or repeats', async (t) => {
  await using bench = await openBench(t, [
    localEndpoint({}),
    localEndpoint({ endpoint_id: 'b', scope: { offer_id: 'shoes' } }),
  ])
  await bench.enqueue(manyCauses(7))
  await bench.enqueue([sampleCause({ revision: 9, affiliateId: 'bob' })])
  const seen: bigint[] = []
  let after: { atMs: number; id: string } | undefined
  for (;;) {
    const rows = await listDeliveries(bench.pool, {}, after, 5)
    const page = rows.slice(0, 5)
    seen.push(...page.map((row) => row.delivery_id))
    const last = page.at(-1)
    if (rows.length <= 5 || last === undefined) break
    after = { atMs: last.created_at.getTime(), id: String(last.delivery_id) }
  }
  assert.equal(seen.length, 16)
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => Number(b - a)),
  )
})

test('each filter of the list narrows it', async (t) => {
  await using bench = await openBench(t, [localEndpoint({}), localEndpoint({ endpoint_id: 'b' })])
  await bench.enqueue([sampleCause()])
  const cause = sampleCause({
    revision: 2,
    advertiserId: 'other',
    affiliateId: 'bob',
    campaignId: 'spring',
    offerId: 'boots',
  })
  await bench.enqueue([cause])
  await bench.enqueue([sampleCause({ revision: 3, conversionId: '01890a5d-ac96-774b-bcce-0000000000ff' })])
  const count = async (filter: Parameters<typeof listDeliveries>[1]) =>
    (await listDeliveries(bench.pool, filter, undefined, 50)).length
  assert.equal(await count({}), 6)
  assert.equal(await count({ endpoint_id: 'b' }), 3)
  assert.equal(await count({ advertiser_id: 'other' }), 2)
  assert.equal(await count({ affiliate_id: 'bob' }), 2)
  assert.equal(await count({ campaign_id: 'spring' }), 2)
  assert.equal(await count({ offer_id: 'boots' }), 2)
  assert.equal(await count({ conversion_id: '01890a5d-ac96-774b-bcce-0000000000ff' }), 2)
  assert.equal(await count({ click_id: SAMPLE_CLICK_ID }), 6)
  assert.equal(await count({ state: 'ready' }), 6)
  assert.equal(await count({ state: 'delivered' }), 0)
  assert.equal(await count({ from: '2999-01-01T00:00:00Z' }), 0)
  assert.equal(await count({ to: '2999-01-01T00:00:00Z' }), 6)
})

test('a replay is a new delivery of the same message under the same event id', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [localEndpoint({ url: `${receiver.url}/?p={payout}` })])
  await bench.start()
  await bench.enqueue([sampleCause()])
  const [first] = await bench.recorded(1)
  for (const attempts of [2, 3]) {
    assert.equal((await replayDelivery(bench.pool, BigInt(first!.claimed.deliveryId))).kind, 'replayed')
    await bench.recorded(attempts)
  }
  assert.equal(new Set(receiver.arrivals.map((arrival) => arrival.headers['webhook-id'])).size, 1)
  const rows = await listDeliveries(bench.pool, {}, undefined, 10)
  assert.deepEqual(
    new Set(rows.map((row) => `${row.kind} ${row.replay_no}`)),
    new Set(['auto 0', 'replay 1', 'replay 2']),
  )
  assert.equal(new Set(rows.map((row) => row.url)).size, 1)
  assert.deepEqual(await replayDelivery(bench.pool, 999_999n), { kind: 'not_found' })
})

test('what still waits is not replayed, and of replays at the same moment one is made', async (t) => {
  await using bench = await openBench(t, [localEndpoint({ url: 'http://127.0.0.1:9/' })])
  await bench.enqueue([sampleCause()])
  const [row] = await listDeliveries(bench.pool, {}, undefined, 1)
  const replay = () => replayDelivery(bench.pool, row!.delivery_id)
  assert.deepEqual(await replay(), { kind: 'refused', reason: 'still_waiting' })
  await bench.pool.query(`
    WITH gone AS (DELETE FROM delivery_ready RETURNING *)
    INSERT INTO delivery_finals SELECT delivery_id, created_at, endpoint_id, 'cancelled', NULL, 0, now() FROM gone`)
  const replays = await Promise.all([1, 2, 3, 4].map(replay))
  assert.deepEqual(replays.map(({ kind }) => kind).sort(), ['refused', 'refused', 'refused', 'replayed'])
  assert.equal((await listDeliveries(bench.pool, {}, undefined, 9)).length, 2)
})

test('a test send shows the filled request, reaches the receiver signed and touches no conversion', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [
    localEndpoint({ url: `${receiver.url}/?p={payout}&s={sub30}&o={offer_id}`, scope: { offer_id: 'shoes' } }),
    localEndpoint({ endpoint_id: 'paused', status: 'paused' }),
  ])
  await bench.start()
  const sent = await sendTest(bench.pool, 'tracker', bench.snapshot(), Date.now())
  assert.equal(sent.kind === 'enqueued' && sent.url, `${receiver.url}/?p=1&s=test30&o=shoes`)
  await bench.recorded(1)
  assert.equal(verifySignature(receiver.arrivals[0]!, TEST_SECRET, Date.now()).kind, 'valid')
  const delivery = sent.kind === 'enqueued' ? await findDelivery(bench.pool, sent.deliveryId) : undefined
  assert.deepEqual([delivery!.kind, delivery!.cause, delivery!.conversion_id, delivery!.state], ['test', 'test', null, 'delivered']) // prettier-ignore
  const refused = async (id: string) => sendTest(bench.pool, id, bench.snapshot(), SAMPLE_AT)
  assert.deepEqual(await refused('nobody'), { kind: 'refused', reason: 'endpoint_unknown' })
  assert.deepEqual(await refused('paused'), { kind: 'refused', reason: 'endpoint_paused' })
})

test('the depth of the queue counts what is due, under way and put off', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  assert.deepEqual(await readQueueDepth(bench.pool), { readyCount: 0, deferredCount: 0, oldestDueSeconds: 0 }) // prettier-ignore
  await bench.enqueue(manyCauses(3))
  await bench.pool.query("UPDATE delivery_ready SET run_at = now() - interval '90 s'")
  const depth = await readQueueDepth(bench.pool)
  assert.deepEqual([depth.readyCount, depth.deferredCount], [3, 0])
  assert.ok(depth.oldestDueSeconds >= 90 && depth.oldestDueSeconds < 150)
})

test('what is rolled back is not sent', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url })])
  await bench.start()
  const failing = inTransaction(bench.pool, async (tx) => {
    await enqueueDeliveries(tx, [sampleCause()], bench.snapshot())
    throw new Error('the conversion was refused')
  })
  await assert.rejects(failing, /refused/)
  await bench.enqueue([sampleCause({ revision: 2 })])
  await bench.recorded(1)
  assert.equal(receiver.arrivals.length, 1)
  assert.equal((await listDeliveries(bench.pool, {}, undefined, 10)).length, 1)
})

test('history cannot be changed', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  for (const table of ['deliveries', 'delivery_attempts', 'delivery_finals']) {
    await assert.rejects(bench.pool.query(`UPDATE ${table} SET endpoint_id = 'x'`), /append only/)
  }
})
