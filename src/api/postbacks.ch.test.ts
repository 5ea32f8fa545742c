import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'

import { applyConfiguration } from '#configuration'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { runReplays, startDelivery, watchTries } from '#postbacks'
import { followSnapshots } from '#snapshots'
import { withTempDir } from '#test-kit'

import { clickWith, eventWith, withApi, type Answer, type TestApi } from './test-api.ts'

type Json = Record<string, unknown>
const itemsOf = ({ body }: Answer): readonly Json[] => body['items'] as readonly Json[]

/** Waits for what another connection brings about. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve))
}

const logLines = createLogLines('test', 'silent')

/** A receiver on loopback, an endpoint of acme's that leads to it, and a worker. */
async function withDelivery(
  t: TestContext,
  answer: (response: ServerResponse, position: number) => void,
): Promise<TestApi> {
  let position = 0
  const receiver = createServer((request, response) => request.resume().on('end', () => answer(response, ++position)))
  receiver.listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  t.after(() => receiver.close())
  const { port } = receiver.address() as AddressInfo
  const api = await withApi(t)
  const applied = await applyConfiguration(
    api.pool,
    `endpoints: { local: { advertiser_id: acme, allow_private_address: true, url: "http://127.0.0.1:${port}/k3yk3y99/pb?token=hush&cid={click_id}&p={payout}" } }`,
    { by: 'test', clock: systemClock },
  )
  assert.equal(applied.kind, 'applied', JSON.stringify(applied))
  const snapshots = followSnapshots({ databaseUrl: api.databaseUrl, cacheFile: `${withTempDir(t)}/s.json`, logLines, clock: systemClock }) // prettier-ignore
  await snapshots.firstLook()
  const tries = watchTries({ pool: api.pool, logLines })
  const delivery = startDelivery({ pool: api.pool, snapshots, clock: systemClock, logLines, drainMs: 500, onRecorded: tries.onRecorded }) // prettier-ignore
  const replays = runReplays({ pool: api.pool, logLines })
  const stop = async () => {
    await Promise.all([delivery.stop(), replays.stop(), tries.stop(), snapshots.stop()])
    receiver.closeAllConnections()
  }
  // Before the engines end, which were opened first.
  t.after(stop)
  const end = api.pool.end.bind(api.pool)
  api.pool.end = (async () => {
    await stop()
    await end()
  }) as typeof api.pool.end
  await until(async () => (await api.ask('/readyz')).body['config_version'] === applied.version)
  return api
}

test('a test of an endpoint answers with the masked request and what the receiver said', async (t) => {
  const { ask, feed } = await withDelivery(t, (response) => response.writeHead(418).end('I am a teapot'))
  const made = await ask('/v1/endpoints/local/test', { method: 'POST' })
  assert.equal(made.status, 201, made.text)
  const request = made.body['request'] as Json
  const attempt = made.body['attempt'] as Json
  assert.match(String(request['url']), /^http:\/\/127\.0\.0\.1:\d+\/\*\*\*\/pb\?token=\*\*\*&cid=[0-9a-f-]{36}&p=1$/)
  assert.doesNotMatch(made.text, /hush|k3yk3y/)
  assert.deepEqual([attempt['http_status'], attempt['response_head'], attempt['remote_address']], [418, 'I am a teapot', '127.0.0.1']) // prettier-ignore
  assert.deepEqual([typeof attempt['total_ms'], attempt['next_at']], ['number', null])
  const shown = await ask(`/v1/deliveries/${String(made.body['delivery_id'])}`)
  assert.deepEqual([shown.body['state'], shown.body['kind']], ['cancelled', 'test'], 'a test is tried once')

  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'deposit', { txid: '1' })])
  const ofClick = await ask(`/v1/endpoints/local/test?click_id=${click.click_id}`, { method: 'POST' })
  assert.match(ofClick.text, new RegExp(`cid=${click.click_id}&p=1"`))
  const [conversion] = itemsOf(await ask('/v1/conversions'))
  const ofConversion = await ask(`/v1/endpoints/local/test?conversion_id=${String(conversion!['conversion_id'])}`, { method: 'POST' }) // prettier-ignore
  assert.match(ofConversion.text, new RegExp(`cid=${click.click_id}&p=30"`))
  for (const query of [`click_id=${String(conversion!['conversion_id'])}`, `conversion_id=${click.click_id}`])
    assert.equal((await ask(`/v1/endpoints/local/test?${query}`, { method: 'POST' })).status, 404, query)
})

test("a test tells nothing of another tenant's click or conversion", async (t) => {
  const { ask, feed, keyFor } = await withDelivery(t, (response) => response.end())
  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'deposit', { txid: '1' })])
  const [conversion] = itemsOf(await ask('/v1/conversions'))
  const key = await keyFor({ role: 'advertiser', advertiser_id: 'globex' }, ['read', 'write'])
  for (const query of [`click_id=${click.click_id}`, `conversion_id=${String(conversion!['conversion_id'])}`])
    assert.equal((await ask(`/v1/endpoints/globexs-crm/test?wait_ms=0&${query}`, { key, method: 'POST' })).status, 404)
  assert.equal((await ask('/v1/endpoints/local/test?wait_ms=0', { key, method: 'POST' })).status, 404)
  // Not for the owner either: whoever the endpoint belongs to would read it.
  const asOwner = await ask(`/v1/endpoints/globexs-crm/test?wait_ms=0&click_id=${click.click_id}`, { method: 'POST' })
  assert.equal(asOwner.status, 409)
  assert.match(asOwner.text, /belongs to globex/)
})

test('a cursor of another list, or one that was changed, is refused', async (t) => {
  const { ask } = await withDelivery(t, (response) => response.end())
  const cursorOf = (id: string): string => Buffer.from(`kf12oi.${id}`).toString('base64url')
  const uuid = '01a2021a-accd-7f50-a337-7fb34fe2dd61'
  for (const [path, ids] of [
    ['/v1/deliveries', [uuid, `${uuid}~local`, '9223372036854775808']],
    ['/v1/notices', [uuid, '9223372036854775808']],
    ['/v1/replays', ['17', `${uuid}~local`]],
    ['/v1/why-not', ['17', uuid]],
    ['/v1/conversions', ['17', `${uuid}~local`]],
    ['/v1/inbound-postbacks', ['17', `${uuid}~local`]],
    ['/v1/jobs', ['17']],
    ['/v1/saved-reports', ['17']],
    ['/v1/report-schedules', ['17']],
    ['/v1/api-keys', ['17']],
    ['/v1/costs', ['17']],
  ] as const)
    for (const id of ids) assert.equal((await ask(`${path}?cursor=${cursorOf(id)}`)).status, 400, `${path} ${id}`)
  assert.equal((await ask(`/v1/deliveries?cursor=${cursorOf('17')}`)).status, 200)
})

test('a delivery page has the masked request and every try', async (t) => {
  const { ask, feed, pool } = await withDelivery(t, (response, position) => void response.writeHead(position === 1 ? 503 : 200).end('ok')) // prettier-ignore
  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'deposit', { txid: '1' })])
  const find = async (query: string) => itemsOf(await ask(`/v1/deliveries?endpoint_id=local&${query}`))
  await until(async () => (await find('http_status=503')).length === 1)
  assert.equal((await find('error=http_error')).length, 1)
  assert.equal((await find('error=timeout')).length, 0)
  assert.equal((await find('cause=sale&campaign_id=acme-main')).length, 1)
  assert.equal((await find('cause=lead')).length, 0)
  await pool.query('UPDATE delivery_deferred SET run_at = now()')
  await until(async () => (await find('state=delivered')).length === 1)
  const [row] = await find('')
  const page = await ask(`/v1/deliveries/${String(row!['delivery_id'])}`)
  const tries = page.body['tries'] as readonly Json[]
  assert.deepEqual(tries.map((one) => [one['attempt_no'], one['http_status'], one['is_probe'], one['is_fenced']]), [[1, 503, false, false], [2, 200, false, false]]) // prettier-ignore
  assert.equal((page.body['request'] as Json)['method'], 'GET')
  for (const text of [page.text, (await ask('/v1/deliveries')).text, (await ask(`/v1/clicks/${click.click_id}`)).text])
    assert.doesNotMatch(text, /hush|k3yk3y/)
})

test('endpoints show what waits, how tries went and the last error, each tenant its own', async (t) => {
  const { ask, feed, keyFor, pool } = await withDelivery(t, (response) => response.writeHead(500).end('no'))
  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'deposit', { txid: '1' })])
  await until(async () => {
    const { rows } = await pool.query(`SELECT FROM delivery_deferred WHERE endpoint_id = 'local'`)
    return rows.length === 1
  })
  await pool.query(`
    INSERT INTO delivery_endpoint_spans VALUES ('local', 5, now(), 3, 1, 0, '{0,0,4}'), ('local', 60, now(), 3, 1, 0, '{0,0,4}');
    INSERT INTO delivery_endpoint_lasts VALUES ('local', now(), now(), 7, 500, 'http_error', NULL)`)
  const { body, status, text } = await ask('/v1/endpoints/local')
  assert.equal(status, 200, text)
  const waiting = body['waiting'] as Json
  assert.deepEqual([waiting['ready'], waiting['deferred']], [0, 1])
  assert.ok(Number(waiting['oldest_age_seconds']) >= 0)
  assert.deepEqual((body['last_hour'] as Json)['success_rate'], 0.75)
  assert.deepEqual((body['last_day'] as Json)['attempts'], 4)
  assert.equal((body['last_error'] as Json)['error'], 'http_error')
  assert.doesNotMatch(text, /hush|k3yk3y/)
  const idsFor = async (key: string | undefined) =>
    itemsOf(await ask('/v1/endpoints', { key })).map((item) => item['endpoint_id'])
  assert.deepEqual(await idsFor(undefined), ['acmes-crm', 'annas-tracker', 'globexs-crm', 'local'])
  assert.deepEqual(await idsFor(await keyFor({ role: 'advertiser', advertiser_id: 'globex' })), ['globexs-crm'])
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  assert.deepEqual(await idsFor(anna), ['annas-tracker'])
  assert.equal((await ask('/v1/endpoints/local', { key: anna })).status, 404)
  assert.doesNotMatch((await ask('/v1/endpoints/annas-tracker', { key: anna })).text, /"url"/)
  const first = await ask('/v1/endpoints?limit=3')
  const rest = await ask(`/v1/endpoints?limit=3&cursor=${String(first.body['next_cursor'])}`)
  assert.deepEqual([itemsOf(first).length, itemsOf(rest).map((item) => item['endpoint_id'])], [3, ['local']])
})

test('what was not sent is listed with its reason, filtered and page by page', async (t) => {
  const { ask, feed, pool, keyFor } = await withApi(t)
  await applyConfiguration(pool, 'endpoints: { local: { advertiser_id: acme, status: paused, url: "https://x.example/" } }', { by: 'test', clock: systemClock }) // prettier-ignore
  await until(async () => (await ask('/v1/endpoints/local/test', { method: 'POST' })).status === 409)
  const clicks = Array.from({ length: 5 }, () => clickWith())
  await feed([...clicks, ...clicks.map(({ click_id }) => eventWith(click_id, 'deposit', { txid: '1' }))])
  const all = itemsOf(await ask('/v1/why-not'))
  assert.deepEqual([all.length, all[0]!['reason'], typeof all[0]!['meaning']], [5, 'endpoint_paused', 'string'])
  const paged: unknown[] = []
  let cursor: unknown = ''
  while (cursor !== null) {
    const page = await ask(`/v1/why-not?limit=2${cursor === '' ? '' : `&cursor=${String(cursor)}`}`)
    paged.push(...itemsOf(page).map((item) => item['event_id']))
    cursor = page.body['next_cursor']
  }
  assert.deepEqual(paged, all.map((item) => item['event_id'])) // prettier-ignore
  const count = async (query: string, key?: string) => itemsOf(await ask(`/v1/why-not?${query}`, { key })).length
  assert.equal(await count('endpoint_id=local&reason=endpoint_paused&cause=sale'), 5)
  assert.equal(await count(`click_id=${clicks[0]!.click_id}`), 1)
  assert.equal(await count(`conversion_id=${String(all[0]!['conversion_id'])}`), 1)
  assert.equal(await count('endpoint_id=acmes-crm'), 0)
  assert.equal(await count('reason=rule_not_met'), 0)
  assert.equal(await count('from=2999-01-01T00:00:00Z'), 0)
  assert.equal(await count('', await keyFor({ role: 'advertiser', advertiser_id: 'globex' })), 0)
  assert.equal(await count('advertiser_id=acme', await keyFor({ role: 'affiliate', affiliate_id: 'anna' })), 0)
  assert.equal((await ask('/v1/why-not?cursor=MS4x')).status, 400)
})

test('a replay is counted first, runs to its end, and is shown to whose it is', async (t) => {
  const { ask, feed, keyFor } = await withDelivery(t, (response, position) => void response.writeHead(position <= 3 ? 410 : 200).end()) // prettier-ignore
  const clicks = Array.from({ length: 3 }, () => clickWith())
  await feed([...clicks, ...clicks.map(({ click_id }) => eventWith(click_id, 'deposit', { txid: '1' }))])
  const ended = async (state: string) => itemsOf(await ask(`/v1/deliveries?endpoint_id=local&state=${state}`)).length
  await until(async () => (await ended('gave_up')) === 3)
  const key = await keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  const body = { filter: { from: '2020-01-01T00:00:00Z', endpoint_id: 'local', state: 'gave_up' }, per_minute: 60_000 }
  const dry = await ask('/v1/replays', { key, method: 'POST', body })
  assert.deepEqual([dry.status, dry.body], [200, { dry_run: true, replayed: 3, skipped: {}, is_cut: false }])
  const begun = await ask('/v1/replays?dry_run=false', { key, method: 'POST', body })
  assert.equal(begun.status, 201, begun.text)
  const path = `/v1/replays/${String(begun.body['replay_id'])}`
  await until(async () => (await ask(path, { key })).body['state'] === 'done')
  await until(async () => (await ended('delivered')) === 3)
  const done = (await ask(path, { key })).body
  assert.deepEqual([done['replayed'], done['progress'], done['created_by']], [3, 1, 'test'])
  assert.equal((await ask(`${path}/cancel`, { key, method: 'POST' })).body['state'], 'done')
  assert.equal(itemsOf(await ask('/v1/replays?state=done', { key })).length, 1)
  const other = await keyFor({ role: 'advertiser', advertiser_id: 'globex' }, ['read', 'write'])
  assert.equal((await ask(path, { key: other })).status, 404)
  assert.equal((await ask(`${path}/cancel`, { key: other, method: 'POST' })).status, 404)
  assert.equal(itemsOf(await ask('/v1/replays', { key: other })).length, 0)
  const foreign = await ask('/v1/replays', { key: other, method: 'POST', body })
  assert.equal(foreign.body['replayed'], 0)
})
