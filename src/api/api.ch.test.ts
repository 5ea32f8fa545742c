import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { createClient } from '@clickhouse/client'

import { createMemoryCaps } from '#caps'
import { createLogLines } from '#platform/log-lines'

import { startApi } from './index.ts'
import { clickWith, eventWith, globexPlace, OWNER_KEY, postbackWith, withApi, type Answer } from './test-api.ts'

type Json = Record<string, unknown>
const itemsOf = (answer: Answer): readonly Json[] => answer.body['items'] as readonly Json[]
const errorOf = (answer: Answer): Json => answer.body['error'] as Json
const codeOf = (answer: Answer): unknown => errorOf(answer)['code']

const NOBODY = '0199a0aa-0000-7000-8000-000000000000'

type Operation = {
  readonly method: 'get' | 'post' | 'delete'
  readonly path: string
  readonly isPublic: boolean
  readonly isByLink: boolean
}

/** Every route that the description knows. */
async function listRoutes(ask: (url: string) => Promise<Answer>): Promise<readonly Operation[]> {
  const { paths } = (await ask('/openapi.json')).body as unknown as {
    paths: Record<string, Record<string, { readonly security?: readonly unknown[] }>>
  }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security }]) => ({
      method: method as Operation['method'],
      path,
      isPublic: !path.startsWith('/v1/'),
      // It carries what opens it, and says so in the description.
      isByLink: security?.length === 0,
    })),
  )
}

const withIds = (path: string): string => path.replace('{delivery_id}', '999999').replace(/\{\w+\}/g, NOBODY)

test('every route of the API asks for a key, and a key that is unknown opens nothing', async (t) => {
  // Two guesses at each route are more than an address has in a minute.
  const { ask } = await withApi(t, { limits: { refusalsPerMinuteMax: 1_000 } })
  const routes = await listRoutes(ask)
  assert.ok(routes.length >= 20, String(routes.length))
  const byLink = routes.filter(({ isByLink }) => isByLink).map(({ path }) => path)
  assert.deepEqual(byLink.sort(), ['/v1/exports/{job_id}/download', '/v1/report-files/{token}', '/v1/shared-reports/{token}']) // prettier-ignore
  for (const { method, path, isPublic, isByLink } of routes) {
    const url = withIds(path)
    const methodName = method.toUpperCase() as 'GET'
    const none = await ask(url, { key: '', method: methodName })
    if (isByLink) assert.ok([400, 403, 404].includes(none.status), `${path} ${none.status}`)
    else assert.equal(none.status, isPublic ? 200 : 401, path)
    if (!isPublic && !isByLink)
      assert.equal((await ask(url, { key: 'wp_wrong', method: methodName })).status, 401, path)
  }
})

test('tells everything about one click on one page', async (t) => {
  const { ask, feed } = await withApi(t)
  const click = clickWith({ sub1: 'banner-7', cost_micros: 250_000, currency: 'EUR' })
  await feed([
    click,
    eventWith(click.click_id, 'open'),
    eventWith(click.click_id, 'reg', { txid: 'account-1' }),
    eventWith(click.click_id, 'nonsense', { ip: '2001:db8::1' }),
    postbackWith(click.click_id, { raw_status: 'SALE', txid: 'order-1', raw: 'status=SALE' }),
    postbackWith(click.click_id, { raw_status: 'gibberish' }),
  ])
  const { status, body } = await ask(`/v1/clicks/${click.click_id}`)
  assert.equal(status, 200)
  const page = body as unknown as Record<string, readonly Json[]> & {
    click: Json
    decision: string[]
    is_in_reports: boolean
  }
  assert.deepEqual(
    [page.click['sub1'], page.click['cost'], page.click['is_unique_campaign'], page.is_in_reports],
    ['banner-7', '0.25', true, true],
  )
  assert.match(page.decision.join(' '), /acme-main.*acme-lamp/)
  assert.equal(page.click['ip'], '192.0.2.1')
  const events = page['events']!.map(({ type, refusal, ip }) => [type, refusal ?? '', ip])
  assert.deepEqual(events, [['open', '', '192.0.2.1'], ['reg', '', '192.0.2.1'], ['nonsense', 'type_unknown', '2001:db8::1']]) // prettier-ignore
  const conversions = page['conversions']!.map(({ type, status, payout, revenue }) =>
    [type, status, payout, revenue].join(' '),
  )
  assert.deepEqual(conversions.sort(), ['lead approved 2.50 4.00', 'sale pending 30.00 45.00'])
  assert.deepEqual(new Set(page['revisions']!.map(({ cause }) => cause)), new Set(['event', 'postback']))
  const bookings = page['bookings']!.map(({ account, amount }) => `${String(account)} ${String(amount)}`)
  assert.ok(
    bookings.includes('affiliate/approved -2.50') && bookings.includes('affiliate/hold -30.00'),
    bookings.join(', '),
  )
  const inbound = page['inbound_postbacks']!.map(({ outcome, reason }) => `${String(outcome)} ${String(reason)}`)
  assert.deepEqual(inbound.sort(), ['converted null', 'refused status_unmapped'])
  const deliveries = page['deliveries']!.map(
    ({ endpoint_id, cause, state }) => `${String(endpoint_id)} ${String(cause)} ${String(state)}`,
  )
  assert.deepEqual(deliveries.sort(), [
    'acmes-crm lead ready',
    'acmes-crm sale ready',
    'annas-tracker lead ready',
    'annas-tracker sale ready',
  ])
})

test('finds a click in the facts when the index has forgotten it, and none that never was', async (t) => {
  const { ask, feed, hotState } = await withApi(t)
  const click = clickWith({ sub3: 'old' })
  await feed([click])
  await hotState.forgetBefore({ clicksBeforeMs: Number.MAX_SAFE_INTEGER, claimsBeforeMs: 0 })
  assert.equal(hotState.getClick(click.click_id), undefined)
  const { body } = await ask(`/v1/clicks/${click.click_id}`)
  const found = body['click'] as Json
  assert.deepEqual(
    [found['sub3'], found['country'], found['ip'], found['at']],
    ['old', 'DE', '192.0.2.1', new Date(click.at).toISOString()],
  )
  assert.equal((await ask(`/v1/clicks/${NOBODY}`)).status, 404)
  assert.equal(codeOf(await ask('/v1/clicks/not-a-uuid')), 'request_invalid')
})

test('tenants never meet: on no route does one see, find or change what is another’s', async (t) => {
  const { ask, feed, keyFor, pool } = await withApi(t, { caps: createMemoryCaps() })
  const acmeClick = clickWith({ sub1: 'acme-marker' })
  const globexClick = clickWith({ ...globexPlace, affiliate_id: 'bert', sub1: 'globex-marker' })
  await feed([
    acmeClick,
    globexClick,
    eventWith(acmeClick.click_id, 'deposit', { txid: 'acme-marker' }),
    eventWith(globexClick.click_id, 'deposit', { txid: 'globex-marker' }),
    postbackWith(acmeClick.click_id, { raw_status: 'acme-marker' }),
    postbackWith(globexClick.click_id, { raw_status: 'globex-marker' }),
  ])
  const routes = await listRoutes(ask)
  // A stream does not end; live.ch.test.ts holds it.
  const lists = routes.filter(
    ({ method, path, isPublic }) => method === 'get' && !isPublic && !path.includes('{') && path !== '/v1/live',
  )
  const conversionIds = await idsOf(pool, 'SELECT advertiser_id AS owner, conversion_id::text AS id FROM conversions')
  const deliveryIds = await idsOf(pool, 'SELECT advertiser_id AS owner, delivery_id::text AS id FROM deliveries')
  const tenants = [
    { wanted: { role: 'advertiser', advertiser_id: 'acme' }, foreign: 'globex', foreignClick: globexClick },
    { wanted: { role: 'advertiser', advertiser_id: 'globex' }, foreign: 'acme', foreignClick: acmeClick },
    { wanted: { role: 'affiliate', affiliate_id: 'bert' }, foreign: 'acme', foreignClick: acmeClick },
    { wanted: { role: 'affiliate', affiliate_id: 'anna' }, foreign: 'globex', foreignClick: globexClick },
    {
      wanted: { role: 'affiliate', affiliate_id: 'anna', advertiser_id: 'acme' },
      foreign: 'globex',
      foreignClick: globexClick,
    },
  ] as const
  for (const { wanted, foreign, foreignClick } of tenants) {
    const key = await keyFor(wanted, ['read', 'write'])
    const as = JSON.stringify(wanted)
    for (const { path } of lists)
      for (const query of [
        '',
        `?advertiser_id=${foreign}`,
        path === '/v1/reports' ? '?group_by=advertiser_id,sub1,affiliate_id' : '',
      ]) {
        const answer = await ask(path + query, { key })
        assert.ok([200, 400, 403].includes(answer.status), `${as} ${path} ${answer.status}`)
        assert.ok(
          answer.status !== 200 || !answer.text.includes(`"${foreign}`),
          `${as} ${path}${query} shows ${answer.text}`,
        )
        assert.ok(!answer.text.includes(`${foreign}-marker`), `${as} ${path}${query} shows ${answer.text}`)
      }
    const foreignAddresses = [
      `/v1/clicks/${foreignClick.click_id}`,
      `/v1/conversions/${conversionIds.get(foreign)}`,
      `/v1/deliveries/${deliveryIds.get(foreign)}`,
    ]
    for (const url of foreignAddresses) assert.equal((await ask(url, { key })).status, 404, `${as} ${url}`)
    const change = await ask(`/v1/conversions/${conversionIds.get(foreign)}/status`, {
      key,
      method: 'POST',
      body: { status: 'rejected' },
    })
    assert.equal(change.status, wanted.role === 'affiliate' ? 403 : 404)
    const again = await ask(`/v1/deliveries/${deliveryIds.get(foreign)}/replay`, { key, method: 'POST' })
    assert.equal(again.status, 404)
    const testSend = await ask(`/v1/endpoints/${foreign}s-crm/test`, { key, method: 'POST' })
    assert.equal(testSend.status, 404)
    const replay = await ask('/v1/inbound-postbacks/replay', {
      key,
      method: 'POST',
      body: { offer_id: `${foreign}-lamp` },
    })
    assert.ok(wanted.role === 'affiliate' ? replay.status === 403 : replay.body['refused'] === 0)
  }
  const { rows } = await pool.query<{ count: bigint }>("SELECT count(*) FROM conversions WHERE status = 'rejected'")
  assert.equal(rows[0]!.count, 0n)
})

async function idsOf(
  pool: { query: (sql: string) => Promise<{ rows: { owner: string; id: string }[] }> },
  sql: string,
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await pool.query(sql)
  return new Map(rows.map(({ owner, id }) => [owner, id]))
}

test('an affiliate sees what it earns and on no page what the advertiser pays', async (t) => {
  const { ask, feed, keyFor } = await withApi(t)
  const click = clickWith({ cost_micros: 7_770_000, currency: 'EUR' })
  await feed([click, eventWith(click.click_id, 'deposit', { txid: '1' })])
  const key = await keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  const [conversion] = itemsOf(await ask('/v1/conversions', { key }))
  assert.equal(conversion!['payout'], '30.00')
  const pages = [
    '/v1/conversions',
    `/v1/conversions/${String(conversion!['conversion_id'])}`,
    `/v1/clicks/${click.click_id}`,
    '/v1/balances',
    '/v1/reports',
    '/v1/reports/schema',
    '/v1/deliveries',
  ]
  for (const page of pages) {
    const { status, text } = await ask(page, { key })
    assert.equal(status, 200, page)
    assert.doesNotMatch(text, /revenue"|profit|45\.00|7\.77|cost"|fraud|platform\/|advertiser\/|"decision"/, page)
  }
  assert.match((await ask('/v1/balances', { key })).text, /"balance":"-30.00"/)
  assert.equal(codeOf(await ask('/v1/reports?metrics=revenue', { key })), 'forbidden')
  assert.equal(codeOf(await ask('/v1/inbound-postbacks', { key })), 'forbidden')
})

test('reports count what was fed, in the zone and currency of the advertiser', async (t) => {
  const { ask, feed, keyFor } = await withApi(t)
  const click = clickWith()
  await feed([
    click,
    clickWith({ country: 'TR', bot: 'user_agent' }),
    eventWith(click.click_id, 'deposit', { txid: '1' }),
  ])
  const key = await keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  const { body } = await ask('/v1/reports?group_by=country&metrics=clicks,bots&metrics=sales&order=-clicks&order=', {
    key,
  })
  assert.equal((body['error'] as Json)['path'], 'order')
  const report = await ask(
    '/v1/reports?group_by=country&metrics=clicks,bots&metrics=sales,revenue_pending&order=country',
    { key },
  )
  assert.deepEqual([report.body['timezone'], report.body['currency']], ['Europe/Berlin', 'EUR'])
  assert.deepEqual(report.body['rows'], [
    { country: 'DE', clicks: 1, bots: 0, sales: 1, revenue_pending: '45.00' },
    { country: 'TR', clicks: 1, bots: 1, sales: 0, revenue_pending: '0.00' },
  ])
  assert.deepEqual(report.body['totals'], { clicks: 2, bots: 1, sales: 1, revenue_pending: '45.00' })
  assert.deepEqual((await ask('/v1/reports?country=TR&metrics=clicks', { key })).body['totals'], { clicks: 1 })
  assert.deepEqual((await ask('/v1/reports?not.country=TR&not.country=US&metrics=clicks', { key })).body['totals'], {
    clicks: 1,
  })
})

for (const [query, path] of [
  ['group_by=colour', 'group_by'],
  ['metrics=luck', 'metrics'],
  ['order=-sales&metrics=clicks', 'order'],
  ['limit=0', 'limit'],
  ['limit=10001', 'limit'],
  ['from=yesterday', 'from'],
  ['from=2026-02-30', 'from'],
  ['from=2026-03-02&to=2026-03-01', 'to'],
  ['from=2020-01-01', 'to'],
  ['tz=Mars/Base', 'tz'],
  ['currency=XXY', 'currency'],
  ['hour=1', 'hour'],
  ['sub2.=x', 'sub2.'],
  ['colour=red', 'colour'],
  ['group_by=sub1,sub2,sub3,sub4,sub5,sub6,sub7', 'group_by'],
  [`country=${'x'.repeat(256)}`, 'country.0'],
] as const)
  // prettier-ignore
  test(`a report refuses ${query.slice(0, 60)} and names ${path}`, async (t) => {
    const { ask } = await withApi(t)
    const answer = await ask(`/v1/reports?${query}`)
    assert.deepEqual([answer.status, codeOf(answer), errorOf(answer)['path']], [400, 'request_invalid', path])
  })

test('changes the status of a conversion with its bookings, once', async (t) => {
  const { ask, feed, keyFor } = await withApi(t)
  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'deposit', { txid: '1' })])
  const key = await keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  const id = String(itemsOf(await ask('/v1/conversions'))[0]!['conversion_id'])
  const post = (status: string) => ask(`/v1/conversions/${id}/status`, { key, method: 'POST', body: { status } })
  const approved = await post('approved')
  assert.deepEqual([approved.status, approved.body['status'], approved.body['revision']], [200, 'approved', 2])
  assert.deepEqual([(await post('approved')).status, codeOf(await post('approved'))], [409, 'conflict'])
  assert.equal(codeOf(await post('maybe')), 'request_invalid')
  const page = (await ask(`/v1/conversions/${id}`, { key })).body as unknown as Record<string, readonly Json[]>
  assert.deepEqual(page['revisions']!.map(({ status, revised_by }) => [status, revised_by]), [['pending', ''], ['approved', 'API key test']]) // prettier-ignore
  const balances = itemsOf(await ask('/v1/balances', { key })).map(
    ({ account, balance }) => `${String(account)} ${String(balance)}`,
  )
  assert.ok(
    balances.includes('affiliate/approved -30.00') && balances.includes('advertiser/spend 45.00'),
    balances.join(', '),
  )
  const reader = await keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  const refused = await ask(`/v1/conversions/${id}/status`, {
    key: reader,
    method: 'POST',
    body: { status: 'rejected' },
  })
  assert.equal(codeOf(refused), 'forbidden')
})

test('corrects the payout of a conversion, which an affiliate sees without its reason', async (t) => {
  const { ask, feed, keyFor } = await withApi(t)
  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'deposit', { txid: '1' })])
  const id = String(itemsOf(await ask('/v1/conversions'))[0]!['conversion_id'])
  const post = (body: Json, key?: string) =>
    ask(`/v1/conversions/${id}/amounts`, { method: 'POST', body, ...(key !== undefined && { key }) })
  const corrected = await post({ payout: '31.5', reason: 'the rate of May' })
  assert.deepEqual(
    [corrected.status, corrected.body['payout'], corrected.body['revenue'], corrected.body['revision']],
    [200, '31.50', '45.00', 2],
  )
  assert.equal(codeOf(await post({ payout: '31.5', reason: 'once more' })), 'conflict')
  for (const body of [{ reason: 'x' }, { payout: '-1', reason: 'x' }, { payout: '1' }, { payout: '1', reason: ' ' }])
    assert.equal(codeOf(await post(body)), 'request_invalid', JSON.stringify(body))
  const advertiser = await keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  assert.equal(codeOf(await post({ payout: '1', reason: 'x' }, advertiser)), 'forbidden')
  const revisionsFor = async (key?: string) =>
    ((await ask(`/v1/conversions/${id}`, key === undefined ? {} : { key })).body as never as { revisions: Json[] })
      .revisions
  const [, own] = await revisionsFor()
  assert.deepEqual(
    [own!['cause'], own!['revised_by'], own!['reason']],
    ['correction', 'API key test', 'the rate of May'],
  )
  const affiliate = await keyFor({ role: 'affiliate', affiliate_id: String(corrected.body['affiliate_id']) })
  const [, seen] = await revisionsFor(affiliate)
  assert.deepEqual([seen!['payout'], seen!['reason'], seen!['revised_by']], ['31.50', undefined, undefined])
})

test('judges a refused postback again once its word is mapped', async (t) => {
  const { ask, feed } = await withApi(t)
  const click = clickWith()
  await feed([click, postbackWith(click.click_id, { raw_status: 'ftd', txid: '9' })])
  const refused = itemsOf(await ask('/v1/inbound-postbacks?outcome=refused&reason=status_unmapped'))
  assert.deepEqual(refused.map(({ raw_status }) => raw_status), ['ftd']) // prettier-ignore
  const replay = () =>
    ask('/v1/inbound-postbacks/replay', { method: 'POST', body: { postback_ids: [refused[0]!['postback_id']] } })
  assert.deepEqual((await replay()).body, { converted: 0, updated: 0, refused: 1 })
  assert.equal(codeOf(await ask('/v1/inbound-postbacks/replay', { method: 'POST', body: {} })), 'request_invalid')
  const { body } = await ask('/v1/config', {
    method: 'POST',
    type: 'application/yaml',
    body: `offers: { acme-lamp: { advertiser_id: acme, landing_url: "https://acme.example/", prices: [{ type: sale, payout: 30, revenue: 45 }], status_map: { FTD: sale/approved } } }`,
  })
  assert.equal(body['kind'], 'applied', JSON.stringify(body))
  await until(async () => (await ask('/readyz')).body['config_version'] === 2)
  assert.deepEqual((await replay()).body, { converted: 1, updated: 0, refused: 0 })
})

/** Waits for what another connection announces. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve))
}

const END_READY = `
  WITH gone AS (DELETE FROM delivery_ready RETURNING *)
  INSERT INTO delivery_finals SELECT delivery_id, created_at, endpoint_id, 'gave_up', 'expired', 0, now() FROM gone`

test('sends a postback once more, and a made-up sale to try an endpoint', async (t) => {
  const { ask, feed, keyFor, pool } = await withApi(t)
  const click = clickWith()
  await feed([click, eventWith(click.click_id, 'reg')])
  const key = await keyFor({ role: 'affiliate', affiliate_id: 'anna' }, ['read', 'write'])
  const [first] = itemsOf(await ask('/v1/deliveries', { key }))
  assert.deepEqual(
    [first!['endpoint_id'], first!['url']],
    ['annas-tracker', `https://anna.example/?c=${click.click_id}&p=2.5`],
  )
  const replayOf = () => ask(`/v1/deliveries/${String(first!['delivery_id'])}/replay`, { key, method: 'POST' })
  assert.equal(codeOf(await replayOf()), 'conflict', 'it waits for its first try')
  await pool.query(END_READY)
  const replayed = await replayOf()
  assert.equal(replayed.status, 201)
  const { body } = await ask(`/v1/deliveries/${String(replayed.body['delivery_id'])}`, { key })
  assert.deepEqual(
    [body['kind'], body['replay_no'], body['event_id'], body['url']],
    ['replay', 1, first!['event_id'], first!['url']],
  )
  const trial = await ask('/v1/endpoints/annas-tracker/test?wait_ms=0', { key, method: 'POST' })
  assert.equal(trial.status, 201, trial.text)
  assert.equal(trial.body['attempt'], null)
  assert.equal((await ask('/v1/endpoints/nobodys/test', { method: 'POST' })).status, 404)
  assert.equal((await ask('/v1/deliveries/999999/replay', { method: 'POST' })).status, 404)
})

test('lists the ready-made postbacks, to affiliates as well', async (t) => {
  const { ask, keyFor } = await withApi(t)
  const key = await keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  const { status, body } = await ask('/v1/postback-templates', { key })
  assert.equal(status, 200)
  const items = body['items'] as readonly Json[]
  const keitaro = items.find((item) => item['name'] === 'keitaro')!
  assert.match(String(keitaro['url']), /^https:\/\/<host>\/<key>\/postback\?subid=/)
  assert.deepEqual(
    (keitaro['parameters'] as readonly Json[]).map((parameter) => [
      parameter['name'],
      parameter['is_needed'],
      parameter['default'],
    ]),
    [
      ['host', true, null],
      ['key', true, null],
      ['click_id', false, 'external_id'],
    ],
  )
  assert.ok(items.every((item) => String(item['source']).startsWith('https://')))
})

test('pages through a list without losing or repeating a row, also when rows arrive meanwhile', async (t) => {
  const { ask, feed } = await withApi(t)
  const clicks = Array.from({ length: 7 }, () => clickWith())
  await feed([...clicks, ...clicks.map(({ click_id }) => eventWith(click_id, 'deposit'))])
  const all = itemsOf(await ask('/v1/conversions')).map(({ conversion_id }) => conversion_id)
  assert.equal(all.length, 7)
  const paged: unknown[] = []
  let cursor: unknown = ''
  while (cursor !== null) {
    const { body } = await ask(`/v1/conversions?limit=3${cursor === '' ? '' : `&cursor=${String(cursor)}`}`)
    paged.push(...(body['items'] as readonly Json[]).map(({ conversion_id }) => conversion_id))
    cursor = body['next_cursor']
    const late = clickWith()
    await feed([late, eventWith(late.click_id, 'deposit')])
  }
  assert.deepEqual(paged, all)
  const byClick = itemsOf(await ask(`/v1/conversions?click_id=${clicks[0]!.click_id}&type=sale&status=pending`))
  assert.equal(byClick.length, 1)
  for (const url of ['/v1/conversions', '/v1/deliveries', '/v1/inbound-postbacks', '/v1/api-keys']) {
    const wrong = await ask(`${url}?cursor=bm9uc2Vuc2U`)
    assert.deepEqual([wrong.status, errorOf(wrong)['path']], [400, 'cursor'], url)
    assert.equal(errorOf(await ask(`${url}?limit=501`))['path'], 'limit', url)
  }
})

test('applies a configuration sent to it, refuses a wrong one with its lines, and masks secrets', async (t) => {
  const { ask } = await withApi(t)
  const post = (body: string, query = '', type = 'application/yaml') =>
    ask(`/v1/config${query}`, { method: 'POST', type, body })
  const wrong = await post('offers:\n  lamp:\n    colour: red\n')
  assert.deepEqual([wrong.status, codeOf(wrong)], [422, 'configuration_invalid'])
  const issues = wrong.body['issues'] as readonly Json[]
  assert.deepEqual(issues.map(({ line, code }) => [line, code]), [[2, 'key_missing'], [2, 'key_missing'], [3, 'key_unknown']]) // prettier-ignore
  const file = 'advertisers: { initech: {} }'
  assert.deepEqual((await post(file, '?dry_run=true')).body['kind'], 'planned')
  const applied = await post(file)
  assert.deepEqual([applied.body['kind'], applied.body['version']], ['applied', 2])
  assert.deepEqual((await post(file)).body, { kind: 'unchanged', version: 2, changes: [] })
  assert.equal(codeOf(await post(file, '', 'application/xml')), 'content_type_unsupported')
  const versions = itemsOf(await ask('/v1/config/versions?limit=1'))
  assert.deepEqual(versions.map(({ version, created_by }) => [version, created_by]), [[2, 'API key test']]) // prettier-ignore
  assert.equal(itemsOf(await ask('/v1/config/versions?before=2'))[0]!['version'], 1)
  const { text, body } = await ask('/v1/config')
  assert.equal(body['version'], 2)
  assert.doesNotMatch(text, /whsec_|acme-secret-1/)
  assert.equal((await ask('/v1/config?version=99')).status, 404)
})

test('lists, shows, compares and restores versions of the configuration, for the owner only', async (t) => {
  const { ask, keyFor } = await withApi(t)
  const apply = (body: string) => ask('/v1/config', { method: 'POST', type: 'application/yaml', body })
  assert.equal((await apply('advertisers: { initech: {} }')).body['kind'], 'applied')
  assert.equal((await apply('links: { go: { campaign_id: acme-main } }')).body['kind'], 'applied')
  const page = await ask('/v1/config/versions?limit=2')
  assert.deepEqual(itemsOf(page).map(({ version, added, first_objects }) => [version, added, first_objects]), [
    [3, 1, ['link go']], [2, 1, ['advertiser initech']],
  ]) // prettier-ignore
  assert.equal(page.body['next_before'], 2)
  const last = await ask('/v1/config/versions?limit=2&before=2')
  assert.deepEqual([itemsOf(last).length, last.body['next_before']], [1, null])

  const shown = await ask('/v1/config/versions/1')
  assert.deepEqual([shown.body['created_by'], shown.body['restored_version']], ['test', null])
  assert.ok((shown.body['changes'] as Json[]).length > 0)
  assert.doesNotMatch(shown.text, /whsec_|acme-secret-1|"redirect_key":"(?!\(secret\))/)
  const diff = await ask('/v1/config/versions/1/diff/3')
  assert.deepEqual((diff.body['changes'] as Json[]).map(({ kind, id }) => `${String(kind)} ${String(id)}`), ['added initech', 'added go']) // prettier-ignore

  const restore = (query = '', version = 1, key?: string) =>
    ask(`/v1/config/versions/${version}/restore${query}`, { method: 'POST', key })
  const planned = await restore()
  assert.deepEqual([planned.body['kind'], planned.body['version']], ['planned', 4])
  assert.equal((await ask('/v1/config')).body['version'], 3)
  assert.equal(codeOf(await restore('?dry_run=false&newest=2')), 'conflict')
  const restored = await restore('?dry_run=false&newest=3')
  assert.deepEqual([restored.body['kind'], restored.body['version'], restored.body['kept']], ['restored', 4, []])
  const newest = itemsOf(await ask('/v1/config/versions?limit=1'))[0]!
  assert.deepEqual([newest['created_by'], newest['restored_version'], newest['removed']], ['API key test', 1, 2])
  assert.equal((await restore()).body['kind'], 'unchanged')

  for (const path of ['/v1/config/versions/99', '/v1/config/versions/1/diff/99'])
    assert.equal((await ask(path)).status, 404)
  assert.equal((await restore('', 99)).status, 404)
  const advertiser = await keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  for (const path of ['/v1/config/versions', '/v1/config/versions/1', '/v1/config/versions/1/diff/2'])
    assert.equal((await ask(path, { key: advertiser })).status, 403)
  assert.equal((await restore('', 1, advertiser)).status, 403)
  assert.equal((await restore('', 1, await keyFor({ role: 'owner' }))).status, 403)
})

test('makes keys that open what they are for, until they are revoked', async (t) => {
  const { ask } = await withApi(t)
  const make = (body: object) => ask('/v1/api-keys', { method: 'POST', body })
  const made = await make({ name: 'console', role: 'advertiser', advertiser_id: 'acme' })
  assert.deepEqual([made.status, made.body['scopes']], [201, ['read']])
  const key = String(made.body['key'])
  assert.equal((await ask('/v1/conversions', { key })).status, 200)
  assert.equal(codeOf(await ask('/v1/api-keys', { key })), 'forbidden')
  assert.doesNotMatch((await ask('/v1/api-keys')).text, new RegExp(key))
  assert.equal((await ask(`/v1/api-keys/${String(made.body['api_key_id'])}`, { method: 'DELETE' })).status, 200)
  assert.equal((await ask('/v1/conversions', { key })).status, 401)
  assert.equal((await ask(`/v1/api-keys/${NOBODY}`, { method: 'DELETE' })).status, 404)
  for (const [wanted, path] of [
    [{ role: 'advertiser' }, 'advertiser_id'],
    [{ role: 'affiliate' }, 'affiliate_id'],
    [{ role: 'advertiser', advertiser_id: 'nobody' }, 'advertiser_id'],
    [{ role: 'owner', advertiser_id: 'acme' }, 'advertiser_id'],
    [{ role: 'advertiser', advertiser_id: 'acme', affiliate_id: 'anna' }, 'affiliate_id'],
    [{ role: 'affiliate', affiliate_id: 'bert', advertiser_id: 'acme' }, 'affiliate_id'],
  ] as const)
    // prettier-ignore
    assert.equal(errorOf(await make({ name: 'x', ...wanted }))['path'], path, JSON.stringify(wanted))
})

test('answers 503 with the right code while an engine is away, and stays up', async (t) => {
  const away = createClient({ url: 'http://127.0.0.1:1' })
  const withoutFacts = await withApi(t, { facts: away })
  const answer = await withoutFacts.ask('/v1/reports')
  assert.deepEqual([answer.status, codeOf(answer), answer.headers['retry-after']], [503, 'facts_unavailable', '2'])
  assert.equal((await withoutFacts.ask('/v1/conversions')).status, 200)
  const ready = await withoutFacts.ask('/readyz')
  assert.deepEqual([ready.status, ready.body['are_facts_up'], ready.body['is_database_up']], [503, false, true])
  await away.close()
})

test('answers 503 while PostgreSQL is away', async (t) => {
  const { createPool } = await import('#platform/postgres')
  const nowhere = createPool('postgres://nobody@127.0.0.1:1/nothing')
  const { ask } = await withApi(t, { pool: nowhere })
  const answer = await ask('/v1/reports')
  assert.deepEqual(
    [answer.status, codeOf(answer), errorOf(answer)['is_retryable']],
    [503, 'database_unavailable', true],
  )
  assert.deepEqual([(await ask('/readyz')).status, (await ask('/healthz')).status], [503, 200])
  await nowhere.end()
})

test('limits bodies, requests of a key, and guesses from an address', async (t) => {
  const { ask, clock } = await withApi(t, {
    limits: { bodyBytesMax: 1_000, requestsPerMinuteMax: 20, refusalsPerMinuteMax: 3 },
  })
  const large = await ask('/v1/api-keys', { method: 'POST', body: { name: 'x'.repeat(2_000), role: 'owner' } })
  assert.deepEqual([large.status, codeOf(large)], [413, 'body_too_large'])
  const broken = await ask('/v1/api-keys', { method: 'POST', type: 'application/json', body: '{"name":' })
  assert.deepEqual([broken.status, codeOf(broken)], [400, 'body_unreadable'])
  for (let request = 2; request < 20; request++) assert.equal((await ask('/v1/api-keys')).status, 200)
  assert.deepEqual([(await ask('/v1/api-keys')).status, codeOf(await ask('/v1/api-keys'))], [429, 'rate_limited'])
  for (let guess = 0; guess < 3; guess++)
    assert.equal((await ask('/v1/balances', { key: `guess-${guess}` })).status, 401)
  assert.equal((await ask('/v1/balances', { key: 'guess-4' })).status, 429)
  clock.advance(60_000)
  assert.equal((await ask('/v1/balances', { key: 'guess-5' })).status, 401)
  assert.equal((await ask('/v1/balances')).status, 200)
})

test('has one shape for every error', async (t) => {
  const { ask } = await withApi(t)
  const answers = [
    await ask('/v1/nothing'), await ask('/v1/reports', { key: '' }), await ask('/v1/reports?limit=x'), await ask(`/v1/clicks/${NOBODY}`),
    await ask('/v1/conversions/%E0%A4%A'), await ask('/v1/reconcile'), await ask('/v1/api-keys', { method: 'POST', body: {} }),
  ] // prettier-ignore
  for (const { status, body, text } of answers) {
    assert.ok(status >= 400, text)
    const error = body['error'] as Json
    assert.ok(
      typeof error['code'] === 'string' &&
        typeof error['message'] === 'string' &&
        typeof error['is_retryable'] === 'boolean',
      text,
    )
  }
})

test('describes every route with its parameters and answers', async (t) => {
  const { ask } = await withApi(t)
  const { body } = await ask('/openapi.json')
  const paths = body['paths'] as Record<string, Record<string, { summary?: string; responses?: Json }>>
  for (const [path, methods] of Object.entries(paths))
    for (const [method, operation] of Object.entries(methods)) {
      assert.ok(operation.summary, `${method} ${path} has no summary`)
      assert.ok(
        Object.keys(operation.responses ?? {}).some((status) => status.startsWith('2')),
        `${method} ${path} has no answer`,
      )
    }
  assert.match(JSON.stringify(paths['/v1/reports']), /not\.utm_source/)
})

test('greets a person who opens the port, without a script and without anything from elsewhere', async (t) => {
  const { ask } = await withApi(t)
  const { status, text, headers } = await ask('/', { key: '' })
  assert.deepEqual([status, headers['content-type']], [200, 'text/html; charset=utf-8'])
  assert.match(text, /Waypost[\s\S]*openapi\.json/)
  assert.doesNotMatch(text, /<script|<link|src=|@import/)
  assert.equal(
    headers['content-security-policy'],
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  )
})

test('tells Prometheus about itself and the parts that run beside it', async (t) => {
  const { ask } = await withApi(t, { metrics: [() => 'waypost_other_total 7'] })
  await ask(`/v1/clicks/${NOBODY}`)
  const { text } = await ask('/metrics', { key: '' })
  assert.match(text, /waypost_api_request_seconds_count\{method="GET",route="\/v1\/clicks\/:click_id",status="404"\} 1/)
  assert.match(text, /waypost_other_total 7\n$/)
  assert.ok(!text.includes(NOBODY) && !text.includes(OWNER_KEY))
})

test('the page of the API lists every route and no other', async (t) => {
  const { ask } = await withApi(t)
  const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')
  const listed = [...page.matchAll(/^\| `(GET|POST|PUT|DELETE) (\/\S+)`/gm)].map(
    ([, method, path]) => `${method} ${path}`,
  )
  const routes = (await listRoutes(ask)).map(
    ({ method, path }) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`,
  )
  assert.deepEqual(listed.sort(), [...routes].sort())
})

test('listens, answers what is under way when it is stopped, and then no more', async (t) => {
  const { pool, facts, hotState, clock } = await withApi(t)
  const config = { apiHost: '127.0.0.1', apiPort: 0, edgePort: 8080, sub2AllowedKeys: [] }
  const unused = () => assert.fail('Nobody asks for that here.')
  const log = { partitions: unused, bounds: unused, read: unused }
  const snapshots = { current: () => undefined, isFresh: () => false }
  const arrived = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<string>()
  const metrics = [() => (arrived.resolve(), gate.promise)]
  const logLines = createLogLines('test', 'silent')
  const api = await startApi({
    config,
    openEnricher: unused,
    log,
    pool,
    facts,
    hotState,
    snapshots,
    clock,
    logLines,
    metrics,
  })
  const address = `http://127.0.0.1:${api.port}`
  const ready = await fetch(`${address}/readyz`)
  assert.deepEqual(
    [ready.status, (await ready.json()) as object],
    [
      503,
      { status: 'not_ready', config_version: null, is_config_fresh: false, is_database_up: true, are_facts_up: true },
    ],
  )
  const underWay = fetch(`${address}/metrics`)
  await arrived.promise
  const stopped = api.stop()
  gate.resolve('last_words_total 1')
  assert.match(await (await underWay).text(), /last_words_total 1/)
  await stopped
  await assert.rejects(fetch(`${address}/healthz`))
})
