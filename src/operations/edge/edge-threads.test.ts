import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { signPostback } from '#edge'
import { send } from '#edge/test-edge'
import { readConfig, type Config } from '#config'
import { openFileLog } from '#log'
import { newClickId } from '#platform/ids'
import { createLogLines } from '#platform/log-lines'
import { offer, snapshot } from '#routing/test-snapshots'
import { relayedSnapshots, type RelayedSnapshots } from '#snapshots'
import { withTempDir } from '#test-kit'

import { startEdgeThreads } from './edge-threads.ts'

const THREADS = 3
const logLines = createLogLines('test', 'silent')
const geo = { geoFiles: [], asnFile: new URL(import.meta.url).pathname }

type Threads = {
  readonly port: number
  readonly dataDir: string
  readonly snapshots: RelayedSnapshots
  readonly stop: () => Promise<void>
}

function configFor(dataDir: string, port: number): Config {
  return readConfig({
    WAYPOST_DATA_DIR: dataDir,
    WAYPOST_EDGE_HOST: '127.0.0.1',
    WAYPOST_EDGE_PORT: String(port),
    WAYPOST_EDGE_THREADS: String(THREADS),
    WAYPOST_LOG_LEVEL: 'silent',
    // Nothing of the edge's, but part of the configuration that its threads get.
    WAYPOST_POSTBACK_PROXY: 'http://user:word@proxy.example:3128',
  })
}

async function withThreads(t: TestContext, config = snapshot()): Promise<Threads> {
  const dataDir = withTempDir(t)
  const snapshots = relayedSnapshots(config)
  const edge = await startEdgeThreads({ config: configFor(dataDir, 0), geo, snapshots, logLines })
  let isStopped = false
  const stop = async (): Promise<void> => {
    if (!isStopped) await edge.stop()
    isStopped = true
  }
  t.after(stop)
  return { port: edge.port, dataDir, snapshots, stop }
}

/** Each on a connection of its own, which the kernel gives to any thread. */
const sendMany = (port: number, count: number, path: string): Promise<readonly number[]> =>
  Promise.all(Array.from({ length: count }, async () => (await send(port, path)).status))

async function recordCounts(dataDir: string): Promise<readonly number[]> {
  const log = await openFileLog({ directory: join(dataDir, 'log'), logLines })
  const partitions = await log.partitions()
  const counts = await Promise.all(partitions.map(async (partition) => (await log.bounds(partition)).nextOffset))
  await log.close()
  return counts
}

test('threads share a port, and each writes a partition of its own', async (t) => {
  const { port, dataDir, stop } = await withThreads(t)
  assert.deepEqual(new Set(await sendMany(port, 120, '/click?o=o1')), new Set([302]))
  await stop()
  const counts = await recordCounts(dataDir)
  assert.equal(counts.length, THREADS)
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    120,
  )
  assert.ok(
    counts.every((count) => count > 0),
    `120 connections went ${counts.join(', ')}`,
  )
})

test('whichever thread is asked counts the requests of all and says how many there are', async (t) => {
  const { port } = await withThreads(t)
  await sendMany(port, 60, '/click?o=o1')
  for (let asked = 0; asked < 12; asked++) {
    const { body } = await send(port, '/metrics')
    assert.match(body, /requests_total\{route="click",outcome="redirected"\} 60\n/)
    assert.match(body, /waypost_edge_threads 3\n/)
  }
})

test('a new configuration reaches every thread', async (t) => {
  const { port, snapshots } = await withThreads(t)
  assert.deepEqual(new Set(await sendMany(port, 30, '/click?o=o2')), new Set([404]))
  snapshots.take({ ...snapshot({ offers: [offer('o1'), offer('o2')] }), version: 2 })
  for (;;) {
    const { body } = await send(port, '/readyz')
    if ((JSON.parse(body) as { config_version: number }).config_version === 2) break
  }
  assert.deepEqual(new Set(await sendMany(port, 30, '/click?o=o2')), new Set([302]))
})

test('a signature counts once, whichever threads it comes to', async (t) => {
  const secret = 'sixteen-byte-key'
  const signed = offer('signed', { postback: { secrets: [], hmac_secrets: [secret], allowed_addresses: [] } })
  const { port } = await withThreads(t, snapshot({ offers: [signed] }))
  const timestamp = String(Math.floor(Date.now() / 1000))
  const query = `clickid=${newClickId(Date.now())}&status=sale&ts=${timestamp}`
  const sig = signPostback(secret, { timestamp, query, body: '' })
  const statuses = await sendMany(port, 30, `/postback?${query}&sig=${sig}`)
  assert.equal(statuses.filter((status) => status === 409).length, 29)
})

test('a port that another program listens on is told, and no thread is left behind', async (t) => {
  const server = createServer()
  server.listen({ host: '127.0.0.1', port: 0, reusePort: true })
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  const options = { config: configFor(withTempDir(t), port), geo, snapshots: relayedSnapshots(snapshot()), logLines }
  await assert.rejects(startEdgeThreads(options), { code: 'EADDRINUSE' })
})

test('two edges of a data directory share the port, and each thread of both writes a partition of its own', async (t) => {
  const first = await withThreads(t)
  const second = await startEdgeThreads({
    config: configFor(first.dataDir, first.port),
    geo,
    snapshots: relayedSnapshots(snapshot()),
    logLines,
  })
  assert.equal(second.port, first.port)
  assert.deepEqual(new Set(await sendMany(first.port, 240, '/click?o=o1')), new Set([302]))
  await first.stop()
  assert.deepEqual(new Set(await sendMany(first.port, 60, '/click?o=o1')), new Set([302]))
  await second.stop()
  const counts = await recordCounts(first.dataDir)
  assert.equal(counts.length, 2 * THREADS)
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    300,
  )
  assert.ok(
    counts.every((count) => count > 0),
    `300 connections went ${counts.join(', ')}`,
  )
})

test('edges of two data directories do not share a port', async (t) => {
  const { port } = await withThreads(t)
  const options = { config: configFor(withTempDir(t), port), geo, snapshots: relayedSnapshots(snapshot()), logLines }
  await assert.rejects(startEdgeThreads(options), { code: 'EADDRINUSE' })
})

test('a start that failed keeps neither the port nor a partition', async (t) => {
  const dataDir = withTempDir(t)
  const other = createServer().listen({ host: '127.0.0.1', port: 0, reusePort: true })
  await once(other, 'listening')
  const { port } = other.address() as { port: number }
  const options = { config: configFor(dataDir, port), geo, snapshots: relayedSnapshots(snapshot()), logLines }
  for (let attempt = 0; attempt < 2; attempt++) await assert.rejects(startEdgeThreads(options), { code: 'EADDRINUSE' })
  other.close()
  await once(other, 'close')
  const edge = await startEdgeThreads(options)
  await edge.stop()
  assert.equal((await recordCounts(dataDir)).length, THREADS)
})

test('clicks of an address are counted together, whichever threads they come to', async (t) => {
  const rates = { ip: { limit: 30, window_seconds: 60 } }
  const scored = snapshot({
    fraud: { rates, thresholds: { refuse: 100 }, scores: { ip_rate: 100, empty_user_agent: 0 } },
  })
  const { port } = await withThreads(t, scored)
  const statuses = await sendMany(port, 60, '/click?o=o1')
  assert.equal(statuses.filter((status) => status === 302).length, 30)
})
