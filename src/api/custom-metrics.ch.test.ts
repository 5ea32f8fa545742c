import assert from 'node:assert/strict'
import { test } from 'node:test'

import { clickWith, withApi } from './test-api.ts'

test('keeps metrics by formula of each tenant apart, and reports compute them for who may see all of their parts', async (t) => {
  const api = await withApi(t)
  await api.feed([clickWith(), clickWith({ cost_micros: 500_000, currency: 'EUR' })])
  const advertiser = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  const affiliate = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' }, ['read', 'write'])
  const put = (name: string, body: object, key?: string) =>
    api.ask(`/v1/reports/metrics/${name}`, { method: 'PUT', body, key })
  const names = async (key?: string) =>
    ((await api.ask('/v1/reports/metrics', { key })).body['items'] as { name: string }[]).map(({ name }) => name)

  const made = await put('ecpm', { formula: 'cost / clicks * 1000', title: 'eCPM' }, advertiser)
  assert.equal(made.status, 200)
  assert.partialDeepStrictEqual(made.body, { name: 'ecpm', title: 'eCPM', unit: 'money', format: null })
  assert.equal((await put('ecpm', { formula: 'clicks * 2' }, affiliate)).status, 200)
  assert.equal((await put('mine', { formula: 'clicks / 2', format: 'percent' }, affiliate)).status, 200)
  assert.deepEqual([await names(), await names(advertiser), await names(affiliate)], [[], ['ecpm'], ['ecpm', 'mine']])

  const report = async (query: string, key?: string) => api.ask(`/v1/reports?from=2026-11-19&to=2026-11-20&${query}`, { key })
  const ofAdvertiser = await report('metrics=ecpm,clicks&group_by=country&having=ecpm>1&currency=EUR', advertiser)
  assert.deepEqual(ofAdvertiser.body['rows'], [{ country: 'DE', ecpm: '250.00', clicks: 2 }])
  assert.partialDeepStrictEqual(ofAdvertiser.body['columns'], [{ name: 'country' }, { title: 'eCPM', unit: 'money' }, {}])
  assert.deepEqual((await report('metrics=ecpm,mine', affiliate)).body['totals'], { ecpm: 4, mine: 1 })
  assert.match((await report('metrics=mine', advertiser)).text, /there is no metric/)
  assert.deepEqual((await report('formula.x=clicks%20%2B%201')).body['totals'], { x: 3 })

  const gone = await api.ask('/v1/reports/metrics/ecpm', { method: 'DELETE', key: affiliate })
  assert.equal(gone.status, 200)
  assert.equal((await api.ask('/v1/reports/metrics/ecpm', { method: 'DELETE', key: affiliate })).status, 404)
  assert.deepEqual([await names(advertiser), await names(affiliate)], [['ecpm'], ['mine']])
}) // prettier-ignore

test('refuses a metric by formula with its reason and place', async (t) => {
  const api = await withApi(t)
  const affiliate = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' }, ['read', 'write'])
  const reader = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' }, ['read'])
  const put = async (name: string, formula: string, key = affiliate) => {
    const { status, body } = await api.ask(`/v1/reports/metrics/${name}`, { method: 'PUT', body: { formula }, key })
    const { path, detail } = (body['error'] ?? {}) as { path?: string; detail?: string }
    return `${status} ${path ?? ''}: ${detail ?? ''}`
  }
  assert.match(await put('x', 'clicks +'), /^400 formula: character 9: expected/)
  assert.match(await put('x', 'clicks + payout'), /^400 formula: character 8: a number and money/)
  assert.match(await put('x', 'luck'), /^400 formula: there is no metric "luck"/)
  assert.match(await put('x', 'profit / clicks'), /^403 formula: "profit" is not shown to an affiliate/)
  assert.match(await put('clicks', 'bots'), /^400 name: there is a metric "clicks" already/)
  assert.match(await put('X', 'clicks'), /^400 name: a name has/)
  assert.match(await put('x', 'clicks', reader), /^403/)
  for (const { rows } of [await api.pool.query(`
    INSERT INTO custom_metrics (affiliate_id, name, title, formula) SELECT 'anna', 'm' || n, 'x', 'clicks' FROM generate_series(1, 200) n RETURNING 1`)])
    assert.equal(rows.length, 200)
  assert.match(await put('one_more', 'clicks'), /^409 name: there are 200 metrics already/)
  assert.match(await put('m7', 'clicks * 2'), /^200/)
}) // prettier-ignore
