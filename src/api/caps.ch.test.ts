import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { openSqliteCapState } from '#caps'
import { applyConfiguration, findVersion } from '#configuration'
import { newClickId } from '#platform/ids'
import { compileCappedOffers } from '#routing'
import { withTempDir } from '#test-kit'

import { apiLimits } from './limits.ts'
import { NOW_MS, withApi, type Answer } from './test-api.ts'

const CAPPED = `
advertisers: { initech: { timezone: Europe/Berlin }, umbrella: {} }
offers:
  stapler:
    advertiser_id: initech
    landing_url: https://initech.example/
    prices: [{ type: lead, payout: 1, revenue: 2 }]
    caps: [{ cap_id: daily, metric: clicks, period: day, limit: 4 }, { cap_id: money, metric: revenue, period: month, limit: 10 }]
  mask:
    advertiser_id: umbrella
    landing_url: https://umbrella.example/
    prices: [{ type: lead, payout: 1, revenue: 2 }]
    caps: [{ cap_id: daily, metric: clicks, period: day, limit: 4 }]
`

type Row = { readonly offer_id: string; readonly cap_id: string } & Record<string, unknown>
const rowsOf = ({ status, body, text }: Answer): readonly Row[] => {
  assert.equal(status, 200, text)
  return body['items'] as readonly Row[]
}

test('tells how full caps are, to the owner and to the advertiser of the offer', async (t) => {
  const caps = openSqliteCapState({ directory: join(withTempDir(t), 'caps') })
  t.after(() => caps.close())
  const api = await withApi(t, { caps })
  const applied = await applyConfiguration(api.pool, CAPPED, { by: 'test', clock: api.clock })
  if (applied.kind !== 'applied') throw new Error(JSON.stringify(applied))
  const { snapshot } = (await findVersion(api.pool, applied.version))!
  const click = { click_id: newClickId(NOW_MS), at: NOW_MS, class: 'click', outcome: 'redirected' } as never
  caps.reserve(newClickId(NOW_MS), NOW_MS, compileCappedOffers(snapshot).get('stapler')!.keysOfRecordedClick(click))
  let rows: readonly Row[] = []
  while (rows.length === 0) rows = rowsOf(await api.ask('/v1/caps'))
  const places = (of: readonly Row[]) => of.map(({ offer_id, cap_id }) => `${offer_id} ${cap_id}`)
  assert.deepEqual(places(rows), ['stapler daily', 'stapler money', 'mask daily'])
  const [daily, money] = rows
  assert.deepEqual([daily!['used'], daily!['held'], daily!['limit'], daily!['share']], ['1', '0', '4', 0.25])
  assert.equal(daily!['period_start'], '2026-11-19T23:00:00.000Z')
  assert.deepEqual([money!['used'], money!['held'], money!['limit'], money!['currency']], ['0', '2', '10', 'USD'])
  assert.deepEqual(places(rowsOf(await api.ask('/v1/caps?offer_id=mask'))), ['mask daily'])
  assert.equal((await api.ask(`/v1/caps?limit=${apiLimits.capRowsMax}`)).status, 200)
  assert.equal((await api.ask(`/v1/caps?limit=${apiLimits.capRowsMax + 1}`)).status, 400)
  const cut = await api.ask('/v1/caps?limit=1')
  assert.deepEqual([places(rowsOf(cut)), cut.body['is_truncated']], [['stapler daily'], true])

  const key = await api.keyFor({ role: 'advertiser', advertiser_id: 'umbrella' })
  assert.deepEqual(places(rowsOf(await api.ask('/v1/caps', { key }))), ['mask daily'])
  assert.deepEqual(rowsOf(await api.ask('/v1/caps?offer_id=stapler', { key })), [])
  assert.deepEqual(rowsOf(await api.ask('/v1/caps?advertiser_id=initech', { key })), [])
  const affiliate = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  assert.equal((await api.ask('/v1/caps', { key: affiliate })).status, 403)
})

test('a process without the counts of caps says that it has none', async (t) => {
  const { ask } = await withApi(t)
  const answer = await ask('/v1/caps')
  assert.deepEqual([answer.status, (answer.body['error'] as { code: string }).code], [503, 'not_ready'])
})
