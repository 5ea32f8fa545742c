import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { claimDue, completeTries, reapLostLeases, type Claimed, type Completion } from './queue.ts'
import { localEndpoint, manyCauses, openBench, type Bench } from './test-bench.ts'

const WORKER = randomUUID()

const tryOf = (claimed: Claimed, outcome: Completion['outcome']): Completion => ({
  claimed,
  isProbe: false,
  outcome,
  giveUpReason: undefined,
  delayMs: outcome === 'retry' ? 5_000 : undefined,
  status: outcome === 'delivered' ? 204 : 503,
  error: undefined,
  errorDetail: undefined,
  firstByteMs: 1,
  totalMs: 2,
  endedAt: performance.now(),
  remoteAddress: undefined,
  responseHead: Buffer.alloc(0),
  responseBytes: 0,
})

/** The same delivery, leased by the same worker a second time after the first lease was lost. */
async function claimTwice(bench: Bench): Promise<readonly [lost: Claimed, held: Claimed]> {
  const claim = (leaseMs: number): Promise<readonly Claimed[]> =>
    claimDue(bench.pool, [{ endpointId: 'tracker', count: 1, leaseMs }], WORKER)
  const [lost] = await claim(0)
  assert.deepEqual(await reapLostLeases(bench.pool, { countMax: 10, crashesMax: 5 }), { requeued: 1, quarantined: 0 })
  const [held] = await claim(60_000)
  return [lost!, held!]
}

for (const [late, inTime] of [
  ['retry', 'retry'],
  ['delivered', 'delivered'],
  ['delivered', 'retry'],
] as const) {
  test(`of two tries that end together, ${late} under a lost lease and ${inTime} under the one held, only the latter decides`, async (t) => {
    await using bench = await openBench(t, [localEndpoint({ endpoint_id: 'tracker' })])
    await bench.enqueue(manyCauses(1))
    const [lost, held] = await claimTwice(bench)
    const tries = [tryOf(lost, late), tryOf(held, inTime)]
    assert.equal(await completeTries(bench.pool, tries, { workerId: WORKER, isFenced: true }), 1)
    const [counts] = await bench.rows(`
      SELECT (SELECT count(*) FROM delivery_attempts WHERE is_fenced)::int AS fenced,
        (SELECT count(*) FROM delivery_attempts WHERE NOT is_fenced)::int AS decided,
        (SELECT count(*) FROM delivery_deferred)::int AS deferred,
        (SELECT count(*) FROM delivery_finals)::int AS ended,
        (SELECT count(*) FROM delivery_inflight)::int AS inflight`)
    const isRetry = inTime === 'retry'
    assert.deepEqual(counts, { fenced: 1, decided: 1, deferred: isRetry ? 1 : 0, ended: isRetry ? 0 : 1, inflight: 0 })
    // Repeated, as after a connection that broke during the commit: nothing changes.
    assert.equal(await completeTries(bench.pool, tries, { workerId: WORKER, isFenced: true }), 0)
    assert.deepEqual(await bench.rows('SELECT count(*)::int AS attempts FROM delivery_attempts'), [{ attempts: 2 }])
  })
}
