import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { listAttempts } from '../records/deliveries.ts'
import { createHostResolver } from './resolve-host.ts'
import { localEndpoint, manyCauses, openBench, type Bench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { withCertificate } from './test-certificate.ts'
import { startNameServer } from './test-name-server.ts'
import { startReceiver } from '../test-receiver.ts'

const TIMES = `
  SELECT dns_ms, connect_ms, tls_ms, tls_version, is_reused, first_byte_ms, total_ms, host(remote_address) AS remote_address
  FROM delivery_attempts ORDER BY delivery_id, attempted_at`

/** Sends messages one after the other. */
async function sendInTurn(bench: Bench, count: number): Promise<Record<string, unknown>[]> {
  for (const [index, cause] of manyCauses(count).entries()) {
    await bench.enqueue([cause])
    await bench.recorded(index + 1)
  }
  return bench.rows(TIMES)
}

test('the first try on a connection tells how long name, connection and TLS took; the next one that it found it open', async (t) => {
  const certificate = withCertificate(t, 'partner.test')
  if (certificate === undefined) return
  const server = createServer(certificate, (_request, response) => void response.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const names = await startNameServer()
  t.after(() => names.close())
  names.answer('partner.test', ['127.0.0.1'])
  const url = `https://partner.test:${(server.address() as AddressInfo).port}/`
  await using bench = await openBench(t, [localEndpoint({ url })])
  await bench.start({ resolveHost: createHostResolver({ nameServers: [names.address] }) })
  const [first, second] = await sendInTurn(bench, 2)

  for (const part of ['dns_ms', 'connect_ms', 'tls_ms']) assert.ok(Number.isInteger(first![part]), part)
  assert.ok(Number(first!['dns_ms']) + Number(first!['connect_ms']) + Number(first!['tls_ms']) <= Number(first!['first_byte_ms']) + 2) // prettier-ignore
  assert.deepEqual([first!['tls_version'], first!['is_reused'], first!['remote_address']], ['TLSv1.3', false, '127.0.0.1']) // prettier-ignore
  assert.deepEqual(
    ['dns_ms', 'connect_ms', 'tls_ms', 'tls_version', 'is_reused', 'remote_address'].map((name) => second![name]),
    [null, null, null, 'TLSv1.3', true, '127.0.0.1'],
  )
})

test('where the URL has an address there is no time for a name, and none for TLS on plain HTTP', async (t) => {
  const receiver = await startReceiver(t)
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url })])
  await bench.start()
  const [first] = await sendInTurn(bench, 1)
  assert.deepEqual([first!['dns_ms'], first!['tls_ms'], first!['tls_version'], first!['is_reused']], [null, null, null, false]) // prettier-ignore
  assert.ok(Number.isInteger(first!['connect_ms']))
})

test('a try that reached nobody has no connection', async (t) => {
  await using bench = await openBench(t, [localEndpoint({ url: 'http://127.0.0.1:1/', allow_private_address: false })])
  await bench.start()
  const [first] = await sendInTurn(bench, 1)
  assert.deepEqual([first!['connect_ms'], first!['is_reused'], first!['remote_address']], [null, null, null])
})

test('headers are kept of an answer that is no success, what may be a secret masked, 2 KiB at most', async (t) => {
  const receiver = await startReceiver(t, (response, _arrival, position) => {
    response.setHeader('set-cookie', ['session=s3cr3t', 'other=s3cr3t'])
    response.setHeader('x-api-key', 's3cr3t')
    response.setHeader('x-why', 'quota')
    if (position === 2) response.setHeader('x-long', 'x'.repeat(4_000))
    response.writeHead(position === 3 ? 200 : 429).end()
  })
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url })])
  await bench.start()
  await bench.enqueue([sampleCause()])
  for (let made = 1; made <= 3; made++) {
    const completions = await bench.recorded(made)
    await bench.pool.query('UPDATE delivery_deferred SET run_at = now()')
    if (made < 3) continue
    const tries = await listAttempts(bench.pool, [BigInt(completions[0]!.claimed.deliveryId)])
    assert.match(tries[0]!.response_headers!, /^set-cookie: \(secret\)\nset-cookie: \(secret\)\nx-api-key: \(secret\)\nx-why: quota\n/m) // prettier-ignore
    assert.equal(tries[1]!.response_headers!.length, 2_048)
    assert.equal(tries[2]!.response_headers, null)
    assert.doesNotMatch(JSON.stringify(tries, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)), /s3cr3t/) // prettier-ignore
  }
})
