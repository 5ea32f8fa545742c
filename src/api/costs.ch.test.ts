import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'

import { clickWith, globexPlace, withApi, type AskOptions } from './test-api.ts'

const csv = (body: string, more: AskOptions = {}): AskOptions => ({ method: 'POST', body, type: 'text/csv', ...more })
const json = (rows: readonly object[], more: AskOptions = {}): AskOptions => ({
  ...{ method: 'POST', body: { rows }, type: 'application/json' },
  ...more,
})

test('costs are imported, corrected, listed and deleted, each by whoever they are of', async (t) => {
  const { ask, feed, keyFor } = await withApi(t)
  await feed([clickWith({ country: 'DE' }), clickWith({ country: 'DE' }), clickWith({ country: 'AT' }), clickWith(globexPlace)]) // prettier-ignore
  const acme = await keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  const globex = await keyFor({ role: 'advertiser', advertiser_id: 'globex' }, ['read', 'write'])
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' }, ['read', 'write'])

  const bill = 'Date,Country,Spend\n2026-11-20,DE,3.00\n2026-11-19,FR,"1.5"\n2026-11-25,DE,1\n'
  const dry = await ask('/v1/costs?key=nov&dry_run=true', csv(bill, { key: acme }))
  assert.equal(dry.status, 200, dry.text)
  assert.deepEqual([dry.body['kind'], dry.body['import_id'], dry.body['clicks']], ['planned', null, 2])
  const rows = dry.body['rows'] as Record<string, unknown>[]
  assert.deepEqual(
    rows.map(({ clicks, cost_per_click, reason }) => [clicks, cost_per_click, reason]),
    [[2, '1.50', null], [0, null, 'no_click_matches'], [0, null, 'not_over_yet']], // prettier-ignore
  )
  const booked = await ask('/v1/costs?key=nov', csv(bill, { key: acme }))
  assert.deepEqual(
    [booked.body['kind'], booked.body['version_kind'], booked.body['amounts']],
    ['booked', 'import', [{ currency: 'EUR', amount: '5.50', unallocated: '2.50' }]],
  )
  assert.equal((await ask('/v1/costs?key=nov', csv(bill, { key: acme }))).body['kind'], 'unchanged')
  const corrected = await ask('/v1/costs?key=nov', json([{ date: '2026-11-20', country: 'DE', amount: '4' }], { key: acme })) // prettier-ignore
  assert.deepEqual([corrected.body['version'], corrected.body['version_kind']], [2, 'correction'])

  const id = corrected.body['import_id'] as string
  const listed = await ask('/v1/costs', { key: acme })
  assert.deepEqual(
    (listed.body['items'] as Record<string, unknown>[]).map(({ import_id, rows, clicks, state }) => [import_id, rows, clicks, state]), // prettier-ignore
    [[id, 1, 2, 'booked']],
  )
  assert.equal((await ask(`/v1/costs/${id}`, { key: acme })).body['rows_count'], 1)

  for (const [key, status] of [[globex, 404], [anna, 403]] as const) {
    assert.equal((await ask(`/v1/costs/${id}`, { key })).status, status)
    assert.equal((await ask(`/v1/costs/${id}`, { key, method: 'DELETE' })).status, status)
    assert.equal((await ask(`/v1/costs/${id}/respread`, { key, method: 'POST' })).status, status)
  } // prettier-ignore
  assert.deepEqual((await ask('/v1/costs', { key: globex })).body['items'], [])
  assert.equal((await ask('/v1/costs', { key: anna })).status, 403)
  assert.equal((await ask('/v1/costs?key=x', csv(bill, { key: anna }))).status, 403)
  const foreign = await ask('/v1/costs?key=x&advertiser_id=acme', csv(bill, { key: globex }))
  assert.deepEqual([foreign.status, (foreign.body['error'] as { path: string }).path], [400, 'advertiser_id'])
  assert.equal((await ask('/v1/costs?key=x', csv(bill))).status, 400)

  assert.equal((await ask(`/v1/costs/${id}`, { key: acme, method: 'DELETE' })).body['version_kind'], 'deletion')
  assert.equal((await ask(`/v1/costs/${id}`, { key: acme, method: 'DELETE' })).status, 409)
})

test('an import that cannot be read is refused whole, with the place of the mistake', async (t) => {
  const { ask, pool } = await withApi(t)
  const day = { date: '2026-11-20' }
  const wrong: readonly (readonly [object, string])[] = [
    [{ amount: 1 }, 'rows/1/from'],
    [{ date: '2026-02-30', amount: 1 }, 'rows/1/date'],
    [{ ...day, to: '2026-11-21', amount: 1 }, 'rows/1/date'],
    [{ from: '2026-11-20', to: '2026-11-19', amount: 1 }, 'rows/1/to'],
    [{ from: '2026-01-01', to: '2026-06-01', amount: 1 }, 'rows/1/to'],
    [{ ...day }, 'rows/1/amount'],
    [{ ...day, amount: '1,500' }, 'rows/1/amount'],
    [{ ...day, amount: 1, currency: 'XXQ' }, 'rows/1/currency'],
    [{ ...day, amount: 1, colour: 'red' }, 'rows/1/colour'],
    [{ ...day, amount: 1, sub1: 'a\u0001b' }, 'rows/1/sub1'],
    [{ ...day, amount: 1, sub1: 'a'.repeat(256) }, 'rows/1/sub1'],
  ]
  for (const [row, path] of wrong) {
    const answer = await ask('/v1/costs?key=k&advertiser_id=acme', json([{ ...day, amount: 1 }, row]))
    assert.deepEqual([answer.status, (answer.body['error'] as { path: string }).path], [400, path], answer.text)
  }
  for (const [text, code] of [['', 'body_unreadable'], ['date,amount\n2026-11-20', 'body_unreadable'], ['date,amount\n"2026-11-20,1', 'body_unreadable'], ['date,day,amount\n1,2,3', 'body_unreadable']]) {
    const answer = await ask('/v1/costs?key=k&advertiser_id=acme', csv(text!))
    assert.deepEqual([answer.status, (answer.body['error'] as { code: string }).code], [400, code], answer.text)
  } // prettier-ignore
  const crowd = Array.from({ length: 21 }, (_, index) => ({ from: `2026-11-20T00:${10 + index}`, to: '2026-11-21', amount: 1 })) // prettier-ignore
  assert.equal((await ask('/v1/costs?key=k&advertiser_id=acme', json(crowd))).status, 400)
  assert.equal((await ask('/v1/costs?key=k&advertiser_id=acme', json(crowd.slice(1), {}))).status, 200)
  const many = Array.from({ length: 5_001 }, () => ({ ...day, amount: 1 }))
  assert.equal((await ask('/v1/costs?key=m&advertiser_id=acme', json(many))).status, 400)
  assert.equal((await ask('/v1/costs?key=m&advertiser_id=acme', csv('x'.repeat(4_194_305)))).status, 413)
  assert.equal((await pool.query('SELECT FROM cost_imports')).rowCount, 1)
})

test('rates are stored by owners and read by everybody; a correction is a further version', async (t) => {
  const { ask, keyFor } = await withApi(t)
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' }, ['read', 'write'])
  const history = 'Date,USD,JPY,XXQ,\n2026-11-19,1.08,161.5,1,\n2026-11-18,1.07,N/A,1,\n'
  assert.deepEqual((await ask('/v1/rates', csv(history))).body, { stored: 3, unchanged: 0 })
  assert.deepEqual((await ask('/v1/rates', csv(history))).body, { stored: 0, unchanged: 3 })
  const corrected = { rates: [{ date: '2026-11-19', currency: 'USD', rate: '1.0800000001' }] }
  assert.deepEqual(
    (await ask('/v1/rates?source=bank', { method: 'POST', body: corrected, type: 'application/json' })).body,
    { stored: 1, unchanged: 0 },
  )
  const listed = await ask('/v1/rates?currency=USD&from=2026-11-19', { key: anna })
  assert.deepEqual(
    (listed.body['items'] as Record<string, unknown>[]).map(({ day, base, rate, source, versions }) => [day, base, rate, source, versions]), // prettier-ignore
    [['2026-11-19', 'EUR', '1.0800000001', 'bank', 2]],
  )
  assert.equal((await ask('/v1/rates', csv(history, { key: anna }))).status, 403)
  for (const [path, body] of [
    ['/v1/rates', '2026-11-19,USD,0'],
    ['/v1/rates', '2026-11-31,USD,1'],
    ['/v1/rates', '2026-11-19,USD,1.0000000000001'],
    ['/v1/rates', '2026-11-19,QQQ,1'],
    ['/v1/rates?base=QQQ', '2026-11-19,USD,1'],
    ['/v1/rates?base=USD', history],
    ['/v1/rates?format=ecb_xml', 'no xml'],
  ] as const)
    assert.equal((await ask(path, csv(body))).status, 400, body)
})

test('imported costs stand in reports beside those of clicks, also what no click bears', async (t) => {
  const { ask, feed, keyFor } = await withApi(t)
  await feed([
    clickWith({ country: 'DE', cost_micros: 500_000, currency: 'EUR', domain: 'go.acme.example' }),
    clickWith({ country: 'AT', domain: 'go.acme.example' }),
    clickWith(globexPlace),
  ])
  const acme = await keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  const bill = [
    { date: '2026-11-20', amount: '3' },
    { date: '2026-11-20', country: 'FR', amount: '1.25' },
  ]
  const { body } = await ask('/v1/costs?key=nov', json(bill, { key: acme }))
  const report = async (query: string): Promise<unknown[]> =>
    (await ask(`/v1/reports?from=2026-11-20&to=2026-11-20&group_by=country&order=country&${query}`, { key: acme }))
      .body['rows'] as unknown[]
  assert.deepEqual(await report('metrics=clicks,cost,imported_cost,click_cost,profit'), [
    { country: 'AT', clicks: 1, cost: '1.50', imported_cost: '1.50', click_cost: '0.00', profit: '-1.50' },
    { country: 'DE', clicks: 1, cost: '2.00', imported_cost: '1.50', click_cost: '0.50', profit: '-2.00' },
    { country: 'FR', clicks: 0, cost: '1.25', imported_cost: '1.25', click_cost: '0.00', profit: '-1.25' },
  ])
  assert.deepEqual(await report('metrics=cost&country=FR'), [{ country: 'FR', cost: '1.25' }])
  assert.deepEqual(await report('metrics=cost&filter=country%20is%20DE&time=click&domain=go.acme.example'), [
    { country: 'DE', cost: '2.00' },
  ])
  await ask(`/v1/costs/${body['import_id'] as string}`, { key: acme, method: 'DELETE' })
  assert.deepEqual(await report('metrics=clicks,cost'), [
    { country: 'AT', clicks: 1, cost: '0.00' },
    { country: 'DE', clicks: 1, cost: '0.50' },
  ])
})

test('a report in one currency converts with the rates that were stored by the moment asked for', async (t) => {
  const { ask, feed } = await withApi(t)
  await feed([
    clickWith({ cost_micros: 1_000_000, currency: 'USD' }),
    clickWith({ cost_micros: 1_000_000, currency: 'EUR' }),
    clickWith({ cost_micros: 1_000_000, currency: 'GBP' }),
  ])
  const store = (rate: string): Promise<unknown> => ask('/v1/rates', csv(`2026-11-18,USD,${rate}`))
  await store('2')
  // The database keeps microseconds: a moment after the first, and before the second.
  const momentMs = Date.now() + 1
  while (Date.now() <= momentMs) await setImmediate()
  const moment = new Date(momentMs).toISOString()
  await store('4')
  const report = async (query: string): Promise<Record<string, unknown>> =>
    (await ask(`/v1/reports?from=2026-11-20&to=2026-11-20&advertiser_id=acme&metrics=cost&${query}`)).body
  const converted = await report('currency=EUR')
  assert.deepEqual(
    [converted['totals'], converted['converted_currencies'], converted['other_currencies'], converted['unconverted']],
    [{ cost: '1.25' }, ['USD'], ['GBP'], [{ currency: 'GBP', days: ['2026-11-20'], amounts: { click_cost: '1.00' } }]],
  )
  assert.deepEqual((await report(`currency=EUR&rates_as_of=${moment}`))['totals'], { cost: '1.50' })
  assert.equal((await ask('/v1/reports?currency=EUR&rates_as_of=9999-12-31T23:59:60Z')).status, 400)
  assert.deepEqual((await report('currency=USD'))['totals'], { cost: '5.00' })
  const off = await report('currency=EUR&convert=off')
  assert.deepEqual([off['totals'], off['other_currencies'], off['unconverted']], [{ cost: '1.00' }, ['GBP', 'USD'], []])
  assert.deepEqual((await report(''))['totals'], { cost: '1.00' })
  assert.deepEqual((await report('convert=on'))['totals'], { cost: '1.25' })
})
