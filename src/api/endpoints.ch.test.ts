import assert from 'node:assert/strict'
import { test } from 'node:test'

import { clickWith, eventWith, NOW_MS, withApi, type Answer } from './test-api.ts'

type Json = Record<string, unknown>
const itemsOf = ({ body }: Answer): Json[] => body['items'] as Json[]
const codeOf = ({ body }: Answer): unknown => (body['error'] as Json)['code']

test('what is paused is listed, is the reason why deliveries wait, and is resumed', async (t) => {
  const { ask, feed, pool } = await withApi(t)
  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'reg')])
  const body = { object: 'affiliate', object_id: 'anna', note: 'fraud?' }
  const paused = await ask('/v1/pauses', { method: 'POST', body })
  assert.equal(paused.status, 201)
  assert.deepEqual(paused.body, { ...body, paused_at: paused.body['paused_at'], paused_by: 'API key test', held: 0 })
  assert.deepEqual(itemsOf(await ask('/v1/pauses')), [paused.body])
  assert.equal(codeOf(await ask('/v1/pauses', { method: 'POST', body: { ...body, object_id: 'nobody' } })), 'request_invalid') // prettier-ignore

  const deliveries = itemsOf(await ask('/v1/deliveries'))
  const waitsFor = deliveries.map((one) => `${String(one['endpoint_id'])} ${String(one['waits_for'])}`)
  assert.deepEqual(waitsFor.toSorted(), ['acmes-crm paused_affiliate', 'annas-tracker paused_affiliate'])
  const [annas] = deliveries.filter((one) => one['endpoint_id'] === 'annas-tracker')
  const one = await ask(`/v1/deliveries/${String(annas!['delivery_id'])}`)
  assert.deepEqual([one.body['waits_for'], one.body['waits_until']], ['paused_affiliate', null])
  assert.equal((await ask('/v1/endpoints/annas-tracker/state')).body['waits_for'], 'paused_affiliate')
  assert.equal((await ask('/v1/endpoints/acmes-crm/state')).body['waits_for'], null)
  await pool.query(`
    WITH due AS (DELETE FROM delivery_ready WHERE endpoint_id = 'acmes-crm' RETURNING *)
    INSERT INTO delivery_held SELECT delivery_id, created_at, endpoint_id, run_at, 0, 0, 'anna', 'acme' FROM due`)
  assert.deepEqual(itemsOf(await ask('/v1/pauses')).map((item) => item['held']), [1]) // prettier-ignore
  const { waiting } = (await ask('/v1/endpoints/acmes-crm')).body as { waiting: Json }
  assert.deepEqual([waiting['ready'], waiting['held']], [0, 1])
  assert.deepEqual((await ask('/v1/endpoints/acmes-crm/state')).body['held'], [
    { reason: 'paused_affiliate', object_id: 'anna', count: 1 },
  ])
  const page = (await ask(`/v1/clicks/${click.click_id}`)).body as { deliveries: Json[] }
  assert.deepEqual(page.deliveries.map((item) => item['waits_for']), ['paused_affiliate', 'paused_affiliate']) // prettier-ignore
  const test = await ask('/v1/endpoints/annas-tracker/test', { method: 'POST', body: {} })
  assert.equal(test.status, 409)
  assert.match(JSON.stringify(test.body), /paused_affiliate/)
  const ofHers = await ask(`/v1/endpoints/acmes-crm/test?click_id=${click.click_id}`, { method: 'POST', body: {} })
  assert.equal(ofHers.status, 409)

  assert.equal((await ask('/v1/pauses/affiliate/anna', { method: 'DELETE' })).status, 200)
  assert.equal((await ask('/v1/pauses/affiliate/anna', { method: 'DELETE' })).status, 404)
  assert.equal((await ask('/v1/endpoints/annas-tracker/state')).body['waits_for'], null)
})

test('a disabled endpoint says so, is enabled by the owner, and what it missed is sent once more', async (t) => {
  const { ask, feed, pool, keyFor } = await withApi(t)
  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'reg')])
  await pool.query(`
    INSERT INTO endpoint_states VALUES
      ('acmes-crm', now() - interval '6 days', now(), 72, now() - interval '1 day', 'failing', now() + interval '1 hour')`)
  await pool.query(`
    WITH gone AS (DELETE FROM delivery_ready WHERE endpoint_id = 'acmes-crm' RETURNING *)
    INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
    SELECT delivery_id, created_at, endpoint_id, 'gave_up', 'attempts_exhausted', 12, now() FROM gone`)
  const acme = await keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' }, ['read', 'write'])
  const { body: state } = await ask('/v1/endpoints/acmes-crm/state', { key: acme })
  assert.deepEqual([state['status'], state['waits_for'], state['quota']], ['active', 'endpoint_failing', null])
  assert.match(String(state['waits_until']), /Z$/)
  assert.equal((await ask('/v1/endpoints/acmes-crm/state', { key: anna })).status, 404)

  assert.equal((await ask('/v1/endpoints/acmes-crm/enable', { method: 'POST', key: acme })).status, 403)
  const enabled = await ask('/v1/endpoints/acmes-crm/enable', { method: 'POST' })
  assert.equal(enabled.body['missed'], 1)
  assert.equal(codeOf(await ask('/v1/endpoints/acmes-crm/enable', { method: 'POST' })), 'conflict')
  assert.equal((await ask('/v1/endpoints/nobody/enable', { method: 'POST' })).status, 404)

  const body = { since: enabled.body['failing_since'] as string }
  assert.equal((await ask('/v1/endpoints/acmes-crm/recover', { method: 'POST', key: anna, body })).status, 404)
  const recovered = await ask('/v1/endpoints/acmes-crm/recover', { method: 'POST', key: acme, body })
  assert.deepEqual(recovered.body, { dry_run: true, replayed: 1, skipped: {}, is_cut: false })
  const slowly = { method: 'POST', key: acme, body: { ...body, per_minute: 5 } } as const
  const { status, body: replay } = await ask('/v1/endpoints/acmes-crm/recover?dry_run=false', slowly)
  assert.deepEqual([status, replay['per_minute'], replay['state']], [201, 5, 'running'])
  const cancelled = await ask(`/v1/replays/${String(replay['replay_id'])}/cancel`, { method: 'POST', key: acme })
  assert.equal(cancelled.body['state'], 'cancelled')
})

test('a secret is rotated by the owner and shown once', async (t) => {
  const { ask, keyFor } = await withApi(t)
  const path = '/v1/endpoints/annas-tracker/rotate-secret'
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' }, ['read', 'write'])
  assert.equal((await ask(path, { method: 'POST', body: {}, key: anna })).status, 403)
  const rotated = await ask(path, { method: 'POST', body: { keep_hours: 48 } })
  assert.equal(rotated.status, 201)
  assert.match(String(rotated.body['secret']), /^whsec_/)
  assert.equal(rotated.body['previous_secret_until'], new Date(NOW_MS + 48 * 3_600_000).toISOString())
  assert.ok(!(await ask('/v1/config')).text.includes(String(rotated.body['secret'])))
  for (const keep_hours of [169, null, '48', [48]]) {
    const refused = await ask(path, { method: 'POST', body: { keep_hours } })
    assert.equal(refused.status, 400)
    assert.match(refused.text, /"path":"keep_hours"/)
  }
  assert.equal((await ask('/v1/endpoints/nobody/rotate-secret', { method: 'POST', body: {} })).status, 404)
})

test('each tenant reads the notices of its own endpoints', async (t) => {
  const { ask, pool, keyFor } = await withApi(t)
  await pool.query(`
    INSERT INTO notices (kind, endpoint_id, advertiser_id, affiliate_id, details) VALUES
      ('endpoint_failing', 'acmes-crm', 'acme', NULL, '{"hours":24}'), ('endpoint_disabled', 'globexs-crm', 'globex', NULL, '{}'),
      ('endpoint_disabled', 'annas-tracker', NULL, 'anna', '{}')`)
  const seenBy = async (key?: string, query = ''): Promise<unknown[]> =>
    itemsOf(await ask(`/v1/notices${query}`, { key })).map((one) => one['endpoint_id'])
  assert.deepEqual(await seenBy(), ['annas-tracker', 'globexs-crm', 'acmes-crm'])
  assert.deepEqual(await seenBy(undefined, '?kind=endpoint_failing'), ['acmes-crm'])
  assert.deepEqual(await seenBy(undefined, '?endpoint_id=globexs-crm'), ['globexs-crm'])
  assert.deepEqual(await seenBy(await keyFor({ role: 'advertiser', advertiser_id: 'acme' })), ['acmes-crm'])
  assert.deepEqual(await seenBy(await keyFor({ role: 'affiliate', affiliate_id: 'anna' })), ['annas-tracker'])
  const first = await ask('/v1/notices?limit=2')
  const next = await ask(`/v1/notices?limit=2&cursor=${String(first.body['next_cursor'])}`)
  assert.deepEqual(itemsOf(next).map((one) => one['endpoint_id']), ['acmes-crm']) // prettier-ignore
})
