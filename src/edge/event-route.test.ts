import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { newClickId, newUuidV7 } from '#platform/ids'
import type { ClickRecord, EventRecord, LoggedRecord, RefusalReason } from '#records'
import { advertiser, offer, snapshot } from '#routing/test-snapshots'
import type { Ask } from './test-edge.ts'
import { withEdge } from './test-edge.ts'

const CLICK_ID = newClickId(Date.now())

const post = (body: unknown, headers: Readonly<Record<string, string>> = {}): Ask => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

const event = (record: LoggedRecord | undefined): EventRecord => {
  assert.equal(record?.kind, 'event')
  return record as EventRecord
}

type Refused = {
  readonly accepted: number
  readonly errors: readonly { readonly path: string; readonly code: string; readonly message: string }[]
}

describe('an event', () => {
  test('is recorded with what the page said and answered 204', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const event_id = newUuidV7(Date.now())
    const answer = await ask(
      '/event',
      post({
        type: 'Deposit',
        clickid: CLICK_ID,
        event_id,
        txid: 4711,
        revenue_deposit: '12,50',
        currency: 'usd',
        sub2: 'geo-TR|abtest-a-b',
        visitor_code: 'visitor-1',
        time_on_page_ms: 1200.4,
        ts_client: 1_768_478_400_000,
        lang: 'tr-TR',
        tz: 'Europe/Istanbul',
        screen: '390x844',
        connection: '4g',
        device_type: 'tablet',
        site: 'shop.example',
        referrer: null,
        user_agent: 'what the page claims',
      }),
    )
    assert.equal(answer.status, 204)
    const { at, ...record } = event((await records())[0])
    assert.ok(Math.abs(at - Date.now()) < 60_000)
    assert.deepEqual(record, {
      kind: 'event',
      event_id,
      click_id: CLICK_ID,
      type: 'deposit',
      txid: '4711',
      amount_micros: 12_500_000,
      currency: 'USD',
      sub2_keys: { geo: 'TR', abtest: 'a-b' },
      visitor_code: 'visitor-1',
      time_on_page_ms: 1200,
      ts_client: 1_768_478_400_000,
      language: 'tr-tr',
      tz: 'Europe/Istanbul',
      screen: '390x844',
      connection: '4g',
      device_type: 'tablet',
      site: 'shop.example',
      ip: '127.0.0.1',
      bot: 'empty_user_agent',
    })
  })

  test('may come as text/plain, as a beacon sends it, and takes the visitor code of the cookie', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const headers = { 'content-type': 'text/plain;charset=UTF-8', cookie: 'wp_v=from-cookie' }
    assert.equal((await ask('/event', post({ type: 'open', clickid: CLICK_ID }, headers))).status, 204)
    assert.equal(event((await records())[0]).visitor_code, 'from-cookie')
  })

  test('gets an id of ours where it brings none', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    await ask('/event', post({ type: 'open', clickid: CLICK_ID }))
    assert.match(event((await records())[0]).event_id, /^[0-9a-f-]{36}$/)
  })

  test('is answered only once its record is durable', async (t) => {
    const asked = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const { ask } = await withEdge(t, snapshot(), {
      append: (append) => async (payload) => {
        asked.resolve()
        await released.promise
        return append(payload)
      },
    })
    let isAnswered = false
    const answering = ask('/event', post({ type: 'open', clickid: CLICK_ID })).then((answer) => {
      isAnswered = true
      return answer
    })
    await asked.promise
    await ask('/healthz')
    assert.equal(isAnswered, false)
    released.resolve()
    assert.equal((await answering).status, 204)
  })
})

describe('a wrong event is refused with the reason', () => {
  const good = { type: 'reg', clickid: CLICK_ID }
  const cases: readonly (readonly [RefusalReason, string, unknown])[] = [
    ['click_id_missing', '/clickid', { type: 'reg' }],
    ['click_id_missing', '/clickid', { type: 'reg', clickid: null }],
    ['click_id_invalid', '/clickid', { type: 'reg', clickid: 'abc' }],
    ['click_id_invalid', '/clickid', { type: 'reg', clickid: '00000000-0000-0000-0000-000000000000' }],
    ['literal_macro', '/clickid', { type: 'reg', clickid: '{clickid}' }],
    ['type_missing', '/type', { clickid: CLICK_ID }],
    ['type_unknown', '/type', { ...good, type: 'dance' }],
    ['field_invalid', '', 'not an object'],
    ['field_invalid', '/event_id', { ...good, event_id: '1' }],
    ['field_invalid', '/txid', { ...good, txid: 'x'.repeat(256) }],
    ['literal_macro', '/txid', { ...good, txid: '##TX##' }],
    ['field_invalid', '/time_on_page_ms', { ...good, time_on_page_ms: -1 }],
    ['field_invalid', '/ts_client', { ...good, ts_client: 'now' }],
    ['field_invalid', '/tz', { ...good, tz: {} }],
    ['amount_invalid', '/amount', { ...good, amount: 'much' }],
    ['amount_invalid', '/amount', { ...good, amount: -1 }],
    ['currency_invalid', '/currency', { ...good, currency: 'XQQ' }],
    ['sub2_invalid', '/sub2', { ...good, sub2: 'plain' }],
    ['sub2_invalid', '/sub2', { ...good, sub2: `a-${'x'.repeat(199)}` }],
  ]
  for (const [code, path, body] of cases) {
    test(`${code} at ${path || 'the whole'}: ${JSON.stringify(body).slice(0, 60)}`, async (t) => {
      const { ask, records } = await withEdge(t, snapshot())
      const answer = await ask('/event', post(JSON.stringify(body)))
      assert.equal(answer.status, 422)
      const { accepted, errors } = JSON.parse(answer.body) as Refused
      assert.equal(accepted, 0)
      assert.deepEqual(
        errors.map((error) => [error.code, error.path]),
        [[code, path]],
      )
      const record = event((await records())[0])
      assert.equal(record.refusal, code)
      assert.equal(record.raw, JSON.stringify(body))
    })
  }

  test('and the good ones of its batch are kept', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const answer = await ask('/event', post([good, { ...good, type: 'dance', sub2: 'x' }, { ...good, type: 'open' }]))
    const { accepted, errors } = JSON.parse(answer.body) as Refused
    assert.equal(accepted, 2)
    assert.deepEqual(
      errors.map(({ path, code }) => `${path} ${code}`),
      ['/1/type type_unknown', '/1/sub2 sub2_invalid'],
    )
    assert.deepEqual(
      (await records()).map((record) => event(record).refusal),
      [undefined, 'type_unknown', undefined],
    )
  })
})

describe('a custom event', () => {
  const config = snapshot({ offers: [offer('o1', { custom_events: ['level_10'] }), offer('o2')] })
  const clickOf = (offer_id: string): ClickRecord => ({
    kind: 'click',
    click_id: newClickId(Date.now()),
    at: Date.now(),
    class: 'click',
    outcome: 'redirected',
    config_version: 1,
    trace: '',
    ip: '192.0.2.1',
    offer_id,
  })

  test('is known where the offer of its click declares it, and unknown where it does not', async (t) => {
    const { ask, indexClicks } = await withEdge(t, config)
    const [declared, other] = [clickOf('o1'), clickOf('o2')]
    await indexClicks([declared, other])
    assert.equal((await ask('/event', post({ type: 'level_10', clickid: declared.click_id }))).status, 204)
    assert.equal((await ask('/event', post({ type: 'level_10', clickid: other.click_id }))).status, 422)
  })

  test('of a click that is not indexed yet is known where any offer declares it', async (t) => {
    const { ask } = await withEdge(t, config)
    assert.equal((await ask('/event', post({ type: 'level_10', clickid: CLICK_ID }))).status, 204)
    assert.equal((await ask('/event', post({ type: 'level_11', clickid: CLICK_ID }))).status, 422)
  })
})

test('keys of sub2 that are not allowed are left out', async (t) => {
  const { ask, records } = await withEdge(t, snapshot(), { config: { sub2AllowedKeys: ['geo'] } })
  await ask('/event', post({ type: 'open', clickid: CLICK_ID, sub2: 'geo-TR%7Cdev-mobile' }))
  assert.deepEqual(event((await records())[0]).sub2_keys, { geo: 'TR' })
})

describe('a body as a whole', () => {
  test('that is no JSON is answered 400', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    const answer = await ask('/event', post('{"type":'))
    assert.equal(answer.status, 400)
    assert.equal((JSON.parse(answer.body) as { code: string }).code, 'body_unreadable')
    assert.equal((await ask('/event', { method: 'POST' })).status, 415)
  })

  test('of another content type is answered 415', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    for (const type of ['application/x-www-form-urlencoded', 'image/png']) {
      const answer = await ask('/event', post('type=open', { 'content-type': type }))
      assert.equal(answer.status, 415)
      assert.equal((JSON.parse(answer.body) as { code: string }).code, 'content_type_unsupported')
    }
  })
})

describe('CORS', () => {
  const config = snapshot({
    advertisers: [advertiser({ domains: ['shop.example', '*.land.example', 'local.example:3000'] })],
  })
  const event = post({ type: 'open', clickid: CLICK_ID })
  const ask = (origin: string): Ask => ({ ...event, headers: { ...event.headers, origin } })

  test('lets pages of the advertisers read the answer', async (t) => {
    const { ask: send } = await withEdge(t, config)
    for (const origin of ['https://shop.example', 'https://a.b.land.example:8443', 'http://local.example:3000']) {
      const answer = await send('/event', ask(origin))
      assert.equal(answer.headers['access-control-allow-origin'], origin)
      assert.equal(answer.headers['access-control-allow-credentials'], 'true')
    }
  })

  test('lets no other page read it, and records the event all the same', async (t) => {
    const { ask: send, records } = await withEdge(t, config)
    const origins = [
      'https://evil.example',
      'https://land.example',
      'https://shop.example.evil',
      'http://local.example',
      'null',
    ]
    for (const origin of origins) {
      const answer = await send('/event', ask(origin))
      assert.equal(answer.status, 204)
      assert.equal(answer.headers['access-control-allow-origin'], undefined)
      assert.equal(answer.headers.vary, 'Origin')
    }
    assert.equal((await records()).length, origins.length)
  })

  test('answers the preflight', async (t) => {
    const { ask: send } = await withEdge(t, config)
    const allowed = await send('/event', { method: 'OPTIONS', headers: { origin: 'https://shop.example' } })
    assert.equal(allowed.status, 204)
    assert.equal(allowed.headers['access-control-allow-methods'], 'POST')
    assert.equal(allowed.headers['access-control-allow-headers'], 'Content-Type')
    const other = await send('/event', { method: 'OPTIONS', headers: { origin: 'https://evil.example' } })
    assert.equal(other.headers['access-control-allow-methods'], undefined)
  })
})
