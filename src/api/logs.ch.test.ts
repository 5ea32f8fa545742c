import assert from 'node:assert/strict'
import { test } from 'node:test'

import { newClickId, type ClickId } from '#platform/ids'
import type { ClickRecord } from '#records'

import { apiLimits } from './limits.ts'
import { clickWith, eventWith, globexPlace, NOW_MS, postbackWith, withApi, type TestApi } from './test-api.ts'

type Item = Readonly<Record<string, unknown>>
type Page = {
  readonly items: readonly Item[]
  readonly next_cursor: string | null
  readonly columns: readonly string[]
}

async function page(api: TestApi, path: string, key?: string): Promise<Page> {
  const answer = await api.ask(path, { key })
  assert.equal(answer.status, 200, answer.text)
  return answer.body as unknown as Page
}

async function allPages(api: TestApi, path: string, onPage?: () => Promise<void>): Promise<readonly Item[]> {
  const items: Item[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const got: Page = await page(api, cursor === '' ? path : `${path}&cursor=${cursor}`)
    items.push(...got.items)
    cursor = got.next_cursor
    await onPage?.()
  }
  return items
}

test('logs show clicks, events and conversions with the filters of reports, and to each tenant its own', async (t) => {
  const api = await withApi(t)
  const lamp = clickWith({ country: 'DE', sub1: 'red', cost_micros: 50_000, currency: 'EUR', sub2_keys: { geo: 'TR' } })
  const other = clickWith({ country: 'US', sub1: '=cmd' })
  const car = clickWith({ ...globexPlace, affiliate_id: 'bert', country: 'PL' })
  await api.feed([
    ...[lamp, other, car],
    eventWith(lamp.click_id, 'open'),
    postbackWith(lamp.click_id, { raw_status: 'approved', raw_goal: 'lead' }),
  ])
  const clicks = await page(
    api,
    '/v1/logs/clicks?columns=click_id,country,sub1,cost,at,sub2_keys,is_unique_campaign,ip',
  )
  assert.deepEqual(clicks.items.map(({ click_id }) => click_id), [car, other, lamp].map(({ click_id }) => click_id)) // prettier-ignore
  assert.deepEqual(clicks.items[2], {
    ...{ click_id: lamp.click_id, country: 'DE', sub1: 'red', cost: '0.05', at: new Date(lamp.at).toISOString() },
    ...{ sub2_keys: { geo: 'TR' }, is_unique_campaign: true, ip: '192.0.2.1' },
  })
  const ids = async (path: string, key?: string) => (await page(api, path, key)).items.map((item) => item['click_id'])
  assert.deepEqual(await ids('/v1/logs/clicks?country=DE'), [lamp.click_id])
  assert.deepEqual(await ids('/v1/logs/clicks?not.country=DE&advertiser_id=acme'), [other.click_id])
  assert.deepEqual(await ids('/v1/logs/clicks?sub2.geo=TR'), [lamp.click_id])
  assert.deepEqual(await ids(`/v1/logs/clicks?filter=${encodeURIComponent('sub1 starts_with "r"')}`), [lamp.click_id])
  assert.deepEqual(await ids('/v1/logs/events'), [lamp.click_id])
  assert.deepEqual(await ids('/v1/logs/conversions'), [lamp.click_id])
  const globex = await api.keyFor({ role: 'advertiser', advertiser_id: 'globex' })
  assert.deepEqual(await ids('/v1/logs/clicks', globex), [car.click_id])
  assert.deepEqual(await ids('/v1/logs/clicks?advertiser_id=acme', globex), [])
})

test('a conversion is one row, with the values of its newest revision', async (t) => {
  const api = await withApi(t)
  const lamp = clickWith()
  await api.feed([lamp, postbackWith(lamp.click_id, { raw_goal: 'sale' })])
  const columns = 'columns=conversion_id,status,revision,payout,revenue'
  const [sale] = (await page(api, `/v1/logs/conversions?${columns}`)).items
  assert.deepEqual({ ...sale, conversion_id: '' }, { conversion_id: '', status: 'pending', revision: 1, payout: '30.00', revenue: '45.00' }) // prettier-ignore
  const path = `/v1/conversions/${String(sale!['conversion_id'])}/status`
  const approved = await api.ask(path, { method: 'POST', body: { status: 'approved' } })
  assert.equal(approved.status, 200, approved.text)
  await api.feed([])
  const { items } = await page(api, `/v1/logs/conversions?${columns}`)
  assert.deepEqual(items, [{ ...sale, status: 'approved', revision: 2 }])
  assert.deepEqual((await page(api, '/v1/logs/conversions?filter=status%20is%20pending')).items, [])
})

test('an affiliate sees neither cost nor revenue nor fraud nor addresses nor what was received as it came', async (t) => {
  const api = await withApi(t)
  const key = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  const schemas = await Promise.all(
    ['clicks', 'events', 'conversions'].map((log) => api.ask(`/v1/logs/${log}/schema`, { key })),
  )
  const names = schemas.flatMap(({ body }) => (body['columns'] as { name: string }[]).map(({ name }) => name))
  const secret = [
    ...['cost', 'revenue', 'fraud', 'fraud_score', 'fraud_reason', 'raw', 'visitor_code', 'refusal'],
    ...['ip', 'user_agent', 'is_proxy', 'is_hosting', 'is_unique_global'],
  ]
  assert.deepEqual(
    names.filter((name) => secret.includes(name)),
    [],
  )
  for (const [log, column] of [
    ['clicks', 'cost'],
    ['conversions', 'revenue'],
    ['events', 'raw'],
  ] as const) {
    const answer = await api.ask(`/v1/logs/${log}?columns=${column}`, { key })
    assert.deepEqual([answer.status, (answer.body['error'] as Item)['code']], [403, 'forbidden'])
  }
  assert.equal((await api.ask('/v1/logs/clicks?fraud_reason=x', { key })).status, 403)
})

test('pages have neither gaps nor repeats in both orders, while rows come in, also within one millisecond', async (t) => {
  const api = await withApi(t)
  const at = NOW_MS - 86_400_000
  // Most share a millisecond, some lie days before the others.
  const clicks = Array.from({ length: 57 }, (_, index) => clickWith({ at: index < 40 ? at : at - index * 4_000_000 }))
  await api.feed(clicks)
  const expected = new Set(clicks.map(({ click_id }) => click_id))
  for (const order of ['newest', 'oldest']) {
    let came = 0
    const items = await allPages(
      api,
      `/v1/logs/clicks?columns=click_id,at&limit=7&order=${order}&to=${new Date(NOW_MS - 1_000).toISOString()}`,
      async () => {
        if (came++ < 2) await api.feed([clickWith({ at: NOW_MS + came }), clickWith({ at: at - 30 * 86_400_000 })])
      },
    )
    assert.equal(items.length, expected.size)
    assert.deepEqual(new Set(items.map(({ click_id }) => click_id)), expected)
    const times = items.map((item) => String(item['at']))
    assert.deepEqual(times, order === 'oldest' ? [...times].sort() : [...times].sort().reverse())
  }
})

test('a wrong cursor, column, order and limit are told', async (t) => {
  const api = await withApi(t)
  await api.feed([clickWith(), clickWith()])
  const { next_cursor: next } = await page(api, '/v1/logs/clicks?limit=1&order=newest&from=2026-11-18')
  const foreign = Buffer.from(JSON.stringify(['clicks', 'newest', 1, 2, 3, 'no-uuid', 'edge-0', '1'])).toString(
    'base64url',
  )
  for (const [query, path] of [
    ['cursor=x', 'cursor'],
    [`cursor=${foreign}`, 'cursor'],
    [`cursor=${next}&order=oldest`, 'order'],
    [`cursor=${next}&from=2026-11-19`, 'from'],
    [`cursor=${next}&to=2026-11-19`, 'to'],
    ['from=0000-01-01', 'from'],
    ['tz=US/Pacific-New', 'tz'],
    ['columns=nothing', 'columns'],
    ['country2=DE', undefined],
    ['order=up', 'order'],
    ['limit=501', 'limit'],
    ['from=yesterday', 'from'],
    [`filter=${encodeURIComponent('status is approved')}`, 'filter'],
  ] as const) {
    const answer = await api.ask(`/v1/logs/clicks?${query}`)
    assert.equal(answer.status, 400, query)
    if (path !== undefined) assert.equal((answer.body['error'] as Item)['path'], path)
  }
  const ofOther = await api.ask(`/v1/logs/events?cursor=${next}`)
  assert.deepEqual([ofOther.status, (ofOther.body['error'] as Item)['path']], [400, 'cursor'])
  assert.equal((await page(api, `/v1/logs/clicks?limit=1&order=newest&from=2026-11-18&cursor=${next}`)).items.length, 1)
})

test('what came in and what was sent are logs too, in both orders, with chosen columns', async (t) => {
  const api = await withApi(t)
  const clicks = [clickWith(), clickWith(), clickWith()]
  await api.feed([...clicks, ...clicks.map(({ click_id }) => postbackWith(click_id, { raw_goal: 'lead' }))])
  for (const [log, time, id] of [
    ['inbound-postbacks', 'received_at', 'postback_id'],
    ['deliveries', 'created_at', 'delivery_id'],
  ] as const) {
    const whole = (await page(api, `/v1/logs/${log}`)).items
    assert.ok(whole.length >= 3)
    const ids = whole.map((item) => item[id])
    const oldest = await allPages(api, `/v1/logs/${log}?order=oldest&limit=1&columns=${id},${time}`)
    assert.deepEqual(oldest.map((item) => item[id]), [...ids].reverse()) // prettier-ignore
    assert.deepEqual(Object.keys(oldest[0]!), [id, time])
    assert.deepEqual(await allPages(api, `/v1/logs/${log}?limit=2`), whole)
    assert.equal((await api.ask(`/v1/logs/${log}?columns=nothing`)).status, 400)
  }
  const key = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  assert.equal((await api.ask('/v1/logs/inbound-postbacks', { key })).status, 403)
  const sent = (await page(api, '/v1/logs/deliveries?columns=endpoint_id', key)).items
  assert.deepEqual(new Set(sent.map((item) => item['endpoint_id'])), new Set(['annas-tracker']))
})

test('what came in and what was sent are narrowed by the clicks that they are of, page by page', async (t) => {
  const api = await withApi(t)
  const countries = ['DE', 'AT', 'DE', 'PL', 'DE', 'AT']
  const clicks = countries.map((country, index) => clickWith({ country, sub1: `s${index}` }))
  const nobodys = postbackWith('01890a5d-ac96-774b-bcce-000000000099' as ClickId, { raw_goal: 'lead' })
  await api.feed([...clicks, ...clicks.map(({ click_id }) => postbackWith(click_id, { raw_goal: 'lead' })), nobodys])
  const idsOf = (wanted: (click: ClickRecord) => boolean) => new Set(clicks.filter(wanted).map(({ click_id }) => click_id)) // prettier-ignore
  for (const log of ['inbound-postbacks', 'deliveries'])
    for (const [query, wanted] of [
      ['country=DE', ({ country }) => country === 'DE'],
      ['country=DE&country=PL', ({ country }) => country !== 'AT'],
      ['not.country=DE', ({ country }) => country !== 'DE'],
      [`filter=${encodeURIComponent('country is AT or sub1 is s0')}`, ({ country, sub1 }) => country === 'AT' || sub1 === 's0'],
      ['country=DE&advertiser_id=acme', ({ country }) => country === 'DE'],
      ['country=XX', () => false],
    ] as const satisfies readonly (readonly [string, (click: ClickRecord) => boolean])[]) {
      const rows = (await page(api, `/v1/logs/${log}?${query}`)).items
      assert.deepEqual(new Set(rows.map((row) => row['click_id'])), idsOf(wanted), `${log}?${query}`)
      assert.deepEqual(await allPages(api, `/v1/logs/${log}?${query}&limit=1`), rows)
    }
  const [whole] = [(await page(api, '/v1/logs/deliveries')).items]
  const day = String(whole![0]!['created_at']).slice(0, 10)
  assert.deepEqual((await page(api, `/v1/logs/deliveries?from=${day}&to=${day}&tz=UTC`)).items, whole)
  assert.deepEqual((await page(api, '/v1/logs/deliveries?to=2020-01-01')).items, [])
  for (const [query, status] of [['country2=DE', 400], ['filter=country+is', 400], ['from=yesterday', 400], ['tz=Nowhere', 400]] as const)
    assert.equal((await api.ask(`/v1/logs/deliveries?${query}`)).status, status, query)
  const key = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  assert.equal((await api.ask('/v1/logs/deliveries?visitor_code=x', { key })).status, 403)
  const sent = (await page(api, '/v1/logs/deliveries?country=DE', key)).items
  assert.deepEqual(new Set(sent.map((item) => item['endpoint_id'])), new Set(['annas-tracker']))
}) // prettier-ignore

test('a click whose id says another day than it was is found by the filters all the same', async (t) => {
  const api = await withApi(t)
  const foreign = clickWith({ click_id: newClickId(NOW_MS - 90 * 86_400_000), country: 'DE' })
  const plain = clickWith({ click_id: 'f47ac10b-58cc-4372-a567-0e02b2c3d479' as ClickId, country: 'DE' })
  const clicks = [foreign, plain, clickWith({ country: 'AT' })]
  await api.feed([...clicks, ...clicks.map(({ click_id }) => postbackWith(click_id, { raw_goal: 'lead' }))])
  const rows = (await page(api, '/v1/logs/inbound-postbacks?country=DE')).items
  assert.deepEqual(new Set(rows.map((row) => row['click_id'])), new Set([foreign.click_id, plain.click_id]))
})

test('a page looks through so many rows and no more, and its cursor leads on', async (t) => {
  const api = await withApi(t)
  const click = clickWith({ country: 'DE' })
  await api.feed([click, postbackWith(click.click_id, { raw_goal: 'lead' })])
  await api.pool.query(`
    INSERT INTO inbound_postbacks (postback_id, received_at, via, click_id, raw, record, outcome)
    SELECT gen_random_uuid(), '2030-01-01'::timestamptz + n * interval '1 ms', 'postback', gen_random_uuid(), '', '{}', 'refused'
    FROM generate_series(1, ${apiLimits.narrowedRowsMax + 1}) AS n`)
  const first = await page(api, '/v1/logs/inbound-postbacks?country=DE')
  assert.deepEqual(first.items, [])
  const second = await page(api, `/v1/logs/inbound-postbacks?country=DE&cursor=${first.next_cursor}`)
  assert.deepEqual([second.items.map((item) => item['click_id']), second.next_cursor], [[click.click_id], null])
})
