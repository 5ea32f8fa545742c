import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogLines } from '#platform/log-lines'
import { createPool } from '#platform/postgres'
import { SpanRecorder, readEndpointRecords } from './endpoint-spans.ts'
import { localEndpoint, manyCauses, openBench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver } from '../test-receiver.ts'
import { readQueueLengths } from './queue-lengths.ts'
import { printTrySeries } from './delivery-series.ts'
import { watchTries } from './watch-tries.ts'

test('an endpoint tells how its tries of the last hour and day went, of all workers', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => void response.writeHead(position % 4 === 0 ? 500 : 200).end()) // prettier-ignore
  await using bench = await openBench(t, [
    localEndpoint({ url: receiver.url }),
    localEndpoint({ endpoint_id: 'never', triggers: ['event'] }),
  ])
  await bench.start()
  await bench.enqueue(manyCauses(8))
  await bench.recorded(8)
  const recorders = [new SpanRecorder(), new SpanRecorder()]
  const completions = (await bench.recorded(8)).filter(({ claimed }) => claimed.endpointId === 'tracker')
  for (const [index, completion] of completions.entries()) recorders[index % 2]!.count(completion)
  await Promise.all(recorders.map((recorder) => recorder.flush(bench.pool)))
  await recorders[0]!.flush(bench.pool)
  const records = await readEndpointRecords(bench.pool, ['tracker', 'never'])
  const { lastHour, lastDay, lastError, succeededAt } = records.get('tracker')!
  assert.deepEqual([lastHour.attempts, lastHour.delivered, lastHour.retried, lastHour.success_rate], [8, 6, 2, 0.75])
  assert.deepEqual(lastDay, lastHour)
  assert.ok(lastHour.p50_ms! > 0 && lastHour.p50_ms! <= lastHour.p99_ms!)
  assert.deepEqual([lastError!.http_status, lastError!.error], [500, 'http_error'])
  assert.ok(Math.abs(Date.now() - succeededAt!.getTime()) < 60_000)
  assert.deepEqual(records.get('never'), {
    lastHour: { attempts: 0, delivered: 0, retried: 0, gave_up: 0, success_rate: null, p50_ms: null, p90_ms: null, p99_ms: null }, // prettier-ignore
    lastDay: { attempts: 0, delivered: 0, retried: 0, gave_up: 0, success_rate: null, p50_ms: null, p90_ms: null, p99_ms: null }, // prettier-ignore
    succeededAt: null,
    lastError: undefined,
  })
})

test('what could not be added up while the database was away is added later, once', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url })])
  await bench.start()
  await bench.enqueue([sampleCause()])
  const [completion] = await bench.recorded(1)
  const recorder = new SpanRecorder()
  recorder.count(completion!)
  const away = createPool('postgres://nobody@127.0.0.1:1/none', { max: 1 })
  await assert.rejects(recorder.flush(away))
  await away.end()
  recorder.count(completion!)
  await recorder.flush(bench.pool)
  assert.equal((await readEndpointRecords(bench.pool, ['tracker'])).get('tracker')!.lastHour.delivered, 2)
})

test('a running delivery is counted for /metrics and for the pages', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url })])
  const tries = watchTries({ pool: bench.pool, logLines: createLogLines('test', 'silent') })
  t.after(() => tries.stop())
  await bench.enqueue([sampleCause()])
  const done = Promise.withResolvers<void>()
  await bench.start({
    onRecorded: (completions) => {
      tries.onRecorded(completions)
      done.resolve()
    },
  })
  await done.promise
  await tries.stop()
  assert.match(
    printTrySeries(tries.series()),
    /waypost_delivery_attempts_total\{endpoint="tracker",outcome="delivered"\} 1\n/,
  )
  assert.equal((await readEndpointRecords(bench.pool, ['tracker'])).get('tracker')!.lastDay.delivered, 1)
})

test('what waits is counted by endpoint with its oldest', async (t) => {
  await using bench = await openBench(t, [localEndpoint({}), localEndpoint({ endpoint_id: 'b', triggers: ['lead'] })])
  await bench.enqueue(manyCauses(3))
  await bench.enqueue([sampleCause({ revision: 7, type: 'lead' })])
  await bench.pool.query(`
    WITH moved AS (DELETE FROM delivery_ready WHERE endpoint_id = 'tracker' AND ctid = '(0,1)' RETURNING *)
    INSERT INTO delivery_deferred SELECT delivery_id, created_at, endpoint_id, now(), 1 FROM moved`)
  await bench.pool.query(`
    WITH moved AS (DELETE FROM delivery_ready WHERE endpoint_id = 'tracker' AND ctid = '(0,2)' RETURNING *)
    INSERT INTO delivery_held SELECT delivery_id, created_at, endpoint_id, run_at, 0, 0, 'ada', '' FROM moved`)
  const { endpoints } = await readQueueLengths(bench.pool)
  assert.deepEqual(
    [...endpoints.values()].map(({ endpoint_id, ready, deferred, held }) => [endpoint_id, ready, deferred, held]),
    [['tracker', 2, 1, 1], ['b', 1, 0, 0]],
  ) // prettier-ignore
  const [row] = await bench.rows('SELECT min(created_at) AS at FROM deliveries')
  assert.deepEqual(endpoints.get('tracker')!.oldest_at, row!['at'])
})
