import assert from 'node:assert/strict'
import { test } from 'node:test'

import { applyConfiguration } from '#configuration'

import { clickWith, eventWith, NOW_MS, withApi } from './test-api.ts'

const FRAUD = 'fraud: { conversion_thresholds: { hold: 60 } }\n'

test('shows the fraud verdicts of a click and its conversions to owner and advertiser, and not to the affiliate', async (t) => {
  const api = await withApi(t)
  const applied = await applyConfiguration(api.pool, FRAUD, { by: 'test', clock: api.clock })
  assert.equal(applied.kind, 'applied')
  while ((await api.ask('/readyz')).body['config_version'] !== (applied as { version: number }).version);
  const click = clickWith({ fraud: 'm50 ir.1b', fraud_score: 50, fraud_reason: 'ip_rate' })
  await api.feed([click, eventWith(click.click_id, 'lead', { at: click.at + 1_000 })])
  const page = (await api.ask(`/v1/clicks/${click.click_id}`)).body as { click: Row; conversions: readonly Row[] }
  assert.deepEqual(page.click['fraud'], {
    action: 'mark',
    score: 50,
    reasons: [{ rule: 'ip_rate', score: 50, detail: 47 }],
    sentences: [
      'More clicks came from this address than the limit of its window. (47 clicks, 50 points)',
      '50 of 100 points. It was marked.',
    ],
    text: 'm50 ir.1b',
  })
  assert.partialDeepStrictEqual(page.conversions[0], { status: 'pending', fraud: { action: 'hold', text: 'h60 tf.1' } })
  const listOf = async (key?: string) => (await api.ask('/v1/conversions', { key })).body['items'] as readonly [Row]
  assert.partialDeepStrictEqual((await listOf())[0], { fraud: { action: 'hold', score: 60 } })
  const advertiser = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  assert.partialDeepStrictEqual((await listOf(advertiser))[0], { fraud: { action: 'hold' } })

  const affiliate = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  assert.equal('fraud' in (await listOf(affiliate))[0], false)
  const { text } = await api.ask(`/v1/clicks/${click.click_id}`, { key: affiliate })
  assert.doesNotMatch(text, /fraud|ip_rate|tf\.1/)
})

type Row = Readonly<Record<string, unknown>>

test('reports group clicks by the reason with the most points', async (t) => {
  const api = await withApi(t)
  await api.feed([clickWith({ fraud: 'm50 ir.1b', fraud_score: 50, fraud_reason: 'ip_rate' }), clickWith()])
  const answer = await api.ask('/v1/reports?group_by=fraud_reason&metrics=clicks')
  assert.equal(answer.status, 200, answer.text)
  const rows = answer.body['rows'] as readonly { fraud_reason: string; clicks: unknown }[]
  assert.deepEqual(new Set(rows.map(({ fraud_reason }) => fraud_reason)), new Set(['', 'ip_rate']))
})

test('reports name the reason to owner and advertiser, and refuse it to an affiliate as they refuse a metric', async (t) => {
  const api = await withApi(t)
  const advertiser = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  const affiliate = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  const errorOf = async (query: string, key: string): Promise<unknown> => {
    const { status, body } = await api.ask(`/v1/reports?${query}`, { key })
    const { code, detail } = (body['error'] ?? {}) as Row
    return [status, code, detail]
  }
  for (const query of ['group_by=fraud_reason', 'fraud_reason=ip_rate', 'not.fraud_reason=']) {
    assert.deepEqual(await errorOf(query, affiliate), [403, 'forbidden', '"fraud_reason" is not shown to an affiliate'])
    assert.deepEqual(await errorOf(query, advertiser), [200, undefined, undefined])
  }
  assert.deepEqual(await errorOf('metrics=revenue', affiliate), [
    403,
    'forbidden',
    '"revenue" is not shown to an affiliate',
  ])
  const dimensionsFor = async (key?: string) =>
    ((await api.ask('/v1/reports/schema', { key })).body['dimensions'] as readonly { name: string }[]).map(
      ({ name }) => name,
    )
  assert.ok((await dimensionsFor()).includes('fraud_reason'))
  assert.ok((await dimensionsFor(advertiser)).includes('fraud_reason'))
  assert.ok(!(await dimensionsFor(affiliate)).includes('fraud_reason'))
})

/** Minutes from one to a hundred for people; every other conversion within ten seconds for the one with injected clicks. */
const secondsOf = (affiliate: string, index: number): number =>
  affiliate === 'eve' && index % 2 === 0 ? index % 10 : 60 * (1 + ((index * 37) % 100))

test('compares the times from click to conversion of the affiliates of an offer, for owner and advertiser', async (t) => {
  const api = await withApi(t)
  const affiliates = ['ann', 'bob', 'cid', 'eve']
  const values = affiliates.flatMap((affiliate_id) =>
    Array.from({ length: 60 }, (_, index) => ({
      ...{ conversion_id: crypto.randomUUID(), click_id: crypto.randomUUID(), revision: 1, sign: 1, seq: index },
      ...{ advertiser_id: 'acme', offer_id: 'acme-lamp', affiliate_id, type: 'sale', currency: 'EUR' },
      ...{ at: NOW_MS - 1_000, revised_at: NOW_MS, click_at: NOW_MS - 1_000 - 1_000 * secondsOf(affiliate_id, index) },
    })),
  )
  const later = values.slice(0, 60).map((value) => ({ ...value, revision: 2 }))
  // A click that converts again says nothing new: counted twice, its times would look twice as certain.
  const again = values.map((value) => ({ ...value, conversion_id: crypto.randomUUID(), at: NOW_MS - 500 }))
  await api.facts.insert({ table: 'conversions', values: [...values, ...later, ...again], format: 'JSONEachRow' })
  type Compared = { readonly affiliate_id: string; readonly conversions: number; readonly verdict: string; readonly explanation: string } // prettier-ignore
  const ctit = async (key?: string) =>
    (await api.ask('/v1/fraud/ctit?offer_id=acme-lamp', { key })).body['affiliates'] as readonly Compared[]
  const compared = await ctit()
  assert.deepEqual(compared.map(({ affiliate_id, conversions, verdict }) => [affiliate_id, conversions, verdict]), [
    ['ann', 60, 'consistent'], ['bob', 60, 'consistent'], ['cid', 60, 'consistent'], ['eve', 60, 'too_fast'],
  ]) // prettier-ignore
  assert.match(compared[3]!.explanation, /^50 % of 60 conversions came within \d+ seconds after the click/)
  assert.equal((await ctit(await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' }))).length, 4)
  assert.equal((await ctit(await api.keyFor({ role: 'advertiser', advertiser_id: 'globex' }))).length, 0)
  const affiliate = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  assert.equal((await api.ask('/v1/fraud/ctit?offer_id=acme-lamp', { key: affiliate })).status, 403)
  const reversed = '/v1/fraud/ctit?offer_id=acme-lamp&from=2026-11-20T00:00:00Z&to=2026-11-19T00:00:00Z'
  assert.equal((await api.ask(reversed)).status, 400)
  assert.equal((await api.ask('/v1/fraud/ctit?offer_id=acme-lamp&from=2020-01-01T00:00:00Z')).status, 400)
})
