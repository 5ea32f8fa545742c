import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { findFreePort } from '#platform/ports'
import type { PostbackEndpoint } from '#routing'
import { buryDeadWorkers, enterWorker, markUnderWay } from '../queue/ownership.ts'
import { reconcileDeliveries } from '../queue/reconcile-deliveries.ts'
import { replayDelivery } from '../replay/replay.ts'
import { localEndpoint, manyCauses, openBench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver } from '../test-receiver.ts'
import { startWorkerProcess } from './test-worker.ts'

const LAST = 'SELECT outcome, reason, error FROM delivery_attempts'
const ENDS = 'SELECT state, reason FROM delivery_ends ORDER BY delivery_id'
const UNKNOWN = { state: 'gave_up', reason: 'outcome_unknown' }
const WORKER = '01890a5d-ac96-774b-bcce-000000000000'

async function tryOnce(t: TestContext, over: Partial<PostbackEndpoint>): Promise<unknown> {
  await using bench = await openBench(t, [localEndpoint({ at_most_once: true, timeout_ms: 300, ...over })])
  await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  assert.deepEqual(await bench.rows('SELECT FROM delivery_marks'), [])
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
  return (await bench.rows(LAST))[0]
}

/** A TCP server. @returns its URL */
async function startSocketServer(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    serve(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    sockets.forEach((socket) => socket.destroy())
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const gaveUp = (error: string) => ({ outcome: 'gave_up', reason: 'outcome_unknown', error })
const retried = (error: string) => ({ outcome: 'retry', reason: null, error })

test('at most once: a request that was sent and not answered in time is never sent again', async (t) => {
  const { url } = await startReceiver(t, () => undefined)
  assert.deepEqual(await tryOnce(t, { url }), gaveUp('timeout'))
})

test('at most once: nor is one whose connection broke before a status came', async (t) => {
  const url = await startSocketServer(t, (socket) => void socket.once('data', () => socket.destroy()))
  assert.deepEqual(await tryOnce(t, { url }), gaveUp('connection_reset'))
})

test('at most once: nor one whose answer is no HTTP', async (t) => {
  const url = await startSocketServer(t, (socket) => void socket.once('data', () => socket.end('what?\r\n\r\n')))
  assert.deepEqual(await tryOnce(t, { url }), gaveUp('protocol_error'))
})

test('at most once: a failure before anything was sent is tried again', async (t) => {
  const url = await startSocketServer(t, (socket) => void socket.end())
  assert.deepEqual(
    await tryOnce(t, { url: `http://127.0.0.1:${await findFreePort()}/` }),
    retried('connection_refused'),
  )
  assert.deepEqual(await tryOnce(t, { url: url.replace('http:', 'https:') }), retried('connection_reset'))
  assert.deepEqual(await tryOnce(t, { url, allow_private_address: false }), retried('destination_refused'))
  assert.deepEqual(await tryOnce(t, { url: 'http://nowhere.invalid/', timeout_ms: 5_000 }), retried('dns_error'))
})

test('at most once: a receiver that refuses, by its status or in words, is asked again', async (t) => {
  const busy = await startReceiver(t, (response) => void response.writeHead(503).end('busy'))
  assert.deepEqual(await tryOnce(t, { url: busy.url }), retried('http_error'))
  const wrong = await startReceiver(t, (response) => void response.end('error'))
  const success = { body: { not_contains: ['error'] } }
  assert.deepEqual(await tryOnce(t, { url: wrong.url, success }), retried('answer_not_accepted'))
})

test('at most once: a good status whose words, which decide, broke off says nothing', async (t) => {
  const { url } = await startReceiver(
    t,
    (response) => void response.writeHead(200, { 'content-length': 9 }).write('fi'),
  )
  assert.deepEqual(await tryOnce(t, { url, success: { body: { contains: ['fine'] } } }), gaveUp('body_broken'))
})

test('at most once: what our stop broke off is not sent again, but by hand it can be', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => void (position > 1 && response.end('ok')))
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, at_most_once: true, timeout_ms: 60_000 })])
  const delivery = await bench.start({ drainMs: 50 })
  await bench.enqueue([sampleCause()])
  await receiver.arrival(1)
  await delivery.stop()
  assert.deepEqual(await bench.rows(LAST), [gaveUp('interrupted')])
  const [{ delivery_id }] = (await bench.rows('SELECT delivery_id FROM deliveries')) as [{ delivery_id: bigint }]
  await replayDelivery(bench.pool, delivery_id)
  await bench.start()
  await bench.recorded(2)
  assert.equal(receiver.arrivals[0]!.headers['webhook-id'], receiver.arrivals[1]!.headers['webhook-id'])
  assert.deepEqual(await bench.rows(ENDS), [UNKNOWN, { state: 'delivered', reason: null }])
})

test('at most once: what a killed worker had under way ends with its reason, and the next worker sends the rest', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => void (position > 3 && response.end('ok')))
  const endpoint = localEndpoint({ url: receiver.url, at_most_once: true, max_concurrency: 3, timeout_ms: 60_000 })
  await using bench = await openBench(t, [endpoint])
  await bench.enqueue(manyCauses(8))
  const worker = await startWorkerProcess(t, { url: bench.url, snapshot: bench.snapshot(), leaseMs: 1_000 })
  await receiver.arrival(3)
  await worker.kill()
  await bench.start({ leaseMs: 400 })
  await bench.recorded(5)
  assert.equal(receiver.arrivals.length, 8)
  assert.equal(new Set(receiver.arrivals.map((arrival) => arrival.headers['webhook-id'])).size, 8)
  const ends = (await bench.rows(ENDS)).map((row) => row['reason'])
  assert.equal(ends.filter((reason) => reason === 'outcome_unknown').length, 3)
  assert.equal(ends.filter((reason) => reason === null).length, 5)
  assert.deepEqual(await bench.rows('SELECT FROM delivery_marks'), [])
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('a mark that a dead worker left on what may arrive once is taken by nobody; one of which the own worker is unsure, by it', async (t) => {
  await using bench = await openBench(t, [localEndpoint({})])
  const mark = { deliveryId: 1, endpointId: 'tracker', runAtMicros: 1e15, isOnce: true, isRepeat: false }
  await enterWorker(bench.pool, WORKER, 60_000)
  const count = async (isRepeat: boolean) => (await markUnderWay(bench.pool, WORKER, [{ ...mark, isRepeat }])).size
  assert.deepEqual([await count(false), await count(false), await count(true)], [1, 0, 1])
  await bench.pool.query("UPDATE delivery_workers SET lease_until = now() - interval '1 s'")
  await buryDeadWorkers(bench.pool, 0)
  await enterWorker(bench.pool, WORKER, 60_000)
  assert.deepEqual([await count(false), await count(true)], [0, 0])
})
