import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClickId } from '#platform/ids'
import type { PostbackBatch, PostbackEndpoint } from '#routing'
import { batchIdOf } from './batches.ts'
import type { DeliveryCause } from '../messages/delivery-causes.ts'
import { reconcileDeliveries } from '../queue/reconcile-deliveries.ts'
import { verifySignature } from '../sending/sign.ts'
import { localEndpoint, openBench, TEST_SECRET } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver, type Arrival } from '../test-receiver.ts'

const NEVER_MS = 300_000
const limits = (over: Partial<PostbackBatch>): PostbackBatch => ({
  ...{ max_events: 100, max_wait_ms: NEVER_MS, max_bytes: 1_000_000, format: 'json_array', wrapper_key: 'events' },
  ...over,
})
const together = (batch: Partial<PostbackBatch>, over: Partial<PostbackEndpoint>): PostbackEndpoint =>
  localEndpoint({ method: 'POST', body: '{"n":"{txid}"}', content_type: 'application/json', batch: limits(batch), ...over }) // prettier-ignore

const numbered = (from: number, to: number): readonly DeliveryCause[] =>
  Array.from({ length: to - from }, (_, index) => {
    const number = String(from + index)
    return sampleCause({ conversionId: `01890a5d-ac96-774b-bcce-${number.padStart(12, '0')}`, txid: number })
  })
const numbersIn = ({ body }: Arrival): readonly number[] =>
  (JSON.parse(body.toString()) as readonly { readonly n: string }[]).map(({ n }) => Number(n))
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

const TRIES = `
  SELECT outcome, reason, http_status, error, batch_id, batch_size, attempted_at + total_ms * interval '1 ms' AS ended_at, next_at::text
  FROM delivery_attempts ORDER BY delivery_id, attempt_no`
const distinct = (rows: readonly Record<string, unknown>[], key: string) => [...new Set(rows.map((row) => String(row[key])))] // prettier-ignore

test('a request goes out as soon as it has max_events messages; each has its own row, and all are signed as one', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [
    together({ max_events: 5 }, { url: receiver.url, max_concurrency: 1, max_per_minute: 60 }),
  ])
  const delivery = await bench.start()
  await bench.enqueue(numbered(0, 12))
  await bench.recorded(10)
  assert.deepEqual(receiver.arrivals.map(numbersIn).flat().toSorted((a, b) => a - b), range(0, 10)) // prettier-ignore
  assert.deepEqual(receiver.arrivals.map((arrival) => numbersIn(arrival).length), [5, 5]) // prettier-ignore
  const messages = await bench.rows('SELECT event_id, body FROM deliveries ORDER BY delivery_id')
  for (const arrival of receiver.arrivals) {
    const bodies = numbersIn(arrival).map((n) => messages.find((row) => row['body'] === `{"n":"${n}"}`)!)
    assert.equal(arrival.headers['webhook-id'], batchIdOf(bodies.map((row) => String(row['event_id']))))
    assert.equal(verifySignature(arrival, TEST_SECRET, Date.now()).kind, 'valid')
  }
  const tries = await bench.rows(TRIES)
  assert.deepEqual(distinct(tries, 'batch_size'), ['5'])
  assert.deepEqual(distinct(tries, 'batch_id').toSorted(), receiver.arrivals.map((one) => String(one.headers['webhook-id'])).toSorted()) // prettier-ignore
  assert.deepEqual([distinct(tries, 'outcome'), distinct(tries, 'http_status')], [['delivered'], ['200']])
  await delivery.stop()
  assert.equal(receiver.arrivals.length, 2)
  assert.equal((await bench.rows('SELECT FROM delivery_ready')).length, 2)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('a request goes out once its first message has waited, and nobody else waits meanwhile', async (t) => {
  const receiver = await startReceiver(t)
  const many = together({ max_wait_ms: 700 }, { endpoint_id: 'many', url: `${receiver.url}/many` })
  const single = localEndpoint({ endpoint_id: 'single', url: `${receiver.url}/single` })
  await using bench = await openBench(t, [many, single])
  await bench.start()
  await bench.enqueue(numbered(0, 3))
  await bench.recorded(6)
  const targets = receiver.arrivals.map(({ requestTarget }) => requestTarget.slice(0, 7))
  assert.deepEqual(targets, ['/single', '/single', '/single', '/many'])
  assert.deepEqual(numbersIn(receiver.arrivals[3]!), [0, 1, 2])
})

test('a request goes out as soon as it has max_bytes, and what alone is larger goes alone', async (t) => {
  const receiver = await startReceiver(t)
  const long = '{"n":"{txid}","long":"' + 'x'.repeat(1_100) + '"}'
  const endpoint = together({ max_bytes: 1_024 }, { url: receiver.url, body: long, max_concurrency: 1 })
  await using bench = await openBench(t, [endpoint])
  await bench.start()
  await bench.enqueue(numbered(0, 3))
  await bench.recorded(3)
  assert.deepEqual(receiver.arrivals.map(numbersIn), [[0], [1], [2]])
})

test('a request that failed is tried again together, byte for byte under the same id', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => void response.writeHead(position === 1 ? 500 : 200).end()) // prettier-ignore
  await using bench = await openBench(t, [together({ max_events: 20 }, { url: receiver.url })])
  await bench.start()
  await bench.enqueue(numbered(0, 20))
  await bench.recorded(20)
  const tries = await bench.rows(TRIES)
  assert.deepEqual([distinct(tries, 'outcome'), distinct(tries, 'error')], [['retry'], ['http_error']])
  assert.equal(distinct(tries, 'next_at').length, 1)
  await bench.pool.query('UPDATE delivery_deferred SET run_at = now()')
  await bench.recorded(40)
  const [first, second] = receiver.arrivals
  assert.deepEqual([second!.body, second!.headers['webhook-id']], [first!.body, first!.headers['webhook-id']])
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('a request of many messages takes one turn of max_per_minute, and the next waits for its own', async (t) => {
  const receiver = await startReceiver(t)
  // Two turns at once and two more in a second: message by message only four would have gone in the first.
  const endpoint = together({ max_events: 10 }, { url: receiver.url, max_per_minute: 120 })
  await using bench = await openBench(t, [endpoint])
  await bench.enqueue(numbered(0, 40))
  await bench.start()
  await bench.recorded(40)
  const starts = await bench.rows('SELECT min(attempted_at) AS at FROM delivery_attempts GROUP BY batch_id ORDER BY at')
  const [first, , third, last] = starts.map((row) => (row['at'] as Date).getTime())
  assert.equal(starts.length, 4)
  assert.ok(last! - first! >= 900, `the fourth request went ${last! - first!} ms after the first`)
  assert.ok(third! - first! >= 400, `the third request went ${third! - first!} ms after the first`)
  assert.ok(last! - first! < 4_000, `a turn for each message: ${last! - first!} ms`)
})

test('the messages of a request count for the quota one by one', async (t) => {
  const receiver = await startReceiver(t)
  const quota = { count: 60, per: 'month', zone: 'Etc/UTC' } as const
  const endpoint = together({ max_events: 3, max_wait_ms: 50 }, { url: receiver.url, max_per_minute: 1_200, quota })
  await using bench = await openBench(t, [endpoint])
  await bench.start()
  await bench.enqueue(numbered(0, 66))
  await bench.recorded(60)
  assert.deepEqual(await bench.rows('SELECT taken::int FROM endpoint_quotas'), [{ taken: 60 }])
  assert.equal((await bench.rows('SELECT FROM delivery_ready')).length, 6)
  assert.ok(receiver.arrivals.length < 60)
})

test('at most once holds for each message of a request: unanswered, none of them is sent again', async (t) => {
  const receiver = await startReceiver(t, () => undefined)
  const endpoint = together({ max_events: 4 }, { url: receiver.url, at_most_once: true, timeout_ms: 300 })
  await using bench = await openBench(t, [endpoint])
  await bench.start()
  await bench.enqueue(numbered(0, 4))
  await bench.recorded(4)
  const tries = await bench.rows(TRIES)
  assert.deepEqual([distinct(tries, 'outcome'), distinct(tries, 'reason')], [['gave_up'], ['outcome_unknown']])
  assert.deepEqual(await bench.rows('SELECT FROM delivery_marks'), [])
  assert.equal(receiver.arrivals.length, 1)
})

test('with an order a request has one message of a click at most, and the next one goes in a later request', async (t) => {
  const receiver = await startReceiver(t)
  const endpoint = together({ max_wait_ms: 100 }, { url: receiver.url, ordered: true })
  await using bench = await openBench(t, [endpoint])
  await bench.start()
  const clicks = ['a', 'b'].map((letter) => `01890a5d-ac96-774b-bcce-b302099a805${letter}` as ClickId)
  const causes = numbered(0, 6).map((cause, index) => ({ ...cause, click: { ...cause.click, click_id: clicks[index % 2]! } })) // prettier-ignore
  await bench.enqueue(causes)
  await bench.recorded(6)
  assert.deepEqual(receiver.arrivals.map(numbersIn), [[0, 1], [2, 3], [4, 5]]) // prettier-ignore
})

test('a message that a worker died with goes alone, so that it takes no others along', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [together({ max_events: 3, max_wait_ms: 200 }, { url: receiver.url })])
  await bench.enqueue(numbered(0, 3))
  // As a killed worker leaves them: all shards its own, one of them marked before.
  await bench.pool.query(`
    INSERT INTO delivery_workers VALUES ('01890a5d-ac96-774b-bcce-000000000000', now() - interval '1 s');
    UPDATE delivery_shards SET worker_id = '01890a5d-ac96-774b-bcce-000000000000';
    INSERT INTO delivery_marks SELECT delivery_id, endpoint_id, run_at, '01890a5d-ac96-774b-bcce-000000000000', 0, false
    FROM delivery_ready WHERE delivery_id = 1`)
  await bench.start({ leaseMs: 80 })
  await bench.recorded(3)
  assert.deepEqual(receiver.arrivals.map(numbersIn), [[1, 2], [0]])
  assert.deepEqual(await bench.rows('SELECT FROM delivery_marks'), [])
})
