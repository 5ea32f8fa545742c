import assert from 'node:assert/strict'
import { test } from 'node:test'

import { applyConfiguration } from '#configuration'

import { clickWith, eventWith, withApi } from './test-api.ts'

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
