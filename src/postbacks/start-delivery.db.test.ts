import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { fixedClock, systemClock, type Clock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { inTransaction, type Pool } from '#platform/postgres'
import type { PostbackEndpoint, Snapshot } from '#routing'
import { withDatabase } from '#test-kit'
import type { DeliveryCause } from './delivery-causes.ts'
import { enqueueDeliveries } from './enqueue-deliveries.ts'
import type { Completion } from './queue.ts'
import { verifySignature } from './sign.ts'
import { startDelivery, type DeliveryOptions } from './start-delivery.ts'
import { SAMPLE_CLICK_ID, sampleCause, sampleEndpoint, sampleSnapshot } from './test-causes.ts'
import { startReceiver } from './test-receiver.ts'

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`

type Bench = AsyncDisposable & {
  readonly pool: Pool
  readonly snapshots: { current: () => Snapshot | undefined; set: (snapshot: Snapshot) => void }
  readonly enqueue: (causes: readonly DeliveryCause[]) => Promise<void>
  /** Resolves when so many tries are on record. */
  readonly recorded: (count: number) => Promise<readonly Completion[]>
  readonly late: () => number
  readonly start: (over?: Partial<DeliveryOptions>) => Promise<{ stop: () => Promise<void> }>
}

/** Stopped by `await using` at the end of the test, before the database is dropped. */
async function benchFor(t: TestContext, endpoints: readonly PostbackEndpoint[]): Promise<Bench> {
  const { pool } = await withDatabase(t)
  let snapshot = sampleSnapshot(endpoints)
  const completions: Completion[] = []
  let late = 0
  const waiting: { count: number; resolve: (all: readonly Completion[]) => void }[] = []
  const running: { stop: () => Promise<void> }[] = []
  return {
    pool,
    [Symbol.asyncDispose]: async () => void (await Promise.all(running.map((delivery) => delivery.stop()))),
    snapshots: { current: () => snapshot, set: (next) => void (snapshot = next) },
    enqueue: (causes) => inTransaction(pool, (tx) => enqueueDeliveries(tx, causes, snapshot)),
    recorded: (count) =>
      completions.length >= count
        ? Promise.resolve(completions)
        : new Promise((resolve) => waiting.push({ count, resolve })),
    late: () => late,
    start: async (over = {}) => {
      const delivery = await startDelivery({
        pool,
        snapshots: { current: () => snapshot },
        clock: systemClock,
        logLines: createLogLines('test', 'silent'),
        drainMs: 200,
        onRecorded: (batch, lateCount) => {
          completions.push(...batch)
          late += lateCount
          waiting.filter((item) => item.count <= completions.length).forEach((item) => item.resolve(completions))
        },
        ...over,
      })
      running.push(delivery)
      return delivery
    },
  }
}

const localEndpoint = (over: Partial<PostbackEndpoint>): PostbackEndpoint =>
  sampleEndpoint({ allow_private_address: true, secret: SECRET, ...over })

const rowsOf = async (pool: Pool, sql: string): Promise<Record<string, unknown>[]> => (await pool.query(sql)).rows
const FINALS = 'SELECT state, reason, attempts FROM delivery_finals ORDER BY delivery_id'
const ATTEMPTS = 'SELECT * FROM delivery_attempts ORDER BY delivery_id, attempted_at'

/** Makes deferred deliveries due without waiting for their time. */
const makeDue = (pool: Pool) => pool.query('UPDATE delivery_deferred SET run_at = now()')

test('delivers a GET with the right values, signed in its query, and records the attempt', async (t) => {
  const receiver = await startReceiver(t)
  const url = `${receiver.url}/pb?cid={click_id}&sum={payout}&st={status:lead=1 sale=2}&s1={sub1}&city={city}`
  await using bench = await benchFor(t, [localEndpoint({ url })])
  await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)

  const [arrival] = receiver.arrivals
  const values = new URLSearchParams(arrival!.requestTarget.split('?')[1])
  assert.equal(values.get('cid'), SAMPLE_CLICK_ID)
  assert.equal(values.get('sum'), '12.5')
  assert.equal(values.get('st'), '2')
  assert.equal(values.get('s1'), 'a b&c')
  assert.equal(values.get('city'), 'Muğla')
  assert.equal(verifySignature(arrival!, SECRET, Date.now()).kind, 'valid')
  const fromQuery = { ...arrival!, headers: {} }
  assert.equal(verifySignature(fromQuery, SECRET, Date.now()).kind, 'valid')
  assert.equal(values.get('event_id'), arrival!.headers['webhook-id'])

  assert.deepEqual(await rowsOf(bench.pool, FINALS), [{ state: 'delivered', reason: null, attempts: 1 }])
  const [attempt] = await rowsOf(bench.pool, ATTEMPTS)
  assert.equal(attempt!['outcome'], 'delivered')
  assert.equal(attempt!['http_status'], 200)
  assert.equal(attempt!['remote_address'], '127.0.0.1')
  assert.equal(String(attempt!['response_head']), 'ok')
  assert.equal(attempt!['response_bytes'], 2)
  assert.equal(attempt!['is_fenced'], false)
})
