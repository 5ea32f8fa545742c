import assert from 'node:assert/strict'
import { test } from 'node:test'

import { clickWith, eventWith, globexPlace, NOW_MS, OWNER_KEY, withApi, type Answer, type TestApi } from './test-api.ts'

const codeOf = ({ status, body }: Answer) => (status < 400 ? status : (body['error'] as { code: string }).code)
const idOf = ({ body, text }: Answer) => {
  assert.ok(body['saved_report_id'], text)
  return body['saved_report_id'] as string
}

async function withKeys(t: Parameters<typeof withApi>[0]) {
  const api = await withApi(t)
  const both = ['read', 'write'] as const
  const keys = {
    acme: await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' }, both),
    acme2: await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' }, both),
    globex: await api.keyFor({ role: 'advertiser', advertiser_id: 'globex' }, both),
    anna: await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' }, both),
    bert: await api.keyFor({ role: 'affiliate', affiliate_id: 'bert' }, both),
  }
  return { ...api, keys }
}

const save = (api: TestApi, key: string, body: object) =>
  api.ask('/v1/saved-reports', { key, method: 'POST', body: { name: 'Mine', query: {}, ...body } })

test('keeps a report by name and answers it as it would be asked now', async (t) => {
  const api = await withKeys(t)
  const clicks = [
    clickWith({ country: 'DE' }),
    clickWith({ country: 'AT' }),
    clickWith({ ...globexPlace, country: 'US' }),
  ]
  await api.feed([
    ...clicks,
    eventWith(clicks[0]!.click_id, 'open'),
    clickWith({ country: 'DE', at: NOW_MS - 86_400_000 }),
  ])
  const query = { group_by: ['country'], metrics: ['clicks'], 'not.country': ['AT'], order: 'country' }
  const saved = await save(api, api.keys.acme, { name: 'By country', folder: 'Daily', range: 'today', query })
  assert.equal(saved.status, 201)
  const { body } = await api.ask(`/v1/saved-reports/${idOf(saved)}/run`, { key: api.keys.acme })
  assert.deepEqual(body['rows'], [{ country: 'DE', clicks: 1 }])
  // Berlin's day, the zone of acme.
  assert.deepEqual([body['from'], body['to']], ['2026-11-19T23:00:00.000Z', '2026-11-20T23:00:00.000Z'])
  const changed = await api.ask(`/v1/saved-reports/${idOf(saved)}`, {
    key: api.keys.acme,
    method: 'PUT',
    body: { name: 'By country', query, range: 'last_7_days' },
  })
  assert.deepEqual([changed.status, changed.body['range'], changed.body['folder']], [200, 'last_7_days', ''])
  const week = await api.ask(`/v1/saved-reports/${idOf(saved)}/run`, { key: api.keys.acme })
  assert.deepEqual(week.body['rows'], [{ country: 'DE', clicks: 2 }])
  const listed = (await api.ask('/v1/saved-reports?limit=1', { key: api.keys.acme })).body['items'] as object[]
  assert.equal(listed.length, 1)
  const gone = await api.ask(`/v1/saved-reports/${idOf(saved)}`, { key: api.keys.acme, method: 'DELETE' })
  assert.equal(gone.status, 200)
  assert.equal(codeOf(await api.ask(`/v1/saved-reports/${idOf(saved)}`, { key: api.keys.acme })), 'not_found')
})

test('takes the parameters of a report as an address has them', async (t) => {
  const api = await withKeys(t)
  const saved = await save(api, api.keys.acme, { query: { group_by: 'sub1', metrics: ['clicks'], limit: '5' } })
  assert.equal(saved.status, 201, saved.text)
  assert.deepEqual(saved.body['query'], { group_by: ['sub1'], metrics: ['clicks'], limit: 5 })
  const report = { group_by: 'sub1', limit: '5' }
  const begun = await api.ask('/v1/exports', { method: 'POST', body: { report }, key: api.keys.acme })
  assert.equal(begun.status, 201, begun.text)
})

test('refuses to save what could not be run, and says where it is wrong', async (t) => {
  const api = await withKeys(t)
  for (const [body, path] of [
    [{ query: { metrics: ['nothing'] } }, 'query.metrics'],
    [{ query: { group_by: ['date'], tz: 'Mars/Olympus' }, range: 'today' }, 'query.tz'],
    [{ query: { from: '2026-11-01' }, range: 'today' }, 'range'],
    [{ query: { filter: 'contry is DE' } }, 'query.filter'],
    [{ query: { what: 1 } }, 'query.what'],
    [{ range: 'next_week' }, 'range'],
    [{ sharing: { kind: 'named' } }, 'sharing'],
    [{ sharing: { kind: 'tenant', roles: ['affiliate'] } }, 'sharing'],
    [{ query: { 'not.sub1': Array.from({ length: 200 }, (_, index) => `${index}`.padEnd(250, 'x')) } }, 'query'],
    [{ name: '' }, 'name'],
    [{ name: 'a\0b' }, undefined],
    [{ query: { 'formula.country': 'clicks' } }, 'query.formula.country'],
    [{ query: { 'formula.one': 'if(1 > 0, 1, 2)' } }, 'query.formula.one'],
    [{ name: 'x'.repeat(121) }, 'name'],
    [{ folder: 'x'.repeat(121) }, 'folder'],
    [{ folder: null }, 'folder'],
    [{ name: 5 }, 'name'],
    [{ query: { group_by: 'sub1', limit: 'many' } }, 'query.limit'],
  ] as const) {
    const answer = await save(api, api.keys.acme, body)
    assert.deepEqual([answer.status, (answer.body['error'] as { path?: string }).path], [400, path], answer.text)
  }
  assert.equal(codeOf(await save(api, api.keys.anna, { query: { metrics: ['revenue'] } })), 'forbidden')
  const reader = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  assert.equal(codeOf(await save(api, reader, {})), 'forbidden')
})

test('is seen by those it is shared with and by nobody else, and changed only by its key and the owner', async (t) => {
  const api = await withKeys(t)
  const { keys } = api
  const everybody = { ...keys, owner: OWNER_KEY }
  const seenBy = async (id: string) => {
    const seen: string[] = []
    for (const [name, key] of Object.entries(everybody))
      if ((await api.ask(`/v1/saved-reports/${id}`, { key })).status === 200) seen.push(name)
    return seen.sort()
  }
  const sharings = [
    [keys.acme, { kind: 'private' }, ['acme', 'owner']],
    [keys.acme, { kind: 'tenant' }, ['acme', 'acme2', 'owner']],
    // Bert works for globex only.
    [keys.acme, { kind: 'named', roles: ['affiliate'] }, ['acme', 'anna', 'owner']],
    [keys.globex, { kind: 'named', affiliate_ids: ['anna', 'bert'] }, ['anna', 'bert', 'globex', 'owner']],
    [keys.acme, { kind: 'named', advertiser_ids: ['globex'], affiliate_ids: ['bert'] }, ['acme', 'owner']],
    [keys.bert, { kind: 'named', roles: ['advertiser'] }, ['bert', 'globex', 'owner']],
    [OWNER_KEY, { kind: 'tenant' }, ['owner']],
    [
      OWNER_KEY,
      { kind: 'named', roles: ['advertiser'], affiliate_ids: ['bert'] },
      ['acme', 'acme2', 'bert', 'globex', 'owner'],
    ],
  ] as const
  for (const [key, sharing, expected] of sharings) {
    const id = idOf(await save(api, key, { sharing }))
    assert.deepEqual(await seenBy(id), expected, JSON.stringify(sharing))
  }
  const shared = idOf(await save(api, keys.acme, { sharing: { kind: 'tenant' } }))
  const put = (key: string) => api.ask(`/v1/saved-reports/${shared}`, { key, method: 'PUT', body: { name: 'Theirs', query: {}, sharing: { kind: 'tenant' } } }) // prettier-ignore
  assert.equal(codeOf(await put(keys.acme2)), 'forbidden')
  assert.equal(codeOf(await put(keys.globex)), 'not_found')
  assert.equal(codeOf(await put(OWNER_KEY)), 200)
  assert.equal(codeOf(await api.ask(`/v1/saved-reports/${shared}`, { key: keys.acme2, method: 'DELETE' })), 'forbidden')
  const theirs = (await api.ask('/v1/saved-reports', { key: keys.acme2 })).body['items'] as {
    sharing: object
    is_own: boolean
  }[]
  assert.equal(theirs.length, 3)
  assert.ok(theirs.every(({ is_own }) => !is_own))
})

test('shows a viewer never more than both it and the one who saved the report may see', async (t) => {
  const api = await withKeys(t)
  const { keys } = api
  await api.feed([
    clickWith(),
    clickWith({ ...globexPlace }),
    clickWith({ ...globexPlace, affiliate_id: 'bert' }),
    clickWith({ affiliate_id: 'bert' }),
  ])
  const run = async (id: string, key: string) => {
    const answer = await api.ask(`/v1/saved-reports/${id}/run`, { key })
    return answer.status === 200 ? (answer.body['totals'] as { clicks: number }).clicks : codeOf(answer)
  }
  const query = { metrics: ['clicks'] }
  const owners = idOf(
    await save(api, OWNER_KEY, { query, sharing: { kind: 'named', roles: ['advertiser', 'affiliate'] } }),
  )
  const acmes = idOf(await save(api, keys.acme, { query, sharing: { kind: 'named', roles: ['affiliate'] } }))
  assert.deepEqual(
    [await run(owners, OWNER_KEY), await run(owners, keys.acme), await run(owners, keys.anna)],
    [4, 2, 2],
  )
  assert.deepEqual([await run(acmes, keys.acme), await run(acmes, OWNER_KEY), await run(acmes, keys.anna)], [2, 2, 1])
  const withRevenue = { query: { metrics: ['revenue'] }, sharing: { kind: 'named', roles: ['affiliate'] } }
  assert.equal(await run(idOf(await save(api, keys.acme, withRevenue)), keys.anna), 'forbidden')
  await api.pool.query(`UPDATE api_keys SET revoked_at = now() WHERE api_key_id = (SELECT api_key_id FROM saved_reports WHERE saved_report_id = $1)`, [acmes]) // prettier-ignore
  assert.deepEqual([await run(acmes, keys.anna), await run(acmes, OWNER_KEY)], ['forbidden', 2])
})

test('a metric by formula is that of who saved the report, whoever reads it, and nothing that was not asked is kept or answered', async (t) => {
  const api = await withKeys(t)
  const { keys } = api
  await api.feed([clickWith(), clickWith({ affiliate_id: 'bert' })])
  for (const [key, formula] of [
    [keys.acme, 'clicks * 10'],
    [keys.anna, 'clicks * 7'],
  ] as const)
    assert.equal((await api.ask('/v1/reports/metrics/x1', { method: 'PUT', body: { formula }, key })).status, 200)
  const query = { metrics: ['clicks', 'x1'] }
  const saved = await save(api, keys.acme, { query, sharing: { kind: 'named', roles: ['affiliate'] } })
  assert.deepEqual(saved.body['query'], query)
  const run = async (key: string) => (await api.ask(`/v1/saved-reports/${idOf(saved)}/run`, { key })).body['totals']
  assert.deepEqual(
    [await run(keys.acme), await run(keys.anna)],
    [
      { clicks: 2, x1: 20 },
      { clicks: 1, x1: 10 },
    ],
  )
  const asked = await api.ask(`/v1/saved-reports/${idOf(saved)}/run?metrics=bots`, { key: keys.acme })
  assert.deepEqual([asked.status, (asked.body['error'] as { path: string }).path], [400, 'metrics'])
})

test('a public link shows the report without a key until it expires or is ended, or the key that made it', async (t) => {
  const api = await withKeys(t)
  await api.feed([clickWith(), clickWith({ ...globexPlace })])
  const id = idOf(await save(api, api.keys.acme, { name: 'For the board', query: { metrics: ['clicks', 'revenue'] } }))
  const make = async (days?: number) => {
    const made = await api.ask(`/v1/saved-reports/${id}/links`, { key: api.keys.acme, method: 'POST', body: { days } })
    assert.equal(made.status, 201, made.text)
    return made.body as { path: string; link_id: string }
  }
  const open = (path: string) => api.ask(path, { key: '' })
  const { path, link_id } = await make()
  const opened = await open(path)
  assert.deepEqual([opened.status, opened.body['name']], [200, 'For the board'])
  assert.equal((opened.body['totals'] as { clicks: number }).clicks, 1)
  assert.equal(codeOf(await open(`${path}x`)), 'not_found')
  const links = `/v1/saved-reports/${id}/links`
  assert.equal(codeOf(await api.ask(links, { key: api.keys.acme2 })), 'not_found')
  const listed = await api.ask(links, { key: api.keys.acme })
  assert.ok(!listed.text.includes('shared-reports'))
  assert.equal((listed.body['items'] as object[]).length, 1)
  assert.equal((await api.ask(`${links}/${link_id}`, { key: api.keys.acme, method: 'DELETE' })).status, 200)
  assert.equal(codeOf(await open(path)), 'not_found')
  const short = await make(1)
  for (let time = 0; time < 60; time++) await open(short.path)
  assert.equal(codeOf(await open(short.path)), 'rate_limited')
  api.clock.advance(86_400_000)
  assert.equal(codeOf(await open(short.path)), 'not_found')
  const last = await make()
  await api.pool.query(`UPDATE api_keys SET revoked_at = now() WHERE advertiser_id = 'acme'`)
  assert.equal(codeOf(await open(last.path)), 'not_found')
})
