import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { sendAtConstantRate } from './constant-rate.ts'
import { httpText } from './load.ts'

const RATE = 200
const STALL_MS = 500

test('a stall of the server is charged to every request that was due in it, not to the one that was under way', async (t) => {
  let answered = 0
  let stalledUntil = 0
  const server = createServer((_request, response) => {
    answered += 1
    if (answered === RATE) stalledUntil = performance.now() + STALL_MS
    setTimeout(() => response.writeHead(302).end(), Math.max(0, stalledUntil - performance.now()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const result = await sendAtConstantRate({
    port,
    requests: [httpText({ method: 'GET', path: '/', headers: {} }, port)],
    requestsPerSecond: RATE,
    seconds: 2,
    warmUpSeconds: 0,
    connections: 1,
    status: 302,
  })
  assert.equal(result.answered, 2 * RATE)
  assert.equal(result.errors, 0)
  // A quarter of all requests was due within the half second: a closed loop would have one slow request in four hundred.
  assert.ok(result.p99_ms > STALL_MS * 0.8, `p99 ${result.p99_ms}`)
  assert.ok(result.max_ms >= STALL_MS * 0.95, `max ${result.max_ms}`)
  assert.ok(result.p50_ms < STALL_MS / 2, `p50 ${result.p50_ms}`)
})

test('an answer with another status is an error', async (t) => {
  const server = createServer((_request, response) => response.writeHead(503).end('no')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const request = httpText({ method: 'POST', path: '/event', headers: { a: 'b' }, body: '{}' }, port)
  const input = { port, requests: [request], requestsPerSecond: 100, warmUpSeconds: 0, seconds: 0.2, connections: 4 }
  assert.equal((await sendAtConstantRate({ ...input, status: 204 })).errors, 20)
})
