import assert from 'node:assert/strict'
import { test } from 'node:test'

import { anomalyLimits } from '#reports/anomalies'
import { behaviourLimits } from '#reports/behaviour'

import { clickWith, eventWith, globexPlace, postbackWith, withApi } from './test-api.ts'

test('funnels, retention, paths and times to convert are there for every role, each with its own rows', async (t) => {
  const { ask, feed, keyFor } = await withApi(t)
  const click = clickWith()
  const other = clickWith(globexPlace)
  await feed([click, other, eventWith(click.click_id, 'open'), eventWith(click.click_id, 'lp_click'), postbackWith(click.click_id, { raw_status: 'lead' })]) // prettier-ignore
  const post = async (path: string, body: object, key?: string) => {
    const answer = await ask(`/v1/reports/${path}`, { method: 'POST', key, type: 'application/json', body })
    assert.equal(answer.status, 200, answer.text)
    return answer.body as Record<string, unknown>
  }
  const steps = [{ of: 'clicks' }, { of: 'events', type: 'open' }, { of: 'conversions', type: 'lead' }]
  const counts = async (key?: string): Promise<readonly number[]> =>
    ((await post('funnel', { steps }, key))['totals'] as { count: number }[]).map(({ count }) => count)
  assert.deepEqual(await counts(), [2, 1, 1])
  assert.deepEqual(await counts(await keyFor({ role: 'advertiser', advertiser_id: 'acme' })), [1, 1, 1])
  assert.deepEqual(await counts(await keyFor({ role: 'advertiser', advertiser_id: 'globex' })), [1, 0, 0])
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  assert.deepEqual(await counts(anna), [2, 1, 1])
  assert.deepEqual(await counts(await keyFor({ role: 'affiliate', affiliate_id: 'bert' })), [0, 0, 0])

  const paths = await post('paths', {}, anna)
  assert.deepEqual([paths['total'], paths['unit']], [2, 'click'])
  const waits = await post('time-to-convert', { group_by: ['country'] }, anna)
  assert.equal((waits['totals'] as { count: number }).count, 1)
  const retention = await post('retention', { periods: 1 }, await keyFor({ role: 'advertiser', advertiser_id: 'acme' }))
  // Without a zone the days are those of the advertiser.
  assert.equal(retention['timezone'], 'Europe/Berlin')
  assert.deepEqual(
    (retention['totals'] as { size: number }[]).reduce((sum, { size }) => sum + size, 0),
    1,
  )
})

test('a question about behaviour that is too large, unknown or not for its asker is refused with its place', async (t) => {
  const { ask, keyFor } = await withApi(t)
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  const click = { of: 'clicks' }
  const refused = async (path: string, body: object, key?: string) => {
    const answer = await ask(`/v1/reports/${path}`, { method: 'POST', key, type: 'application/json', body })
    const { code, path: place } = answer.body['error'] as { code: string; path?: string }
    return [answer.status, code, place]
  }
  assert.deepEqual(await refused('funnel', { steps: [click] }), [400, 'request_invalid', 'steps'])
  const tooMany = Array.from({ length: behaviourLimits.stepsMax + 1 }, () => click)
  assert.deepEqual(await refused('funnel', { steps: tooMany }), [400, 'request_invalid', 'steps'])
  const steps = [click, click]
  assert.deepEqual(await refused('funnel', { steps, luck: 1 }), [400, 'request_invalid', 'luck'])
  const bounds: readonly (readonly [string, object, string])[] = [
    ['funnel', { steps, window_seconds: behaviourLimits.windowSecondsMax + 1 }, 'window_seconds'],
    ['funnel', { steps, limit: behaviourLimits.rowsMax + 1 }, 'limit'],
    ['funnel', { steps, group_by: ['country', 'os', 'city'] }, 'group_by'],
    [
      'funnel',
      { steps: [click, { of: 'events', type: 'x'.repeat(behaviourLimits.wordLengthMax + 1) }] },
      'steps.1.type',
    ],
    ['retention', { periods: behaviourLimits.retentionPeriodsMax + 1 }, 'periods'],
    ['retention', { lookback_days: behaviourLimits.lookbackDaysMax + 1 }, 'lookback_days'],
    ['retention', { from: '2025-01-01', to: '2026-11-01' }, 'to'],
    ['paths', { length: behaviourLimits.pathLengthMax + 1 }, 'length'],
    ['paths', { limit: behaviourLimits.pathsMax + 1 }, 'limit'],
    ['time-to-convert', { tz: 'Mars' }, 'tz'],
  ]
  for (const [path, body, place] of bounds) assert.deepEqual(await refused(path, body), [400, 'request_invalid', place])
  assert.deepEqual(await refused('funnel', { steps, group_by: ['fraud_reason'] }, anna), [403, 'forbidden', 'group_by'])
  assert.deepEqual(await refused('funnel', { steps }, 'guessed'), [401, 'unauthorized', undefined])
})

test('anomalies are there for every role, within their limits', async (t) => {
  const { ask, keyFor } = await withApi(t)
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna', advertiser_id: 'acme' })
  const { status, body } = await ask('/v1/reports/anomalies?metric=clicks', { key: anna })
  assert.equal(status, 200)
  // The last whole hours of the advertiser's zone; without rows nothing can be said of them.
  assert.deepEqual(body, {
    ...{
      metric: 'clicks',
      unit: 'count',
      timezone: 'Europe/Berlin',
      currency: 'EUR',
      weeks: anomalyLimits.weeksDefault,
    },
    ...{ from: '2026-11-19T12:00:00.000Z', to: '2026-11-20T12:00:00.000Z', hours_checked: 0, hours_skipped: 24 },
    ...{ other_currencies: [], missing_days: [], anomalies: [], is_truncated: false },
  })
  const refused = async (query: string, key?: string) => {
    const answer = await ask(`/v1/reports/anomalies?${query}`, { key })
    const { code, path } = answer.body['error'] as { code: string; path?: string }
    return [answer.status, code, path]
  }
  const bounds: readonly (readonly [string, string])[] = [
    ['metric=luck', 'metric'],
    ['metric=clicks&luck=1', 'luck'],
    [`metric=clicks&weeks=${anomalyLimits.weeksMax + 1}`, 'weeks'],
    [`metric=clicks&weeks=${anomalyLimits.weeksMin - 1}`, 'weeks'],
    [`metric=clicks&limit=${anomalyLimits.anomaliesMax + 1}`, 'limit'],
    ['metric=clicks&from=2026-10-01', 'from'],
    [`metric=clicks&dimensions=${Array.from({ length: anomalyLimits.dimensionsMax + 1 }, (_, index) => `sub${index + 1}`).join(',')}`, 'dimensions'],
  ] // prettier-ignore
  for (const [query, place] of bounds) assert.deepEqual(await refused(query), [400, 'request_invalid', place])
  assert.deepEqual(await refused('metric=profit', anna), [403, 'forbidden', 'metric'])
})
