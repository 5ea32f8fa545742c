import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { Pool } from '#platform/postgres'
import { givenSecretKeys, secretKeys, useSecretKeys } from '#secrets'
import { findDelivery, listDeliveries } from '../records/deliveries.ts'
import { maskHeaders } from '../messages/headers.ts'
import { replayDelivery } from '../replay/replay.ts'
import { resealHeaders } from '../messages/reseal-headers.ts'
import { verifySignature } from '../sending/sign.ts'
import { localEndpoint, openBench, TEST_SECRET } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startReceiver } from '../test-receiver.ts'

const KEY = 'receiver-key/Zq81'
const WRITTEN = [KEY, encodeURIComponent(KEY)]
const DELIVERY_TABLES = ['deliveries', 'delivery_attempts', 'delivery_ready', 'delivery_deferred', 'delivery_ends']

async function dump(pool: Pool): Promise<string> {
  const tables = await Promise.all(
    DELIVERY_TABLES.map((table) =>
      pool.query<{ text: string }>(`SELECT row_to_json(t)::text AS text FROM ${table} AS t`),
    ),
  )
  return tables.flatMap(({ rows }) => rows.map(({ text }) => text)).join('\n')
}

const hidesKey = (text: string): boolean => {
  const hex = Buffer.from(KEY).toString('hex')
  return ![...WRITTEN, hex].some((written) => text.includes(written))
}

test('a key goes out in URL, body and header, signed, and is in no table, though the receiver repeats all of it', async (t) => {
  const receiver = await startReceiver(t, (response, { requestTarget, headers, body }) => {
    response.writeHead(302, { location: requestTarget, 'x-got': String(headers['x-partner']) })
    response.end(`${requestTarget} ${String(headers['authorization'])} ${body.toString()}`)
  })
  const endpoint = localEndpoint({
    method: 'POST',
    url: `${receiver.url}/{secret.key}/in?k={secret.key}&sig={sig}`,
    body: '{"key":"{secret.key}","sum":{payout},"said":"{sub1}"}',
    headers: { Authorization: 'Bearer {secret.key}', 'X-Partner': '{secret.key}', 'X-Said': '{_sub1}' },
    secrets: { key: KEY },
  })
  await using bench = await openBench(t, [endpoint])
  await bench.start()
  await bench.enqueue([sampleCause({}, { sub1: '{secret.key}' })])
  await bench.recorded(1)
  const arrival = receiver.arrivals[0]!
  assert.match(arrival.requestTarget, /^\/receiver-key%2FZq81\/in\?k=receiver-key%2FZq81&sig=/)
  assert.deepEqual(
    ['authorization', 'x-partner', 'x-said'].map((name) => arrival.headers[name]),
    [`Bearer ${KEY}`, KEY, '{secret.key}'],
  )
  assert.deepEqual(JSON.parse(arrival.body.toString()), { key: KEY, sum: 12.5, said: '{secret.key}' })
  assert.equal(verifySignature(arrival, TEST_SECRET, Date.now()).kind, 'valid')

  const stored = await dump(bench.pool)
  assert.match(stored, /\{secret\.key\}/)
  assert.ok(hidesKey(stored))
  const [attempt] = await bench.rows('SELECT response_head, response_headers FROM delivery_attempts')
  assert.match(String(attempt!['response_head']), /\/\(secret\)\/in\?k=\(secret\).* \(secret\) \{/)
  assert.match(String(attempt!['response_headers']), /location: \/\(secret\)/)
  const [row] = await listDeliveries(bench.pool, {}, undefined, 10)
  assert.deepEqual(maskHeaders(row!.headers!), { authorization: '(secret)', 'x-partner': '{secret.key}', 'x-said': '{secret.key}' }) // prettier-ignore
})

test('a replay of an old message has the present secret, and one whose secret is gone is not sent', async (t) => {
  const receiver = await startReceiver(t)
  const endpoint = localEndpoint({ url: `${receiver.url}/?k={secret.key}`, secrets: { key: 'first' }, max_attempts: 1 })
  await using bench = await openBench(t, [endpoint])
  await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  const [{ delivery_id }] = (await bench.rows('SELECT delivery_id FROM deliveries')) as [{ delivery_id: bigint }]
  bench.setEndpoints([{ ...endpoint, secrets: { key: 'second' } }], 2)
  await replayDelivery(bench.pool, delivery_id)
  await bench.recorded(2)
  const { secrets: _secrets, ...without } = endpoint
  bench.setEndpoints([without], 3)
  await replayDelivery(bench.pool, delivery_id)
  await bench.recorded(3)
  assert.deepEqual(receiver.arrivals.map(({ requestTarget }) => /k=(\w+)/.exec(requestTarget)?.[1]), ['first', 'second']) // prettier-ignore
  const tries = await bench.rows('SELECT error, error_detail FROM delivery_attempts WHERE error IS NOT NULL')
  assert.deepEqual(tries, [{ error: 'request_invalid', error_detail: 'the endpoint has no secret "key" any more' }])
})

test('headers are stored sealed; those of before are sent and shown as they are', async (t) => {
  const receiver = await startReceiver(t)
  const endpoint = localEndpoint({ url: receiver.url, headers: { Authorization: `Bearer ${KEY}`, 'X-Sub': '{sub1}' } })
  await using bench = await openBench(t, [endpoint])
  await bench.enqueue([sampleCause(), sampleCause({ revision: 2 })])
  assert.ok(hidesKey(await dump(bench.pool)))
  const [one] = await bench.rows('SELECT delivery_id, headers FROM deliveries ORDER BY delivery_id')
  assert.match(String(one!['headers']), /^sealed:1:/)
  const plain = { authorization: 'Bearer of-before' }
  await bench.pool.query('UPDATE deliveries SET headers = $1 WHERE delivery_id = $2', [JSON.stringify(plain), one!['delivery_id']]) // prettier-ignore
  await bench.start()
  await bench.recorded(2)
  assert.deepEqual(new Set(receiver.arrivals.map(({ headers }) => headers['authorization'])), new Set([`Bearer ${KEY}`, 'Bearer of-before'])) // prettier-ignore
  assert.deepEqual((await findDelivery(bench.pool, one!['delivery_id'] as bigint))!.headers, plain)
})

test('headers without macros are sealed once for all messages, and anew where the key is another', async (t) => {
  const before = secretKeys()
  t.after(() => useSecretKeys(before))
  await using bench = await openBench(t, [localEndpoint({ headers: { 'X-Key': KEY } })])
  await bench.enqueue([sampleCause(), sampleCause({ revision: 2 })])
  useSecretKeys(givenSecretKeys([randomBytes(32).toString('base64')]))
  await bench.enqueue([sampleCause({ revision: 3 })])
  const rows = await bench.rows('SELECT headers FROM deliveries ORDER BY delivery_id')
  assert.deepEqual(rows.map(({ headers }) => headers === rows[0]!['headers']), [true, true, false]) // prettier-ignore
  assert.deepEqual((await listDeliveries(bench.pool, {}, undefined, 10))[0]!.headers, { 'x-key': KEY })
})

test('after a rotation the old key opens no header, and what waits is sent; without its key the rest is still shown', async (t) => {
  const before = secretKeys()
  t.after(() => useSecretKeys(before))
  const [earlier, later] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
  useSecretKeys(givenSecretKeys([earlier]))
  const receiver = await startReceiver(t)
  const endpoint = localEndpoint({ url: receiver.url, headers: { 'X-Sub': '{sub1}' } })
  await using bench = await openBench(t, [endpoint])
  await bench.enqueue([sampleCause()])

  useSecretKeys(givenSecretKeys([later]))
  assert.deepEqual((await listDeliveries(bench.pool, {}, undefined, 10))[0]!.headers, { '(sealed)': '(secret)' })

  useSecretKeys(givenSecretKeys([later, earlier]))
  assert.equal(await resealHeaders(bench.pool), 1)
  assert.equal(await resealHeaders(bench.pool), 0)
  useSecretKeys(givenSecretKeys([later]))
  await bench.start()
  await bench.recorded(1)
  assert.equal(receiver.arrivals[0]!.headers['x-sub'], 'a b&c')
})

test('a signature in a body is filled though the endpoint has another body by now', async (t) => {
  let answered = 0
  const receiver = await startReceiver(t, (response) => {
    answered += 1
    response.writeHead(answered === 1 ? 500 : 200).end()
  })
  const before = localEndpoint({ method: 'POST', url: receiver.url, body: '{"e":"{event_id}","s":"{sig}","t":"{ts}"}' })
  const { body: _body, ...rest } = before
  await using bench = await openBench(t, [before])
  await bench.start()
  await bench.enqueue([sampleCause()])
  await bench.recorded(1)
  bench.setEndpoints([rest], 2)
  await bench.pool.query('UPDATE delivery_deferred SET run_at = now()')
  await bench.recorded(2)
  const { s, t: at } = JSON.parse(receiver.arrivals[1]!.body.toString()) as { s: string; t: string }
  assert.match(s, /^[0-9a-f]{64}$/)
  assert.match(at, /^\d{10}$/)
})
