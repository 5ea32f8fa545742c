import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '#platform/random'
import type { ClickId } from '#platform/ids'
import { inTransaction } from '#platform/postgres'
import type { PostbackEndpoint } from '#routing'
import type { DeliveryCause } from '../messages/delivery-causes.ts'
import { readBehind } from '../gate/waiting.ts'
import { reconcileDeliveries } from '../queue/reconcile-deliveries.ts'
import { replayDelivery, replayNewest } from '../replay/replay.ts'
import { localEndpoint, openBench, type Bench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver, type Arrival } from '../test-receiver.ts'
import { startWorkerProcess } from './test-worker.ts'

const DUE = 'UPDATE delivery_deferred SET run_at = now()'
const clickOf = (number: number): ClickId => `01890a5d-ac96-774b-bcce-1${String(number).padStart(11, '0')}` as ClickId

/** A message of a click; `step` counts them. */
const messageOf = (click: number, step: number): DeliveryCause =>
  sampleCause(
    {
      clickId: clickOf(click),
      conversionId: `01890a5d-ac96-774b-${String(step).padStart(4, '0')}-${String(click).padStart(12, '0')}`,
      txid: `${click}:${step}`,
    },
    { click_id: clickOf(click) },
  )
const stepsOf = (click: number, count: number): readonly DeliveryCause[] =>
  Array.from({ length: count }, (_, step) => messageOf(click, step))

const inOrder = (over: Partial<PostbackEndpoint>): PostbackEndpoint =>
  localEndpoint({ method: 'POST', body: '{"txid":"{txid}"}', ordered: true, ...over })
const txidOf = ({ body }: Arrival): string => (JSON.parse(body.toString()) as { readonly txid: string }).txid

/** Retries until the test has so many tries on record. */
async function recordedWithRetries(bench: Bench, count: number): Promise<void> {
  const due = setInterval(() => void bench.pool.query(DUE), 50)
  try {
    await bench.recorded(count)
  } finally {
    clearInterval(due)
  }
}

test('in order: while the first message of a click is put off the later ones wait, and other clicks do not', async (t) => {
  const receiver = await startReceiver(t, (response, arrival) => {
    const isFirst = txidOf(arrival) === '1:0'
    const tries = receiver.arrivals.filter((one) => txidOf(one) === '1:0').length
    response.writeHead(isFirst && tries < 3 ? 503 : 200).end()
  })
  await using bench = await openBench(t, [inOrder({ url: receiver.url })])
  await bench.start()
  await bench.enqueue([...stepsOf(1, 4), ...stepsOf(2, 4)])
  await bench.recorded(5)
  assert.deepEqual(receiver.arrivals.map(txidOf).toSorted(), ['1:0', '2:0', '2:1', '2:2', '2:3'])
  const behind = await readBehind(bench.pool, [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n])
  assert.deepEqual(behind, new Set([2n, 3n, 4n]))
  await recordedWithRetries(bench, 10)
  assert.deepEqual(receiver.arrivals.map(txidOf).filter((txid) => txid.startsWith('1:')), ['1:0', '1:0', '1:0', '1:1', '1:2', '1:3']) // prettier-ignore
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('in order: the messages of a click that one transaction makes keep their order, whatever their ids are', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [inOrder({ url: receiver.url, max_concurrency: 20 })])
  await bench.enqueue(stepsOf(1, 9).toReversed())
  await bench.start()
  await bench.recorded(9)
  assert.deepEqual(
    receiver.arrivals.map(txidOf),
    [8, 7, 6, 5, 4, 3, 2, 1, 0].map((step) => `1:${step}`),
  )
})

test('in order: one that is given up makes room, and a replay comes after what waits', async (t) => {
  const receiver = await startReceiver(
    t,
    (response, arrival, position) =>
      void response.writeHead(txidOf(arrival) === '1:0' && position === 1 ? 410 : position === 2 ? 503 : 200).end(),
  )
  await using bench = await openBench(t, [inOrder({ url: receiver.url, final_statuses: ['410'] })])
  const delivery = await bench.start()
  await bench.enqueue(stepsOf(1, 3))
  await bench.recorded(2)
  await delivery.stop()
  const first = await bench.rows("SELECT delivery_id FROM delivery_ends WHERE state = 'gave_up'")
  await replayDelivery(bench.pool, first[0]!['delivery_id'] as bigint)
  await bench.start()
  await recordedWithRetries(bench, 5)
  assert.deepEqual(receiver.arrivals.map(txidOf), ['1:0', '1:1', '1:1', '1:2', '1:0'])
})

test('in order: messages that are replayed together come in the order that they had', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [inOrder({ url: receiver.url })])
  await bench.start()
  await bench.enqueue(stepsOf(1, 6).toReversed())
  await bench.recorded(6)
  const rows = await bench.rows('SELECT created_at, delivery_id FROM deliveries ORDER BY event_id')
  const places = rows.map((row) => ({ createdAt: row['created_at'] as Date, deliveryId: row['delivery_id'] as bigint }))
  assert.equal(await inTransaction(bench.pool, (tx) => replayNewest(tx, places)), 6)
  await bench.recorded(12)
  assert.deepEqual(receiver.arrivals.slice(6).map(txidOf), receiver.arrivals.slice(0, 6).map(txidOf))
})

test('in order: one that expired while no worker was there makes room', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => void response.writeHead(position === 1 ? 503 : 200).end()) // prettier-ignore
  await using bench = await openBench(t, [inOrder({ url: receiver.url })])
  const delivery = await bench.start()
  await bench.enqueue(stepsOf(1, 2))
  await bench.recorded(1)
  await delivery.stop()
  await bench.pool.query(`WITH old AS (DELETE FROM delivery_deferred RETURNING *)
    INSERT INTO delivery_finals SELECT delivery_id, created_at, endpoint_id, 'gave_up', 'expired', attempts, now() FROM old`)
  await bench.start()
  await bench.recorded(2)
  assert.deepEqual(receiver.arrivals.map(txidOf), ['1:0', '1:1'])
  assert.deepEqual(await bench.rows("SELECT FROM delivery_ready WHERE run_at = 'infinity'"), [])
})

test('in order: switched on it holds for what was put off before, and switched off nothing waits', async (t) => {
  const receiver = await startReceiver(t, (response, arrival) => void response.writeHead(txidOf(arrival) === '1:0' ? 503 : 200).end()) // prettier-ignore
  const endpoint = inOrder({ url: receiver.url })
  const { ordered: _ordered, ...loose } = endpoint
  await using bench = await openBench(t, [loose])
  await bench.start()
  await bench.enqueue(stepsOf(1, 1))
  await bench.recorded(1)
  bench.setEndpoints([endpoint], 2)
  await bench.enqueue([messageOf(1, 1), messageOf(2, 0)])
  await bench.recorded(2)
  assert.deepEqual(receiver.arrivals.map(txidOf), ['1:0', '2:0'])
  bench.setEndpoints([loose], 3)
  await bench.recorded(3)
  assert.equal(txidOf(receiver.arrivals[2]!), '1:1')
  assert.deepEqual(await bench.rows('SELECT FROM delivery_order'), [])
})

test('in order: with failures, broken connections and killed workers the messages of each click succeed one after the other', async (t) => {
  const seed = process.pid
  t.diagnostic(`seed ${seed}`)
  const random = createRandom(seed)
  const [clicks, steps] = [25, 6]
  const done = new Map<string, number[]>()
  const openOf = new Map<string, number>()
  const wrong: string[] = []
  let successes = 0
  const enough = new Map<number, () => void>()
  const succeeded = (count: number): Promise<void> =>
    successes >= count ? Promise.resolve() : new Promise((resolve) => void enough.set(count, resolve))
  const receiver = await startReceiver(t, (response, arrival) => {
    const [click, step] = txidOf(arrival).split(':') as [string, string]
    const had = done.get(click) ?? []
    if (Number(step) > had.length) wrong.push(`${click}:${step} after ${had.length}`)
    const isAlone = (openOf.get(click) ?? 0) === 0
    openOf.set(click, (openOf.get(click) ?? 0) + 1)
    response.once('close', () => openOf.set(click, openOf.get(click)! - 1))
    const chance = random()
    // Few enough, and no faster than successes, so that the breaker stays closed.
    const answer = (send: () => void): void => void setTimeout(send, random() * 20)
    if (chance < 0.05) return answer(() => void response.destroy())
    if (chance < 0.2) return answer(() => void response.writeHead(500).end())
    if (Number(step) === had.length) {
      // Another worker may repeat what a killed one had under way, never begin a later one.
      if (!isAlone && openOf.get(click)! > 2) wrong.push(`${click}:${step} beside others`)
      done.set(click, [...had, Number(step)])
      successes += 1
      enough.get(successes)?.()
    }
    answer(() => void response.end())
  })
  const endpoint = inOrder({
    url: receiver.url,
    max_concurrency: 20,
    max_attempts: 50,
    retry: { schedule_seconds: [0.02] },
    timeout_ms: 2_000,
  })
  await using bench = await openBench(t, [endpoint])
  const orders = { url: bench.url, snapshot: bench.snapshot(), leaseMs: 400 }
  for (let step = 0; step < steps; step += 1)
    await bench.enqueue(Array.from({ length: clicks }, (_, click) => messageOf(click, step)))
  let worker = await startWorkerProcess(t, orders)
  for (let kills = 1; kills <= 3; kills += 1) {
    await succeeded(kills * 30)
    const next = startWorkerProcess(t, orders)
    await worker.kill()
    worker = await next
  }
  await succeeded(clicks * steps)
  await worker.kill()
  assert.deepEqual(wrong, [])
  assert.equal(done.size, clicks)
})
