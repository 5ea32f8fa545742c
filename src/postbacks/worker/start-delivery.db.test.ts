import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { PostbackEndpoint } from '#routing'
import { listAttempts } from '../records/deliveries.ts'
import { LADDER_MS } from '../sending/decide-outcome.ts'
import { expireOld } from '../queue/housekeeping.ts'
import { readWaiting } from '../gate/waiting.ts'
import { buryDeadWorkers } from '../queue/ownership.ts'
import { reconcileDeliveries } from '../queue/reconcile-deliveries.ts'
import { replayDelivery } from '../replay/replay.ts'
import { RESPONSE_BYTES_MAX, RESPONSE_HEAD_BYTES } from '../sending/send-request.ts'
import { verifySignature } from '../sending/sign.ts'
import { localEndpoint, manyCauses, openBench, TEST_SECRET, type Bench } from '../test-bench.ts'
import { SAMPLE_CLICK_ID, sampleCause } from '../test-causes.ts'
import { startReceiver } from '../test-receiver.ts'

const FINALS = 'SELECT state, reason, attempts FROM delivery_ends ORDER BY delivery_id'
const ATTEMPTS = `
  SELECT *, extract(epoch FROM next_at - attempted_at) * 1000 - total_ms AS delay_ms
  FROM delivery_attempts ORDER BY delivery_id, attempted_at`
const DUE = 'UPDATE delivery_deferred SET run_at = now()'

/** Sends one message to an endpoint and gives the record of the try. */
async function tryOnce(
  t: TestContext,
  over: Partial<PostbackEndpoint>,
  options = {},
): Promise<Record<string, unknown>> {
  await using bench = await openBench(t, [localEndpoint(over)])
  await bench.start(options)
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  return (await bench.rows(ATTEMPTS))[0]!
}

/** A TCP server that does with each connection what the test says. @returns its URL */
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

test('sends the headers of the endpoint, filled once, and those of a signature that nobody can replace', async (t) => {
  const receiver = await startReceiver(t)
  const headers = {
    Authorization: 'Bearer {sub1}',
    'X-Status': '{status:sale=2}',
    'User-Agent': 'ours/1',
    'X-None': '{sub9}',
  }
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, method: 'POST', headers })])
  await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  const { headers: arrived } = receiver.arrivals[0]!
  assert.deepEqual(
    ['authorization', 'x-status', 'user-agent', 'x-none', 'content-type'].map((name) => arrived[name]),
    ['Bearer a b&c', '2', 'ours/1', undefined, 'application/json'],
  )
  assert.equal(verifySignature(receiver.arrivals[0]!, TEST_SECRET, Date.now()).kind, 'valid')
  const [{ delivery_id }] = (await bench.rows('SELECT delivery_id FROM deliveries')) as [{ delivery_id: bigint }]
  assert.equal((await replayDelivery(bench.pool, delivery_id)).kind, 'replayed')
  await bench.recorded(2)
  assert.equal(receiver.arrivals[1]!.headers['authorization'], 'Bearer a b&c')
})

test('delivers a GET with the right values, signed in its query, and records the attempt', async (t) => {
  const receiver = await startReceiver(t)
  const url = `${receiver.url}/pb?cid={click_id}&sum={payout}&st={status:lead=1 sale=2}&s1={sub1}&city={city}`
  await using bench = await openBench(t, [localEndpoint({ url })])
  const delivery = await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)

  const [arrival] = receiver.arrivals
  const values = new URLSearchParams(arrival!.requestTarget.split('?')[1])
  assert.equal(values.get('cid'), SAMPLE_CLICK_ID)
  assert.equal(values.get('sum'), '12.5')
  assert.equal(values.get('st'), '2')
  assert.equal(values.get('s1'), 'a b&c')
  assert.equal(values.get('city'), 'Muğla')
  assert.equal(values.get('event_id'), arrival!.headers['webhook-id'])
  assert.equal(verifySignature(arrival!, TEST_SECRET, Date.now()).kind, 'valid')
  assert.equal(verifySignature({ ...arrival!, headers: {} }, TEST_SECRET, Date.now()).kind, 'valid')

  assert.deepEqual(await bench.rows(FINALS), [{ state: 'delivered', reason: null, attempts: 1 }])
  const [attempt] = await bench.rows(ATTEMPTS)
  assert.equal(attempt!['outcome'], 'delivered')
  assert.equal(attempt!['http_status'], 200)
  assert.equal(attempt!['remote_address'], '127.0.0.1')
  assert.equal(String(attempt!['response_head']), 'ok')
  assert.equal(attempt!['response_bytes'], 2)
  assert.equal(attempt!['is_fenced'], false)
  assert.deepEqual(delivery.attempts(), { delivered: 1, retry: 0, gave_up: 0, late: 0 })
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('delivers a POST body with a Standard Webhooks signature', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [
    localEndpoint({ method: 'POST', url: receiver.url, body: '{"sum":{payout}}' }),
  ])
  await bench.start()
  await bench.enqueue([sampleCause()])
  const arrival = await receiver.arrival(1)
  assert.equal(String(arrival.body), '{"sum":12.5}')
  assert.equal(arrival.headers['content-type'], 'application/json')
  assert.equal(verifySignature(arrival, TEST_SECRET, Date.now()).kind, 'valid')
})

test('every attempt of the ladder has the same id, a row of its own and its delay; the last one ends it', async (t) => {
  const receiver = await startReceiver(t, (response) => void response.writeHead(500).end())
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, max_attempts: 4 })])
  await bench.start({ random: () => 0.5 })
  await bench.enqueue([sampleCause()])
  for (let made = 1; made <= 4; made++) {
    await bench.recorded(made)
    await bench.pool.query(DUE)
  }
  const attempts = await bench.rows(ATTEMPTS)
  assert.deepEqual(attempts.map((row) => [row['attempt_no'], row['outcome']]), [[1, 'retry'], [2, 'retry'], [3, 'retry'], [4, 'gave_up']]) // prettier-ignore
  for (const [index, row] of attempts.slice(0, 3).entries()) {
    assert.ok(Math.abs(Number(row['delay_ms']) - LADDER_MS[index]!) < 1_000, `delay ${String(row['delay_ms'])}`)
  }
  assert.equal(new Set(receiver.arrivals.map((arrival) => arrival.headers['webhook-id'])).size, 1)
  assert.deepEqual(await bench.rows(FINALS), [{ state: 'gave_up', reason: 'attempts_exhausted', attempts: 4 }])
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('a retry that is due goes out by itself and succeeds', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => void response.writeHead(position === 1 ? 503 : 200).end()) // prettier-ignore
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url })])
  await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  await bench.pool.query(DUE)
  await bench.recorded(2)
  assert.deepEqual(await bench.rows(FINALS), [{ state: 'delivered', reason: null, attempts: 2 }])
})

test('410 ends a delivery at once', async (t) => {
  const receiver = await startReceiver(t, (response) => void response.writeHead(410).end())
  const attempt = await tryOnce(t, { url: receiver.url })
  assert.deepEqual([attempt['outcome'], attempt['http_status'], attempt['next_at']], ['gave_up', 410, null])
})

test('200 with an error in its body is a failure where the endpoint says so, and all that is read of it is judged', async (t) => {
  const receiver = await startReceiver(
    t,
    (response) => void response.end(`${' '.repeat(RESPONSE_HEAD_BYTES)}Error: bad`),
  )
  const attempt = await tryOnce(t, { url: receiver.url, success: { body: { not_contains: ['error'] } } })
  assert.deepEqual(
    [attempt['outcome'], attempt['http_status'], attempt['error']],
    ['retry', 200, 'answer_not_accepted'],
  )
  assert.equal((attempt['response_head'] as Buffer).length, RESPONSE_HEAD_BYTES)
})

test('a status that the endpoint calls a success is one', async (t) => {
  const receiver = await startReceiver(t, (response) => void response.writeHead(404).end())
  const attempt = await tryOnce(t, { url: receiver.url, success: { statuses: ['200-299', '404'] } })
  assert.deepEqual([attempt['outcome'], attempt['http_status'], attempt['error']], ['delivered', 404, null])
})

test('webhook-delivery: abort-message ends a delivery, and of two lines of Retry-After the longer wait counts', async (t) => {
  const headers = { 'webhook-delivery': 'abort-message' }
  const stopping = await startReceiver(t, (response) => void response.writeHead(500, headers).end())
  assert.equal((await tryOnce(t, { url: stopping.url }))['outcome'], 'gave_up')
  const asking = await startReceiver(
    t,
    (response) => void response.writeHead(500, ['retry-after', '1', 'retry-after', '900']).end(),
  )
  assert.ok(Math.abs(Number((await tryOnce(t, { url: asking.url }))['delay_ms']) - 900_000) < 1_000)
})

test('while a secret is being replaced a POST is signed with both', async (t) => {
  const receiver = await startReceiver(t)
  const other = `whsec_${Buffer.alloc(24, 8).toString('base64')}`
  const rotation = { secret: other, previous_secret: TEST_SECRET, previous_secret_until: Date.now() + 60_000 }
  await tryOnce(t, { url: receiver.url, method: 'POST', ...rotation })
  for (const secret of [other, TEST_SECRET])
    assert.equal(verifySignature(receiver.arrivals[0]!, secret, Date.now()).kind, 'valid')
  await tryOnce(t, { url: receiver.url, method: 'POST', ...rotation, previous_secret_until: Date.now() - 1 })
  assert.equal(verifySignature(receiver.arrivals[1]!, TEST_SECRET, Date.now()).kind, 'invalid')
})

test('a redirect is a failure and is not followed', async (t) => {
  const target = await startReceiver(t)
  const receiver = await startReceiver(t, (response) => void response.writeHead(302, { location: target.url }).end())
  const attempt = await tryOnce(t, { url: receiver.url })
  assert.deepEqual([attempt['outcome'], attempt['http_status'], attempt['error']], ['retry', 302, 'redirect'])
  assert.equal(target.arrivals.length, 0)
})

test('the deadline covers a receiver that never answers', async (t) => {
  const url = await startSocketServer(t, () => undefined)
  const attempt = await tryOnce(t, { url, timeout_ms: 120 })
  assert.deepEqual([attempt['outcome'], attempt['http_status'], attempt['error']], ['retry', null, 'timeout'])
  assert.ok(Number(attempt['total_ms']) >= 119 && Number(attempt['total_ms']) < 2_000)
})

test('a body that never ends is cut off at the deadline; the status counts', async (t) => {
  const url = await startSocketServer(
    t,
    (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc'),
  )
  const attempt = await tryOnce(t, { url, timeout_ms: 120 })
  assert.deepEqual(
    [attempt['outcome'], attempt['error'], String(attempt['response_head'])],
    ['delivered', 'body_broken', 'abc'],
  )
})

test('headers that drip in do not outlast the deadline', async (t) => {
  const url = await startSocketServer(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n')
    const drip = setInterval(() => socket.write('x: y\r\n'), 20)
    socket.on('close', () => clearInterval(drip))
  })
  assert.equal((await tryOnce(t, { url, timeout_ms: 150 }))['error'], 'timeout')
})

test('a flood of 1xx answers is no answer', async (t) => {
  const url = await startSocketServer(t, (socket) => {
    const flood = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 10)
    socket.on('close', () => clearInterval(flood))
  })
  assert.equal((await tryOnce(t, { url, timeout_ms: 150 }))['error'], 'timeout')
})

test('an answer over the limit is cut off and only its head is kept', async (t) => {
  const receiver = await startReceiver(t, (response) => {
    const timer = setInterval(() => response.write('x'.repeat(16_384)), 1)
    response.on('close', () => clearInterval(timer))
  })
  const attempt = await tryOnce(t, { url: receiver.url })
  assert.deepEqual([attempt['outcome'], attempt['error']], ['delivered', 'body_too_large'])
  assert.equal((attempt['response_head'] as Buffer).length, RESPONSE_HEAD_BYTES)
  assert.ok(Number(attempt['response_bytes']) > RESPONSE_BYTES_MAX)
  assert.ok(Number(attempt['response_bytes']) < RESPONSE_BYTES_MAX + 70_000)
})

const raw = (text: string) => (socket: Socket) => void socket.end(text)
const failures: readonly (readonly [string, (socket: Socket) => void, string])[] = [
  ['closes without an answer', raw(''), 'connection_reset'],
  ['resets the connection', (socket) => void socket.resetAndDestroy(), 'connection_reset'],
  ['speaks no HTTP', raw('SSH-2.0-OpenSSH_9.9\r\n'), 'protocol_error'],
  ['sends huge headers', raw(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`), 'protocol_error'],
  ['breaks off in its headers', raw('HTTP/1.1 200 OK\r\ncontent-le'), 'connection_reset'],
]
for (const [what, serve, error] of failures) {
  test(`a receiver that ${what} is tried again`, async (t) => {
    const attempt = await tryOnce(t, { url: await startSocketServer(t, serve) })
    assert.deepEqual([attempt['outcome'], attempt['http_status'], attempt['error']], ['retry', null, error])
  })
}

test('an answer with a broken chunk counts by its status', async (t) => {
  const url = await startSocketServer(t, raw('HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'))
  const attempt = await tryOnce(t, { url })
  assert.deepEqual([attempt['outcome'], attempt['http_status'], attempt['error']], ['retry', 500, 'body_broken'])
})

test('nobody listens: connection_refused', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  assert.equal((await tryOnce(t, { url: `http://127.0.0.1:${port}/` }))['error'], 'connection_refused')
})

test('TLS to a plain port: tls_error', async (t) => {
  const receiver = await startReceiver(t)
  assert.equal((await tryOnce(t, { url: receiver.url.replace('http:', 'https:') }))['error'], 'tls_error')
})

test('a name that does not resolve: dns_error', async (t) => {
  const resolveHost = () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }))
  assert.equal((await tryOnce(t, { url: 'http://gone.example:8080/' }, { resolveHost }))['error'], 'dns_error')
})

test('a loopback address is refused without being contacted unless the endpoint may be private', async (t) => {
  const receiver = await startReceiver(t)
  const attempt = await tryOnce(t, { url: receiver.url, allow_private_address: false })
  assert.deepEqual(
    [attempt['outcome'], attempt['error'], attempt['error_detail']],
    ['retry', 'destination_refused', 'address'],
  )
  assert.equal(receiver.arrivals.length, 0)
})

/** A resolver that answers from a list, one answer per question. */
const answering = (...answers: readonly (readonly string[])[]) => {
  let asked = 0
  return () => Promise.resolve(answers[Math.min(asked++, answers.length - 1)]!)
}

test('a name that resolves to a private address, or to one among public ones, is refused', async (t) => {
  const receiver = await startReceiver(t)
  const url = receiver.url.replace('127.0.0.1', 'partner.example')
  for (const answer of [['127.0.0.1'], ['8.8.8.8', '127.0.0.1'], ['::ffff:127.0.0.1'], ['169.254.169.254']]) {
    const attempt = await tryOnce(t, { url, allow_private_address: false }, { resolveHost: answering(answer) })
    assert.equal(attempt['error'], 'destination_refused', answer.join())
  }
  assert.equal(receiver.arrivals.length, 0)
})

test('a name that changes to a private address between two tries is refused at the second', async (t) => {
  const receiver = await startReceiver(t)
  const url = receiver.url.replace('127.0.0.1', 'rebinding.example')
  await using bench = await openBench(t, [localEndpoint({ url, allow_private_address: false })])
  await bench.start({ resolveHost: answering([], ['127.0.0.1']) })
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  await bench.pool.query(DUE)
  const [first, second] = await bench.recorded(2)
  assert.deepEqual([first!.error, second!.error], ['dns_error', 'destination_refused'])
  assert.equal(receiver.arrivals.length, 0)
})

test('a name is asked once per connection: the answer that was checked is the one that is used', async (t) => {
  const receiver = await startReceiver(t)
  const url = receiver.url.replace('127.0.0.1', 'rebinding.example')
  const resolveHost = answering(['127.0.0.1'], ['169.254.169.254'])
  assert.equal((await tryOnce(t, { url }, { resolveHost }))['outcome'], 'delivered')
})

test('a kept connection of an endpoint that may be private does not serve one that may not', async (t) => {
  const receiver = await startReceiver(t)
  const url = receiver.url.replace('127.0.0.1', 'partner.example')
  const endpoints = [
    localEndpoint({ endpoint_id: 'inside', url, triggers: ['lead'] }),
    localEndpoint({ endpoint_id: 'outside', url, triggers: ['sale'], allow_private_address: false }),
  ]
  await using bench = await openBench(t, endpoints)
  await bench.start({ resolveHost: answering(['127.0.0.1']) })
  await bench.enqueue([sampleCause({ type: 'lead' })])
  await bench.recorded(1)
  await bench.enqueue([sampleCause({ conversionId: '01890a5d-ac96-774b-bcce-00000000000f' })])
  const tries = await bench.recorded(2)
  assert.deepEqual(tries.map((item) => [item.claimed.endpointId, item.error]), [['inside', undefined], ['outside', 'destination_refused']]) // prettier-ignore
  assert.equal(receiver.arrivals.length, 1)
})

test('a secret that cannot be used is a failed try, not a dead worker', async (t) => {
  const receiver = await startReceiver(t)
  const attempt = await tryOnce(t, { url: receiver.url, secret: 'nonsense' })
  assert.equal(attempt['error'], 'request_invalid')
  assert.match(String(attempt['error_detail']), /signing secret/)
  assert.doesNotMatch(String(attempt['error_detail']), /nonsense/)
})

test('an endpoint that hangs does not hold the others, nor more connections than its limit', async (t) => {
  let held = 0
  const slowUrl = await startSocketServer(t, () => void held++)
  const fast = await startReceiver(t)
  const endpoints = [
    localEndpoint({ endpoint_id: 'a-slow', url: slowUrl, timeout_ms: 60_000, max_concurrency: 3 }),
    localEndpoint({ endpoint_id: 'fast', url: `${fast.url}/?c={conversion_id}`, max_concurrency: 10 }),
  ]
  await using bench = await openBench(t, endpoints)
  await bench.enqueue(manyCauses(200))
  await bench.start({ concurrencyMax: 16 })
  const tries = await bench.recorded(200)
  assert.ok(tries.every((item) => item.claimed.endpointId === 'fast'))
  assert.equal(new Set(fast.arrivals.map((arrival) => arrival.requestTarget.slice(0, 60))).size, 200)
  assert.equal(held, 3)
})

test('an endpoint without a limit of its own holds a quarter of the slots at most', async (t) => {
  const held = Promise.withResolvers<void>()
  let connections = 0
  const url = await startSocketServer(t, () => void (++connections === 4 && held.resolve()))
  const fast = await startReceiver(t)
  await using bench = await openBench(t, [
    localEndpoint({ endpoint_id: 'a-slow', url, timeout_ms: 60_000, max_concurrency: 100 }),
    localEndpoint({ endpoint_id: 'fast', url: fast.url }),
  ])
  await bench.enqueue(manyCauses(30))
  await bench.start({ concurrencyMax: 16 })
  await Promise.all([held.promise, bench.recorded(30)])
  assert.equal(connections, 4)
})

test('several workers share the queue and none sends what another has', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, max_concurrency: 50 })])
  await Promise.all([bench.start(), bench.start(), bench.start()])
  await bench.enqueue(manyCauses(300))
  await bench.recorded(300)
  assert.equal(new Set(receiver.arrivals.map((arrival) => arrival.headers['webhook-id'])).size, 300)
  assert.equal(receiver.arrivals.length, 300)
  assert.equal(bench.lateCount(), 0)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

/** Lets workers lose their leases, as if they had been stopped for too long. */
/** Waits for so many rows of ends, or for 20 s. @returns how many there are */
async function endsOf(bench: Bench, sql: string, count: number): Promise<number> {
  const deadline = AbortSignal.timeout(20_000)
  for (;;) {
    const { length } = await bench.rows(sql)
    if (length >= count || deadline.aborted) return length
    await delay(20)
  }
}

const EXPIRE_LEASES = "UPDATE delivery_workers SET lease_until = now() - interval '1 s'"
const expireLeases = async (bench: Bench): Promise<void> => {
  // A worker that renews its lease in between is alive.
  do await bench.pool.query(EXPIRE_LEASES)
  while ((await buryDeadWorkers(bench.pool, 0)) === 0)
}

test('a request has the same headers with and without some of the endpoint, and says that it wants its answer as it is', async (t) => {
  const receiver = await startReceiver(t)
  const post = { method: 'POST', url: receiver.url, body: '{"sum":{payout}}' } as const
  const endpoints = [localEndpoint(post), localEndpoint({ ...post, endpoint_id: 'other', headers: { 'x-a': '1' } })]
  await using bench = await openBench(t, endpoints)
  await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(2)
  const [plain, own] = receiver.arrivals
    .map(({ headers }) => ({ ...headers, 'webhook-signature': '', 'webhook-id': '', 'webhook-timestamp': '' }))
    .toSorted((one) => ('x-a' in one ? 1 : -1))
  assert.deepEqual(own, { ...plain, 'x-a': '1' })
  assert.equal(receiver.arrivals[0]!.headers['accept-encoding'], 'identity')
})

test('a lost lease is taken over, and the late answer of the first worker decides nothing', async (t) => {
  const late = Promise.withResolvers<void>()
  const receiver = await startReceiver(t, (response, _arrival, position) => {
    if (position === 1) void late.promise.then(() => response.writeHead(500).end())
    else response.end('ok')
  })
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, timeout_ms: 60_000 })])
  await bench.start({ leaseMs: 80 })
  await bench.enqueue([sampleCause()])
  await receiver.arrival(1)
  await expireLeases(bench)
  await bench.recorded(1)
  late.resolve()
  await bench.recorded(2)
  assert.equal(bench.lateCount(), 1)
  assert.deepEqual(await bench.rows(FINALS), [{ state: 'delivered', reason: null, attempts: 1 }])
  const attempts = await bench.rows(ATTEMPTS)
  const fenced = new Map(attempts.map((row) => [row['http_status'], row['is_fenced']]))
  assert.deepEqual([attempts.length, fenced.get(200), fenced.get(500)], [2, false, true])
  assert.equal(receiver.arrivals[0]!.headers['webhook-id'], receiver.arrivals[1]!.headers['webhook-id'])
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('without the fence the same leads to two decisions, which the reconciliation finds', async (t) => {
  const late = Promise.withResolvers<void>()
  const receiver = await startReceiver(t, (response, _arrival, position) => {
    if (position === 1) void late.promise.then(() => response.writeHead(500).end())
    else response.end('ok')
  })
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, timeout_ms: 60_000 })])
  await bench.start({ leaseMs: 80, isLeaseFenced: false })
  await bench.enqueue([sampleCause()])
  await receiver.arrival(1)
  await expireLeases(bench)
  await bench.recorded(1)
  late.resolve()
  await bench.recorded(2)
  const found = (await reconcileDeliveries(bench.pool)).map((finding) => finding.check)
  assert.deepEqual(found, ['delivery_in_two_places', 'attempt_decided_twice'])
})

test('a delivery whose worker died is sent by the next one, and set aside after five deaths in a row', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url })])
  await bench.enqueue(manyCauses(2))
  // As a killed worker leaves them: all shards its own, both deliveries marked, one of them by the fifth in a row.
  await bench.pool.query(`
    INSERT INTO delivery_workers VALUES ('01890a5d-ac96-774b-bcce-000000000000', now() - interval '1 s');
    UPDATE delivery_shards SET worker_id = '01890a5d-ac96-774b-bcce-000000000000';
    INSERT INTO delivery_marks
    SELECT delivery_id, endpoint_id, run_at, '01890a5d-ac96-774b-bcce-000000000000',
      (row_number() OVER (ORDER BY delivery_id) = 1)::int * 3, false FROM delivery_ready`)
  await bench.start({ leaseMs: 80 })
  await bench.recorded(1)
  assert.deepEqual(await bench.rows(FINALS), [
    { state: 'quarantined', reason: 'crash_loop', attempts: 0 },
    { state: 'delivered', reason: null, attempts: 1 },
  ])
  assert.equal(receiver.arrivals.length, 1)
  assert.deepEqual(await bench.rows('SELECT delivery_id FROM delivery_marks'), [])
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('a paused endpoint keeps what waits and goes on when it is active again', async (t) => {
  const receiver = await startReceiver(t)
  const endpoint = localEndpoint({ url: receiver.url })
  const other = localEndpoint({ endpoint_id: 'other', url: receiver.url })
  await using bench = await openBench(t, [endpoint, other])
  await bench.enqueue([sampleCause()])
  bench.setEndpoints([{ ...endpoint, status: 'paused' }, other], 2)
  await bench.start()
  const [first] = await bench.recorded(1)
  assert.equal(first!.claimed.endpointId, 'other')
  bench.setEndpoints([endpoint, other], 3)
  await bench.recorded(2)
  assert.equal(receiver.arrivals.length, 2)
})

test('deliveries to an endpoint that was removed end with that reason; those of a newer configuration wait', async (t) => {
  const receiver = await startReceiver(t)
  const [kept, removed] = [
    localEndpoint({ url: receiver.url }),
    localEndpoint({ endpoint_id: 'gone', url: receiver.url }),
  ]
  await using bench = await openBench(t, [removed])
  bench.setEndpoints([removed], 5)
  await bench.enqueue([sampleCause()])
  bench.setEndpoints([removed], 7)
  await bench.enqueue([sampleCause({ revision: 2 })])
  bench.setEndpoints([kept], 6)
  await bench.enqueue([sampleCause()])
  await bench.start()
  await bench.recorded(1)
  while ((await bench.rows(FINALS)).length < 2);
  assert.deepEqual(await bench.rows(FINALS), [
    { state: 'gave_up', reason: 'endpoint_removed', attempts: 0 },
    { state: 'delivered', reason: null, attempts: 1 },
  ])
  assert.equal((await bench.rows('SELECT FROM delivery_ready')).length, 1)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('stop waits for the answer that is under way and records it', async (t) => {
  const answer = Promise.withResolvers<void>()
  const receiver = await startReceiver(t, (response) => void answer.promise.then(() => response.end('ok')))
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url })])
  const delivery = await bench.start({ drainMs: 10_000 })
  await bench.enqueue([sampleCause()])
  await receiver.arrival(1)
  const stopped = delivery.stop()
  answer.resolve()
  await stopped
  assert.deepEqual(await bench.rows(FINALS), [{ state: 'delivered', reason: null, attempts: 1 }])
})

test('stop breaks off what does not answer in time; it is due again at once', async (t) => {
  const receiver = await startReceiver(t, () => undefined)
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, max_attempts: 1, timeout_ms: 60_000 })])
  const delivery = await bench.start({ drainMs: 50 })
  await bench.enqueue([sampleCause()])
  await receiver.arrival(1)
  await delivery.stop()
  const [attempt] = await bench.rows(ATTEMPTS)
  assert.deepEqual([attempt!['outcome'], attempt!['error']], ['retry', 'interrupted'])
  assert.equal((await bench.rows('SELECT FROM delivery_deferred WHERE run_at <= now()')).length, 1)
})

test('with every connection cut again and again nothing is lost and the worker goes on', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, max_concurrency: 20 })])
  await bench.start({ leaseMs: 400 })
  // Both on the connection that is left: another one of the pool may be cut and not know it yet.
  const cut = async () => {
    const client = await bench.pool.connect()
    await client.query(`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`)
    await client.query(EXPIRE_LEASES)
    client.release()
  }
  for (let round = 0; round < 5; round++) {
    await bench.enqueue(manyCauses(40, { revision: round + 1 }))
    await receiver.arrival(round * 40 + 1)
    await cut()
  }
  await bench.recorded(200)
  // Left to itself from here on: who is taken for dead again and again comes to nothing.
  assert.equal(await endsOf(bench, 'SELECT FROM delivery_ends', 200), 200)
  assert.equal(new Set(receiver.arrivals.map((arrival) => arrival.headers['webhook-id'])).size, 200)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('a receiver that is down is left alone, then asked with one delivery at a time, which uses up no attempt', async (t) => {
  let isDown = true
  const receiver = await startReceiver(t, (response) => void response.writeHead(isDown ? 500 : 200).end())
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, max_concurrency: 1 })])
  await bench.start({ random: () => 0.5 })
  await bench.enqueue(manyCauses(30))
  await bench.recorded(10)
  // The tenth failure opens the breaker: twenty wait, and none of them is tried for five seconds.
  assert.equal(receiver.arrivals.length, 10)
  const waitsFor = async () => (await readWaiting(bench.pool, bench.snapshot().endpoints, Date.now())).get('tracker')
  while ((await waitsFor()) === undefined);
  const { reason, until } = (await waitsFor())!
  assert.equal(reason, 'receiver_down')
  assert.ok(until!.getTime() - Date.now() > 1_000 && until!.getTime() - Date.now() <= 5_100)
  await bench.recorded(11)
  assert.equal(receiver.arrivals.length, 11)
  const rows = await bench.rows('SELECT delivery_id FROM deliveries')
  const attempts = await listAttempts(bench.pool, rows.map((row) => row['delivery_id'] as bigint)) // prettier-ignore
  const probes = attempts.filter(({ is_probe }) => is_probe)
  assert.deepEqual(probes.map(({ attempt_no, outcome }) => [attempt_no, outcome]), [[1, 'retry']]) // prettier-ignore
  assert.deepEqual(await bench.rows('SELECT attempts, probes FROM delivery_deferred WHERE probes > 0'), [
    { attempts: 1, probes: 1 },
  ])
  isDown = false
  await bench.pool.query(DUE)
  await bench.recorded(41)
  assert.deepEqual(await bench.rows('SELECT state, count(*)::int FROM delivery_ends GROUP BY state'), [
    { state: 'delivered', count: 30 },
  ])
  while ((await waitsFor()) !== undefined);
})

test('an endpoint gets no more per minute than it wants', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [
    localEndpoint({ url: receiver.url, max_per_minute: 120, max_concurrency: 50 }),
  ])
  await bench.start()
  const from = performance.now()
  await bench.enqueue(manyCauses(5))
  await bench.recorded(5)
  assert.ok(performance.now() - from >= 1_400, 'two at once, then two a second')
})

test('what could not be delivered in time is given up, also where nothing is sent', async (t) => {
  await using bench = await openBench(t, [
    localEndpoint({ url: 'http://127.0.0.1:9/', status: 'paused', expires_hours: 2 }),
  ])
  await bench.enqueue([])
  await bench.pool.query(`
    INSERT INTO delivery_ready VALUES (1, now() - interval '3 hours', 'tracker', now(), 0, 0), (2, now(), 'tracker', now(), 0, 0);
    INSERT INTO delivery_deferred VALUES (3, now() - interval '121 minutes', 'tracker', now() + interval '1 hour', 4)`)
  assert.equal(await expireOld(bench.pool, [{ endpoint_id: 'tracker', expires_hours: 2 }], 10, []), 2)
  assert.deepEqual(await bench.rows(FINALS), [
    { state: 'gave_up', reason: 'expired', attempts: 0 },
    { state: 'gave_up', reason: 'expired', attempts: 4 },
  ])
  assert.equal((await bench.rows('SELECT FROM delivery_ready')).length, 1)
})

test('what expired while it waited is not sent, neither alone nor with others, and is given up within seconds', async (t) => {
  const receiver = await startReceiver(t)
  const alone = localEndpoint({ url: `${receiver.url}/alone`, expires_hours: 2, max_concurrency: 1 })
  const together = localEndpoint({
    ...{ endpoint_id: 'together', url: `${receiver.url}/together`, expires_hours: 2, method: 'POST', body: '{}' },
    ...{ content_type: 'application/json' },
    batch: { max_events: 10, max_bytes: 100_000, max_wait_ms: 100, format: 'json_array', wrapper_key: 'events' },
  })
  await using bench = await openBench(t, [alone, together])
  await bench.enqueue(manyCauses(10))
  await bench.pool.query(`
    SET session_replication_role = replica;
    UPDATE deliveries SET created_at = created_at - interval '3 hours' WHERE delivery_id <= 14;
    UPDATE delivery_ready SET created_at = created_at - interval '3 hours' WHERE delivery_id <= 14;
    RESET session_replication_role`)
  await bench.start()
  const inTime = 6
  await bench.recorded(inTime)
  await endsOf(bench, FINALS, 20)
  assert.equal((await bench.rows("SELECT FROM delivery_ends WHERE reason = 'expired' AND attempts = 0")).length, 14)
  assert.equal((await bench.rows('SELECT FROM delivery_attempts')).length, inTime)
  const paths = receiver.arrivals.map(({ requestTarget }) => requestTarget.split('?')[0])
  assert.equal(paths.filter((path) => path === '/alone').length, 3)
  assert.equal(paths.filter((path) => path === '/together').length, 1)
  assert.deepEqual(await reconcileDeliveries(bench.pool), [])
})

test('a worker whose clock is two hours ahead gives nothing up for it: the time is that of PostgreSQL', async (t) => {
  const receiver = await startReceiver(t, (response) => void response.writeHead(500).end())
  const clock = { now: () => Date.now() + 2 * 3_600_000 }
  const attempt = await tryOnce(t, { url: receiver.url, expires_hours: 1 }, { clock })
  assert.equal(attempt['outcome'], 'retry')
  assert.equal(verifySignature(receiver.arrivals[0]!, TEST_SECRET, Date.now()).kind, 'valid')
})

test('a receiver that only announces answers is broken off long before the deadline', async (t) => {
  const url = await startSocketServer(t, (socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(100)))
  })
  const attempt = await tryOnce(t, { url, timeout_ms: 30_000 })
  assert.deepEqual([attempt['outcome'], attempt['error'], attempt['http_status']], ['retry', 'protocol_error', null])
})

test("an endpoint on none of its advertiser's lists is refused, by name before anything is looked up and by address after", async (t) => {
  const receiver = await startReceiver(t)
  const url = receiver.url.replace('127.0.0.1', 'partner.example')
  const resolveHost = answering(['127.0.0.1'])
  const errorWith = async (postback_allow: PostbackEndpoint['postback_allow'] & object): Promise<unknown[]> => {
    const attempt = await tryOnce(t, { url, postback_allow }, { resolveHost })
    return [attempt['error'], attempt['error_detail']]
  }
  assert.deepEqual(await errorWith({ domains: ['other.example'] }), ['destination_refused', 'not_allowed'])
  assert.deepEqual(await errorWith({ addresses: ['127.0.0.2'] }), ['destination_refused', 'address 127.0.0.1 is not allowed']) // prettier-ignore
  assert.equal(receiver.arrivals.length, 0)
  assert.deepEqual(await errorWith({ domains: ['partner.example'], addresses: ['127.0.0.0/8'] }), [null, null])
  assert.equal(receiver.arrivals.length, 1)
})

test('a list of addresses opens nothing: a private address on it is still refused', async (t) => {
  const receiver = await startReceiver(t)
  const over = { url: receiver.url, allow_private_address: false, postback_allow: { addresses: ['127.0.0.1'] } }
  assert.equal((await tryOnce(t, over))['error'], 'destination_refused')
  assert.equal(receiver.arrivals.length, 0)
})
