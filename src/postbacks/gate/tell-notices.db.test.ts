import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint } from '#routing'
import { verifySignature } from '../sending/sign.ts'
import { sendTest } from '../replay/replay.ts'
import { localEndpoint, openBench, TEST_SECRET } from '../test-bench.ts'
import { startReceiver } from '../test-receiver.ts'
import { queueNotices } from './tell-notices.ts'

const listener = (over: Partial<PostbackEndpoint>): PostbackEndpoint =>
  localEndpoint({
    endpoint_id: 'ops',
    scope: {},
    triggers: ['notice'],
    method: 'POST',
    content_type: 'application/json',
    url: 'http://127.0.0.1:9/',
    retry: { schedule_seconds: [1] },
    ...over,
  })

const note = async (pool: Pool, endpointId: string, advertiserId: string | null = null): Promise<void> =>
  void (await pool.query(
    `INSERT INTO notices (kind, endpoint_id, advertiser_id, details) VALUES ('endpoint_disabled', $1, $2, '{"reason": "gone"}')`,
    [endpointId, advertiserId],
  ))

test('a notice is delivered, signed, under one webhook-id until the receiver takes it', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => {
    response.writeHead(position === 1 ? 500 : 200).end()
  })
  await using bench = await openBench(t, [listener({ url: receiver.url })])
  await bench.start()
  await note(bench.pool, 'crm', 'acme')
  assert.equal(await queueNotices(bench.pool, bench.snapshot()), 1)
  assert.equal(await queueNotices(bench.pool, bench.snapshot()), 0)
  const [first, second] = [await receiver.arrival(1), await receiver.arrival(2)]
  assert.equal(second.headers['webhook-id'], first.headers['webhook-id'])
  const { type, timestamp, data } = JSON.parse(second.body.toString())
  assert.equal(type, 'notice.endpoint_disabled')
  assert.match(timestamp, /^\d{4}-.*Z$/)
  assert.deepEqual(
    [data.kind, data.endpoint_id, data.advertiser_id, data.details],
    ['endpoint_disabled', 'crm', 'acme', { reason: 'gone' }],
  )
  assert.equal(verifySignature(second, TEST_SECRET, Date.now()).kind, 'valid')
  await bench.recorded(2)
  const rows = await bench.rows("SELECT cause, kind, advertiser_id FROM deliveries WHERE endpoint_id = 'ops'")
  assert.deepEqual(rows, [{ cause: 'notice', kind: 'auto', advertiser_id: null }])
})

test('the deliveries of a notice and its mark are one transaction: a crash between them loses and doubles nothing', async (t) => {
  await using bench = await openBench(t, [listener({})])
  await note(bench.pool, 'crm')
  await bench.pool.query(`
    CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'crash'; END $$;
    CREATE TRIGGER break_off BEFORE UPDATE ON notices EXECUTE FUNCTION break_off()`)
  await assert.rejects(queueNotices(bench.pool, bench.snapshot()), /crash/)
  assert.deepEqual(await bench.rows('SELECT 1 FROM delivery_ready'), [])
  await bench.pool.query('DROP TRIGGER break_off ON notices')
  // Several processes look at once.
  const counts = await Promise.all([1, 2, 3].map(() => queueNotices(bench.pool, bench.snapshot())))
  assert.equal(
    counts.reduce((sum, count) => sum + count),
    1,
  )
  assert.equal((await bench.rows('SELECT 1 FROM delivery_ready')).length, 1)
})

test('an endpoint hears of its advertiser only, and never of itself', async (t) => {
  const scope = { advertiser_id: 'acme' }
  await using bench = await openBench(t, [listener({}), listener({ endpoint_id: 'acmes', scope })])
  await note(bench.pool, 'crm', 'acme')
  await note(bench.pool, 'crm', 'other')
  await note(bench.pool, 'ops')
  await queueNotices(bench.pool, bench.snapshot())
  const rows = await bench.rows(`
    SELECT endpoint_id, advertiser_id, body::jsonb -> 'data' ->> 'advertiser_id' AS about FROM deliveries ORDER BY endpoint_id, about`)
  assert.deepEqual(rows, [
    { endpoint_id: 'acmes', advertiser_id: 'acme', about: 'acme' },
    { endpoint_id: 'ops', advertiser_id: null, about: 'acme' },
    { endpoint_id: 'ops', advertiser_id: null, about: 'other' },
  ])
})

test('what a paused endpoint is not told has its reason, and who listens later hears of nothing before', async (t) => {
  await using bench = await openBench(t, [listener({ status: 'paused' })])
  await note(bench.pool, 'crm')
  await queueNotices(bench.pool, bench.snapshot())
  assert.deepEqual(await bench.rows('SELECT endpoint_id, cause, reason FROM delivery_why_not'), [
    { endpoint_id: 'ops', cause: 'notice', reason: 'endpoint_paused' },
  ])
  bench.setEndpoints([listener({})], 2)
  assert.equal(await queueNotices(bench.pool, bench.snapshot()), 0)
  assert.deepEqual(await bench.rows('SELECT 1 FROM delivery_ready'), [])
})

test('a test sends a made-up notice', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [listener({ url: receiver.url })])
  await bench.start()
  const sent = await sendTest(bench.pool, 'ops', bench.snapshot(), Date.now())
  assert.equal(sent.kind, 'enqueued')
  const { type, data } = JSON.parse((await receiver.arrival(1)).body.toString())
  assert.deepEqual([type, data.details], ['notice.endpoint_failing', { is_test: true }])
  await bench.recorded(1)
})
