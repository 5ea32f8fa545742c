import assert from 'node:assert/strict'
import { test } from 'node:test'

import { applyConfiguration, findVersion } from '#configuration'
import { withEdge } from '#edge/test-edge'
import { learnOnce } from '#optimization'
import type { ClickRecord } from '#records'

import { clickWith, eventWith, NOW_MS, withApi, type TestApi } from './test-api.ts'

const SMART = `
offers:
  acme-desk: { advertiser_id: acme, landing_url: https://acme.example/, prices: [{ type: sale, revenue: 45 }] }
campaigns:
  acme-smart:
    advertiser_id: acme
    optimize: { goal: cr, floor_share: 20% }
    flows: [{ flow_id: smart, offers: [{ offer_id: acme-lamp }, { offer_id: acme-desk }] }]
`

/** 60 clicks on each of two offers: one has 30 sales, the other none. */
async function feedClicks(api: TestApi): Promise<void> {
  const applied = await applyConfiguration(api.pool, SMART, { by: 'test', clock: api.clock })
  assert.equal(applied.kind, 'applied', JSON.stringify(applied))
  const place = { campaign_id: 'acme-smart', flow_id: 'smart' }
  const lamps = Array.from({ length: 60 }, () => clickWith({ ...place, landing_id: 'acme-lamp' }))
  const desks = Array.from({ length: 60 }, () => clickWith({ ...place, offer_id: 'acme-desk', landing_id: 'acme-desk' })) // prettier-ignore
  await api.feed([...lamps, ...desks])
  await api.feed(lamps.slice(0, 30).map(({ click_id }) => eventWith(click_id, 'deposit')))
}

async function learn(api: TestApi): Promise<void> {
  await learnOnce(api, (await findVersion(api.pool, undefined))!.snapshot, NOW_MS)
}

type Body = {
  readonly version: number | null
  readonly weights: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly places: readonly { readonly arms: readonly Readonly<Record<string, unknown>>[] }[]
}

test('tells what was learned of every arm from clicks and conversions, and the weights of a version', async (t) => {
  const api = await withApi(t)
  assert.deepEqual((await api.ask('/v1/optimization')).body, { version: null, created_at: null, learned_at: null, weights: {}, places: [] }) // prettier-ignore
  await feedClicks(api)
  await learn(api)
  const { status, body } = await api.ask('/v1/optimization')
  assert.equal(status, 200, JSON.stringify(body))
  const { version, weights, places } = body as unknown as Body
  assert.equal(version, 1)
  const { arms, ...place } = places[0]!
  const since = new Date(NOW_MS).toISOString()
  assert.deepEqual(place, {
    ...{ place: 'offers:smart', weights: 'offers', advertiser_id: 'acme', campaign_id: 'acme-smart', flow_id: 'smart' },
    ...{ offer_id: null, currency: 'EUR', mode: 'on', goal: 'cr', seed: 2, since, weights_version: 1, problem: null },
  })
  const [lamp, desk] = arms
  assert.deepEqual([lamp!['id'], lamp!['clicks'], lamp!['conversions']], ['acme-lamp', 60, 30])
  assert.deepEqual([desk!['id'], desk!['clicks'], desk!['conversions'], desk!['share']], ['acme-desk', 60, 0, 0.2])
  assert.deepEqual(weights, { 'offers:smart': { 'acme-lamp': 8_000, 'acme-desk': 2_000 } })
  assert.deepEqual((await api.ask('/v1/optimization?version=1')).body, body)
  assert.equal((await api.ask('/v1/optimization?version=2')).status, 404)
  const advertiser = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  assert.equal((await api.ask('/v1/optimization', { key: advertiser })).status, 403)
})

test('a rejected conversion counts no more', async (t) => {
  const api = await withApi(t)
  await feedClicks(api)
  await learn(api)
  const { body } = await api.ask('/v1/conversions?campaign_id=acme-smart&limit=1')
  const [one] = body['items'] as readonly { readonly conversion_id: string }[]
  const rejected = await api.ask(`/v1/conversions/${one!.conversion_id}/status`, { method: 'POST', body: { status: 'rejected' } }) // prettier-ignore
  assert.equal(rejected.status, 200, rejected.text)
  await api.feed([])
  await learn(api)
  const { places } = (await api.ask('/v1/optimization')).body as unknown as Body
  assert.equal(places[0]!.arms[0]!['conversions'], 29)
})

test('explains a click by the weights that the edges draw by', async (t) => {
  const api = await withApi(t)
  await feedClicks(api)
  await learn(api)
  const { status, body } = await api.ask('/v1/routing/explain', { method: 'POST', body: { campaign_id: 'acme-smart' } })
  assert.equal(status, 200, JSON.stringify(body))
  assert.ok((body['decision'] as readonly string[]).includes('Weights learned from conversions are used, version 1.'))
})

test('a simulation decides clicks by the weights that they name, also once others are in use', async (t) => {
  const api = await withApi(t)
  const applied = await applyConfiguration(api.pool, SMART, { by: 'test', clock: api.clock })
  assert.equal(applied.kind, 'applied')
  const { snapshot } = (await findVersion(api.pool, undefined))!
  let at = NOW_MS - 3_000_000
  const edge = await withEdge(t, snapshot, { clock: { now: () => (at += 1_000) } })
  const visit = (count: number) =>
    Promise.all(Array.from({ length: count }, () => edge.ask('/click?campaign_id=acme-smart')))
  await visit(50)
  for (const version of [1, 2]) {
    const weights = { 'offers:smart': { 'acme-lamp': 5_000 + version * 2_000, 'acme-desk': 5_000 - version * 2_000 } }
    await api.pool.query(
      `INSERT INTO learned_weights (version, weights, state, created_at, learned_at) VALUES ($1, $2, '[]', now(), now())`,
      [version, weights],
    )
    edge.snapshots.take({ ...snapshot, learned: { version, weights } })
    await visit(100)
  }
  await api.feed((await edge.records()) as readonly ClickRecord[])
  const period = { from: new Date(NOW_MS - 3_600_000).toISOString(), to: new Date(NOW_MS).toISOString() }
  const simulate = async (more: object) => {
    const { status, body } = await api.ask('/v1/routing/simulate', { method: 'POST', body: { ...period, ...more } })
    assert.equal(status, 200, JSON.stringify(body))
    const { decided, not_reproduced, version_unknown } = body['clicks'] as Readonly<Record<string, number>>
    return { decided, not_reproduced, version_unknown, moved: body['moved'] as number }
  }
  // The weights of today would send many of the first 50 from the desk to the lamp.
  assert.deepEqual(await simulate({}), { decided: 250, moved: 0, not_reproduced: 0, version_unknown: 0 })
  const off = await simulate({ configuration: SMART.replace('goal: cr', 'goal: cr, mode: off') })
  assert.ok(off.decided === 250 && off.moved > 20, JSON.stringify(off))
  await api.pool.query('DELETE FROM learned_weights WHERE version = 1')
  const { decided, version_unknown } = await simulate({})
  assert.deepEqual({ decided, version_unknown }, { decided: 150, version_unknown: 100 })
})
