import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test, type TestContext } from 'node:test'
import { createHostResolver } from './resolve-host.ts'
import { localEndpoint, manyCauses, openBench } from '../test-bench.ts'
import { sampleCause } from '../test-causes.ts'
import { startNameServer } from './test-name-server.ts'
import { startTestProxy, type ProxyBehaviour, type TestProxy } from './test-proxy.ts'
import { startReceiver } from '../test-receiver.ts'

const PUBLIC = '93.184.216.34'

async function withProxy(t: TestContext, behaviour: ProxyBehaviour): Promise<TestProxy> {
  const proxy = await startTestProxy(behaviour)
  t.after(() => proxy.close())
  return proxy
}

/** Names that resolve to a public address, so that only the proxy leads to the receiver. */
async function withPublicNames(
  t: TestContext,
): Promise<{ readonly resolveHost: ReturnType<typeof createHostResolver> }> {
  const names = await startNameServer()
  t.after(() => names.close())
  names.answer('partner.test', [PUBLIC])
  return { resolveHost: createHostResolver({ nameServers: [names.address] }) }
}

const portOf = (url: string): number => Number(new URL(url).port)
const endpoint = (over = {}) =>
  localEndpoint({ url: 'http://partner.test:8080/pb', allow_private_address: false, ...over })
const LAST = 'SELECT * FROM delivery_attempts ORDER BY attempted_at DESC LIMIT 1'

test('a postback goes through the proxy, to the address that was checked, with its name as host', async (t) => {
  const receiver = await startReceiver(t)
  const proxy = await withProxy(t, { kind: 'tunnel', port: portOf(receiver.url) })
  const url = new URL(proxy.url)
  url.username = 'way post'
  url.password = 'p@ss:word'
  await using bench = await openBench(t, [endpoint()])
  await bench.start({ proxy: url, ...(await withPublicNames(t)) })
  await bench.enqueue(manyCauses(3))
  await bench.recorded(3)

  assert.equal(receiver.arrivals.length, 3)
  assert.equal(receiver.arrivals[0]!.headers.host, 'partner.test:8080')
  assert.equal(receiver.arrivals[0]!.headers['proxy-authorization'], undefined)
  assert.deepEqual([...new Set(proxy.targets())], [`${PUBLIC}:8080`])
  assert.match(proxy.requests[0]!, /\r\nProxy-Authorization: Basic d2F5IHBvc3Q6cEBzczp3b3Jk\r\n/)
  const [attempt] = await bench.rows(LAST)
  assert.deepEqual([attempt!['outcome'], attempt!['remote_address']], ['delivered', PUBLIC])
})

test('an endpoint may go without the proxy, and one that must go through it goes nowhere without', async (t) => {
  const receiver = await startReceiver(t)
  const proxy = await withProxy(t, { kind: 'status', status: 500 })
  await using bench = await openBench(t, [localEndpoint({ url: receiver.url, via_proxy: false })])
  await bench.start({ proxy: proxy.url })
  await bench.enqueue([sampleCause()])
  assert.equal((await bench.recorded(1))[0]!.outcome, 'delivered')
  assert.equal(proxy.requests.length, 0)

  await using alone = await openBench(t, [localEndpoint({ url: receiver.url, via_proxy: true })])
  await alone.start()
  await alone.enqueue([sampleCause()])
  const [attempt] = await alone.recorded(1)
  assert.deepEqual([attempt!.error, attempt!.errorDetail], ['proxy_error', 'the proxy: no proxy is configured'])
  assert.equal(receiver.arrivals.length, 1)
})

const failures: Readonly<Record<string, readonly [ProxyBehaviour, string]>> = {
  'wants a password': [{ kind: 'status', status: 407 }, 'it answered 407'],
  'refuses the tunnel': [{ kind: 'status', status: 403 }, 'it answered 403'],
  'has an error': [{ kind: 'status', status: 500 }, 'it answered 500'],
  'talks nonsense': [{ kind: 'say', text: 'SSH-2.0-OpenSSH\r\n\r\n' }, 'its answer is no HTTP'],
  'never ends its answer': [{ kind: 'say', text: `HTTP/1.1 200 ${'x'.repeat(9_000)}` }, 'its answer is too long'],
  'hangs up': [{ kind: 'hang_up' }, 'it closed the connection without an answer'],
}
for (const [what, [behaviour, why]] of Object.entries(failures)) {
  test(`a proxy that ${what} is no failure of the receiver`, async (t) => {
    const proxy = await withProxy(t, behaviour)
    await using bench = await openBench(t, [endpoint()])
    await bench.start({ proxy: proxy.url, ...(await withPublicNames(t)) })
    await bench.enqueue([sampleCause()])
    const [attempt] = await bench.recorded(1)
    assert.deepEqual([attempt!.error, attempt!.outcome], ['proxy_error', 'retry'])
    assert.match(attempt!.errorDetail!, new RegExp(why))
  })
}

test('a proxy that is down uses up no attempt, opens no breaker, and what waited is delivered when it is back', async (t) => {
  const receiver = await startReceiver(t)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  await using bench = await openBench(t, [endpoint({ max_attempts: 2 })])
  const names = await withPublicNames(t)
  const down = await bench.start({ proxy: new URL(`http://127.0.0.1:${port}/`), ...names, random: () => 0.5 })
  await bench.enqueue(manyCauses(12))
  for (const tries of [12, 24, 36]) {
    await bench.recorded(tries)
    await bench.pool.query('UPDATE delivery_deferred SET run_at = now()')
  }
  // Twelve tries at once that failed would open a breaker: the third round would be probes, ten minutes apart in the end.
  await bench.recorded(48)
  await down.stop()
  assert.deepEqual(await bench.rows('SELECT DISTINCT error, is_probe FROM delivery_attempts'), [{ error: 'proxy_error', is_probe: false }]) // prettier-ignore
  assert.deepEqual(await bench.rows('SELECT * FROM delivery_ends'), [])

  const proxy = await withProxy(t, { kind: 'tunnel', port: portOf(receiver.url) })
  await bench.start({ proxy: proxy.url, ...names })
  await bench.pool.query('UPDATE delivery_deferred SET run_at = now()')
  await bench.recorded(60)
  assert.deepEqual(await bench.rows('SELECT state, count(*)::int FROM delivery_ends GROUP BY 1'), [{ state: 'delivered', count: 12 }]) // prettier-ignore
})

test('a receiver that the proxy cannot reach has failed itself', async (t) => {
  for (const status of [502, 503, 504]) {
    const proxy = await withProxy(t, { kind: 'status', status })
    await using bench = await openBench(t, [endpoint({ max_attempts: 1 })])
    await bench.start({ proxy: proxy.url, ...(await withPublicNames(t)) })
    await bench.enqueue([sampleCause()])
    const [attempt] = await bench.recorded(1)
    assert.deepEqual([attempt!.error, attempt!.outcome], ['network_unreachable', 'gave_up'])
  }
})

test('the deadline holds for a proxy that never opens the tunnel', async (t) => {
  const proxy = await withProxy(t, { kind: 'hang' })
  await using bench = await openBench(t, [endpoint({ timeout_ms: 200 })])
  await bench.start({ proxy: proxy.url, ...(await withPublicNames(t)) })
  await bench.enqueue([sampleCause()])
  const [attempt] = await bench.recorded(1)
  assert.equal(attempt!.error, 'timeout')
  assert.ok(attempt!.totalMs < 1_000)
})
