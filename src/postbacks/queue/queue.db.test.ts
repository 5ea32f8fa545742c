import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { buryDeadWorkers, enterWorker } from './ownership.ts'
import { completeTries, FROM_THE_BEGINNING, readDue, type Claimed, type Completion } from './queue.ts'
import { localEndpoint, manyCauses, openBench, type Bench } from '../test-bench.ts'

const tryOf = (claimed: Claimed, outcome: Completion['outcome'], tryNo: number): Completion => ({
  claimed,
  tryNo,
  isMarked: false,
  isProbe: false,
  outcome,
  giveUpReason: undefined,
  delayMs: outcome === 'retry' ? 5_000 : undefined,
  status: outcome === 'delivered' ? 204 : 503,
  error: undefined,
  errorDetail: 'it said "no\\"',
  firstByteMs: 1,
  totalMs: 2,
  endedAt: performance.now(),
  remoteAddress: undefined,
  responseHead: Buffer.from([0, 34, 92, 255]),
  responseBytes: 0,
})

const readAll = (bench: Bench): Promise<readonly Claimed[]> =>
  readDue(bench.pool, [{ endpointId: 'tracker', count: 100, after: FROM_THE_BEGINNING, againSeconds: 0 }])

const COUNTS = `
  SELECT (SELECT count(*) FROM delivery_attempts WHERE is_fenced)::int AS fenced,
    (SELECT count(*) FROM delivery_attempts WHERE NOT is_fenced)::int AS decided,
    (SELECT count(*) FROM delivery_deferred)::int AS deferred, (SELECT count(*) FROM delivery_ready)::int AS ready,
    (SELECT count(*) FROM delivery_ends)::int AS ended`

for (const [late, inTime] of [
  ['retry', 'retry'],
  ['delivered', 'delivered'],
  ['delivered', 'retry'],
] as const) {
  test(`of two tries, ${late} by a worker that was taken for dead and ${inTime} by the one that took over, only the latter decides`, async (t) => {
    await using bench = await openBench(t, [localEndpoint({ endpoint_id: 'tracker' })])
    await bench.enqueue(manyCauses(1))
    const [lost, owner] = [randomUUID(), randomUUID()]
    await enterWorker(bench.pool, lost, -1)
    await enterWorker(bench.pool, owner, 60_000)
    const [delivery] = await readAll(bench)
    assert.equal(await buryDeadWorkers(bench.pool, 0), 1)
    const options = { isFenced: true, isRepeat: false }
    assert.equal(await completeTries(bench.pool, [tryOf(delivery!, late, 1)], { ...options, workerId: lost }), 1)
    assert.deepEqual(await bench.rows(COUNTS), [{ fenced: 1, decided: 0, deferred: 0, ready: 1, ended: 0 }])
    const inTimeTry = [tryOf(delivery!, inTime, 1)]
    assert.equal(await completeTries(bench.pool, inTimeTry, { ...options, workerId: owner }), 0)
    const isRetry = inTime === 'retry'
    const after = { fenced: 1, decided: 1, deferred: isRetry ? 1 : 0, ready: 0, ended: isRetry ? 0 : 1 }
    assert.deepEqual(await bench.rows(COUNTS), [after])
    // Repeated, as after a connection that broke during the commit: nothing changes.
    const again = { isFenced: true, isRepeat: true, workerId: owner }
    assert.equal(await completeTries(bench.pool, inTimeTry, again), 0)
    assert.deepEqual(await bench.rows(COUNTS), [after])
  })
}

test('texts and bytes of an attempt come back as they were given', async (t) => {
  await using bench = await openBench(t, [localEndpoint({ endpoint_id: 'tracker' })])
  await bench.enqueue(manyCauses(1))
  const workerId = randomUUID()
  await enterWorker(bench.pool, workerId, 60_000)
  const [delivery] = await readAll(bench)
  await completeTries(bench.pool, [tryOf(delivery!, 'delivered', 1)], { workerId, isFenced: true, isRepeat: false })
  const [row] = await bench.rows('SELECT error_detail, response_head, remote_address FROM delivery_attempts')
  assert.deepEqual(row, {
    error_detail: 'it said "no\\"',
    response_head: Buffer.from([0, 34, 92, 255]),
    remote_address: null,
  })
})

test('a reading begins behind its place, or goes back from it', async (t) => {
  await using bench = await openBench(t, [localEndpoint({ endpoint_id: 'tracker' })])
  await bench.enqueue(manyCauses(3))
  const all = await readAll(bench)
  assert.equal(all.length, 3)
  const readAfter = async (after: Claimed, againSeconds: number): Promise<number> =>
    (await readDue(bench.pool, [{ endpointId: 'tracker', count: 10, after, againSeconds }])).length
  assert.deepEqual(await Promise.all([readAfter(all[2]!, 0), readAfter(all[0]!, 0), readAfter(all[2]!, 5)]), [0, 2, 3])
  const older =
    "UPDATE delivery_ready SET run_at = run_at - interval '1 minute' WHERE delivery_id = " + String(all[0]!.deliveryId)
  await bench.pool.query(older)
  assert.equal(await readAfter(all[2]!, 5), 2)
  assert.equal((await readAll(bench)).length, 3)
})
