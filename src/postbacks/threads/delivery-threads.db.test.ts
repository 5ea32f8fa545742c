import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Worker as Thread } from 'node:worker_threads'
import { createLogLines } from '#platform/log-lines'
import { relayedSnapshots, type RelayedSnapshots } from '#snapshots'
import { withTempDir } from '#test-kit'
import { reconcileDeliveries } from '../queue/reconcile-deliveries.ts'
import { localEndpoint, manyCauses, openBench, type Bench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver } from '../test-receiver.ts'
import { startDeliveryThreads, type DeliveryThreads } from './delivery-threads.ts'

const ENDPOINTS = 40
const WORKERS = 'SELECT worker_id FROM delivery_workers'
const OWNERS = 'SELECT worker_id, count(*)::int AS shards FROM delivery_shards WHERE worker_id IS NOT NULL GROUP BY 1'

const endpointsAt = (url: string) =>
  Array.from({ length: ENDPOINTS }, (_, index) => localEndpoint({ endpoint_id: `endpoint_${index}`, url }))

type Threads = DeliveryThreads & {
  readonly snapshots: RelayedSnapshots
  /** In the order of their start. */
  readonly started: readonly Thread[]
  /** Resolves when so many tries are on record. */
  readonly recorded: (count: number) => Promise<void>
}

function startThreads(t: TestContext, bench: Bench): Threads {
  const started: Thread[] = []
  const note = (thread: Thread): void => void started.push(thread)
  process.on('worker', note)
  t.after(() => process.off('worker', note))
  const snapshots = relayedSnapshots(bench.snapshot())
  let tries = 0
  const waiting: { readonly count: number; readonly resolve: () => void }[] = []
  const threads = startDeliveryThreads({
    ...{
      databaseUrl: bench.url,
      snapshots,
      proxy: undefined,
      isLeaseFenced: true,
      logLevel: 'silent',
      threads: 2,
      perHostMax: 64,
    },
    secretKeys: { file: join(withTempDir(t), 'keys.json') },
    logLines: createLogLines('test', 'silent'),
    onRecorded: ({ delivered, retry, gave_up }) => {
      tries += delivered + retry + gave_up
      waiting.filter(({ count }) => count <= tries).forEach(({ resolve }) => resolve())
    },
  })
  return {
    ...threads,
    snapshots,
    started,
    recorded: (count) =>
      count <= tries ? Promise.resolve() : new Promise((resolve) => waiting.push({ count, resolve })),
  }
}

test('threads share the endpoints from the beginning, and count together', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, endpointsAt(receiver.url))
  await bench.enqueue(manyCauses(5))
  const threads = startThreads(t, bench)
  await threads.recorded(5 * ENDPOINTS)
  assert.deepEqual(
    (await bench.rows(OWNERS)).map(({ shards }) => shards),
    [32, 32],
  )
  assert.equal(new Set((await bench.rows('SELECT worker_id FROM delivery_attempts')).map((row) => row['worker_id'])).size, 2) // prettier-ignore
  assert.deepEqual(threads.attempts(), { delivered: 5 * ENDPOINTS, retry: 0, gave_up: 0, late: 0 })
  const metrics = await threads.metrics()
  assert.match(metrics, /^waypost_delivery_shards 64$/m)
  for (let index = 0; index < ENDPOINTS; index += 1)
    assert.ok(metrics.includes(`waypost_delivery_attempts_total{endpoint="endpoint_${index}",outcome="delivered"} 5\n`))
  await threads.stop()
  assert.deepEqual(await bench.rows(WORKERS), [])
  assert.equal(receiver.arrivals.length, 5 * ENDPOINTS)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('a configuration reaches all threads', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [])
  const threads = startThreads(t, bench)
  bench.setEndpoints(endpointsAt(receiver.url), 2)
  await bench.enqueue([sampleCause()])
  threads.snapshots.take(bench.snapshot())
  await threads.recorded(ENDPOINTS)
  await threads.stop()
})

test('a thread that dies is started again, and nothing is lost', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, endpointsAt(receiver.url))
  const threads = startThreads(t, bench)
  await bench.enqueue([sampleCause()])
  await threads.recorded(ENDPOINTS)
  const ended = once(threads.started[0]!, 'exit')
  await threads.started[0]!.terminate()
  await ended
  await bench.enqueue([sampleCause({ revision: 2 })])
  await threads.recorded(2 * ENDPOINTS)
  assert.equal(threads.started.length, 3)
  await threads.stop()
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('threads that were asked to stop at once do', async (t) => {
  await using bench = await openBench(t, [])
  const threads = startThreads(t, bench)
  await threads.stop()
  assert.deepEqual(await bench.rows(WORKERS), [])
})
