import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WaypostError } from '#platform/errors'
import { newClickId } from '#platform/ids'
import type { ClickRecord, LoggedRecord, PostbackRecord, RefusalReason } from '#records'
import { offer, snapshot } from '#routing/test-snapshots'
import { digestSignature, signPostback } from './signature.ts'
import { testClock, withEdge, type Ask } from './test-edge.ts'

const SECRET = 'correct horse'
const SIGNING_SECRET = 'signing-secret'

const config = snapshot({
  offers: [
    offer('open', { status_map: { dep: { type: 'sale', status: 'approved' }, junk: { status: 'ignore' } } }),
    offer('locked', { postback: { secrets: [SECRET], hmac_secrets: [], allowed_addresses: [] } }),
    offer('signed', { postback: { secrets: [], hmac_secrets: [SIGNING_SECRET], allowed_addresses: [] } }),
    offer('fenced', { postback: { secrets: [], hmac_secrets: [], allowed_addresses: ['198.51.100.0/24'] } }),
    offer('near', { postback: { secrets: [], hmac_secrets: [], allowed_addresses: ['127.0.0.0/8'] } }),
  ],
})

const clickOf = (offer_id: string, parts: Partial<ClickRecord> = {}): ClickRecord => ({
  kind: 'click',
  click_id: newClickId(Date.now()),
  at: Date.now(),
  class: 'click',
  outcome: 'redirected',
  config_version: 1,
  trace: '',
  ip: '192.0.2.1',
  offer_id,
  ...parts,
})

const clicks = {
  open: clickOf('open'),
  locked: clickOf('locked'),
  signed: clickOf('signed'),
  fenced: clickOf('fenced'),
  near: clickOf('near'),
  gone: clickOf('deleted-offer'),
  refused: clickOf('open', { outcome: 'not_found', refusal: 'offer_paused' }),
}

const postback = (record: LoggedRecord | undefined): PostbackRecord => {
  assert.equal(record?.kind, 'postback')
  return record as PostbackRecord
}

type Reply = {
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly postback_id: string
}

const open = async (t: Parameters<typeof withEdge>[0], options: Parameters<typeof withEdge>[2] = {}) => {
  const edge = await withEdge(t, config, options)
  await edge.indexClicks(Object.values(clicks))
  return edge
}

describe('a postback', () => {
  test('is accepted and recorded in the words of its sender', async (t) => {
    const { ask, records } = await open(t)
    const query = `subid=${clicks.open.click_id}&status=Dep&sum=12.5&order_sum=100&currency=eur&tid=T-1&goal=deposit`
    const answer = await ask(`/postback?${query}`, { headers: { 'user-agent': 'network/1' } })
    assert.equal(answer.status, 200)
    const { postback_id, at, ...record } = postback((await records())[0])
    assert.deepEqual(JSON.parse(answer.body), { status: 'accepted', postback_id })
    assert.ok(Math.abs(at - Date.now()) < 60_000)
    assert.deepEqual(record, {
      kind: 'postback',
      via: 'postback',
      ip: '127.0.0.1',
      user_agent: 'network/1',
      raw_click_id: clicks.open.click_id,
      click_id: clicks.open.click_id,
      authenticated_offer_ids: ['open'],
      raw_status: 'Dep',
      raw_goal: 'deposit',
      txid: 'T-1',
      amount_micros: 12_500_000,
      sale_amount_micros: 100_000_000,
      currency: 'EUR',
      raw: query,
    })
  })

  test('may come as a form or as JSON; the query counts first', async (t) => {
    const { ask, records } = await open(t)
    const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } }
    const json = { method: 'POST', headers: { 'content-type': 'application/json' } }
    const click_id = clicks.open.click_id
    assert.equal((await ask('/postback', { ...form, body: `clickid=${click_id}&status=sale&payout=1` })).status, 200)
    const body = JSON.stringify({ clickid: click_id, status: 'lead', payout: 2, more: { ignored: true } })
    assert.equal((await ask('/postback?status=sale', { ...json, body })).status, 200)
    const [first, second] = (await records()).map(postback)
    assert.equal(first!.amount_micros, 1_000_000)
    assert.equal(second!.amount_micros, 2_000_000)
    assert.equal(second!.raw_status, 'sale')
    const broken = await ask('/postback', { ...json, body: '{"clickid":' })
    assert.equal(broken.status, 400)
  })

  test('is answered with the word that its sender asks for', async (t) => {
    const { ask } = await open(t)
    const answer = await ask(`/postback?clickid=${clicks.open.click_id}&status=sale&return=OK%0D%0A%3C`)
    assert.equal(answer.body, 'OK<')
    assert.match(answer.headers['content-type']!, /text\/plain/)
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  })

  test('is answered only once its record is durable', async (t) => {
    const asked = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const { ask } = await open(t, {
      append: (append) => async (payload) => {
        asked.resolve()
        await released.promise
        return append(payload)
      },
    })
    let isAnswered = false
    const answering = ask(`/postback?clickid=${clicks.open.click_id}&status=sale`).then((answer) => {
      isAnswered = true
      return answer
    })
    await asked.promise
    await ask('/healthz')
    assert.equal(isAnswered, false)
    released.resolve()
    assert.equal((await answering).status, 200)
  })
})

describe('a postback is refused with the reason, recorded and answered', () => {
  const { open: ofOpen, locked, signed, fenced, gone, refused } = clicks
  const now = (): number => Math.floor(Date.now() / 1000)
  const sign = (query: string, ts: number): string =>
    `${query}&sig=${signPostback(SIGNING_SECRET, { timestamp: String(ts), query, body: '' })}`
  const signedQuery = (ts: number): string => sign(`clickid=${signed.click_id}&status=sale&ts=${ts}`, ts)
  const cases: readonly (readonly [RefusalReason, number, () => string])[] = [
    ['click_id_missing', 422, () => 'status=sale'],
    ['click_id_invalid', 422, () => 'clickid=123&status=sale'],
    ['click_id_invalid', 422, () => 'clickid=ffffffff-ffff-ffff-ffff-ffffffffffff&status=sale'],
    ['literal_macro', 422, () => `clickid=${ofOpen.click_id}&status=sale&payout={payout}`],
    ['literal_macro', 422, () => 'clickid=%23%23CLICK_ID%23%23&status=sale'],
    ['status_missing', 422, () => `clickid=${ofOpen.click_id}&payout=1`],
    ['status_unmapped', 422, () => `clickid=${ofOpen.click_id}&status=17`],
    ['amount_invalid', 422, () => `clickid=${ofOpen.click_id}&status=sale&payout=1.2.3`],
    ['amount_invalid', 422, () => `clickid=${ofOpen.click_id}&status=sale&payout=-1`],
    ['currency_invalid', 422, () => `clickid=${ofOpen.click_id}&status=sale&currency=XQQ`],
    ['field_invalid', 422, () => `clickid=${ofOpen.click_id}&status=sale&tid=${'x'.repeat(256)}`],
    ['click_unknown', 404, () => `clickid=${newClickId(Date.now() - 60_000)}&status=sale`],
    ['click_refused', 422, () => `clickid=${refused.click_id}&status=sale`],
    ['offer_unknown', 422, () => `clickid=${gone.click_id}&status=sale`],
    ['secret_missing', 401, () => `clickid=${locked.click_id}&status=sale`],
    ['secret_wrong', 403, () => `clickid=${locked.click_id}&status=sale&secret=wrong-secret`],
    ['secret_missing', 401, () => `clickid=${signed.click_id}&status=sale`],
    ['signature_wrong', 403, () => `${signedQuery(now())}0`],
    ['signature_wrong', 403, () => signedQuery(now()).replace('status=sale', 'status=lead')],
    ['signature_expired', 403, () => signedQuery(now() - 301)],
    ['signature_expired', 403, () => signedQuery(now() + 302)],
    ['address_not_allowed', 403, () => `clickid=${fenced.click_id}&status=sale`],
  ]
  for (const [reason, status, query] of cases) {
    test(`${reason}: ${query()
      .replaceAll(/[0-9a-f-]{36,}|\d{9,}/g, '…')
      .slice(0, 70)}`, async (t) => {
      const { ask, records } = await open(t)
      const answer = await ask(`/postback?${query()}`)
      const reply = JSON.parse(answer.body) as Reply
      assert.equal(reply.reason, reason)
      assert.equal(reply.status, 'refused')
      assert.ok(reply.message!.length > 10)
      assert.equal(answer.status, status)
      const record = postback((await records())[0])
      assert.equal(record.refusal, reason)
      assert.equal(record.postback_id, reply.postback_id)
    })
  }

  test('status_ignored is answered 200: the mapping says so', async (t) => {
    const { ask, records } = await open(t)
    const answer = await ask(`/postback?clickid=${ofOpen.click_id}&status=junk`)
    assert.equal(answer.status, 200)
    assert.equal((JSON.parse(answer.body) as Reply).status, 'ignored')
    assert.equal(postback((await records())[0]).refusal, 'status_ignored')
  })
})

describe('a secret', () => {
  const { click_id } = clicks.locked
  const encoded = encodeURIComponent(SECRET)
  const json = { method: 'POST', headers: { 'content-type': 'application/json' } }
  const ways: Readonly<Record<string, readonly [string, Ask?]>> = {
    'secret=': [`/postback?clickid=${click_id}&status=sale&secret=${encoded}`],
    'key=': [`/postback?key=${encoded}&clickid=${click_id}&status=sale`],
    'token=': [`/postback?clickid=${click_id}&status=sale&token=correct+horse`],
    'the path': [`/postback/${encoded}?clickid=${click_id}&status=sale`],
    'a JSON body': [
      '/postback',
      { ...json, body: JSON.stringify({ clickid: click_id, status: 'sale', secret: SECRET }) },
    ],
  }
  for (const [name, [path, options]] of Object.entries(ways)) {
    test(`in ${name} opens the offer and never reaches the log`, async (t) => {
      const { ask, records } = await open(t)
      assert.equal((await ask(path, options)).status, 200)
      const record = postback((await records())[0])
      assert.deepEqual(record.authenticated_offer_ids, ['locked'])
      const text = JSON.stringify(record)
      for (const form of [SECRET, encoded, 'correct+horse']) assert.ok(!text.includes(form), form)
    })
  }

  test('that is wrong does not reach the log either', async (t) => {
    const { ask, records } = await open(t)
    await ask(`/postback?clickid=${click_id}&status=sale&secret=nearly-right`)
    assert.ok(!JSON.stringify(await records()).includes('nearly-right'))
  })
})

describe('a signature', () => {
  const { click_id } = clicks.signed
  const at = (ms: number): string => String(Math.floor(ms / 1000))

  test('over query and body opens the offer, in the query or in headers', async (t) => {
    const { ask, records } = await open(t)
    const timestamp = at(Date.now())
    const query = `clickid=${click_id}&status=sale&ts=${timestamp}`
    const inQuery = signPostback(SIGNING_SECRET, { timestamp, query, body: '' })
    assert.equal((await ask(`/postback?sig=sha256=${inQuery.toUpperCase()}&${query}`)).status, 200)
    const body = JSON.stringify({ clickid: click_id, status: 'sale' })
    const headers = {
      'content-type': 'application/json',
      'x-waypost-timestamp': timestamp,
      'x-waypost-signature': signPostback(SIGNING_SECRET, { timestamp, query: 'a=1', body }),
    }
    assert.equal((await ask('/postback?a=1', { method: 'POST', headers, body })).status, 200)
    const [first] = (await records()).map(postback)
    assert.deepEqual(first!.authenticated_offer_ids, ['signed'])
    assert.equal(first!.signature_digest, digestSignature(inQuery))
  })

  test('is taken once', async (t) => {
    const { ask, records } = await open(t)
    const timestamp = at(Date.now())
    const query = `clickid=${click_id}&status=sale&ts=${timestamp}`
    const path = `/postback?${query}&sig=${signPostback(SIGNING_SECRET, { timestamp, query, body: '' })}`
    assert.equal((await ask(path)).status, 200)
    const replay = await ask(path)
    assert.equal(replay.status, 409)
    assert.equal((JSON.parse(replay.body) as Reply).reason, 'signature_replayed')
    assert.deepEqual(
      (await records()).map((record) => postback(record).refusal),
      [undefined, 'signature_replayed'],
    )
  })

  test('may be used again where the log did not take its postback', async (t) => {
    let isFull = true
    const { ask } = await open(t, {
      append: (append) => (payload) => (isFull ? Promise.reject(diskFull()) : append(payload)),
    })
    const timestamp = at(Date.now())
    const query = `clickid=${click_id}&status=sale&ts=${timestamp}`
    const path = `/postback?${query}&sig=${signPostback(SIGNING_SECRET, { timestamp, query, body: '' })}`
    assert.equal((await ask(path)).status, 503)
    isFull = false
    assert.equal((await ask(path)).status, 200)
  })

  test('is timely within five minutes of our clock, in seconds or milliseconds', async (t) => {
    const clock = testClock()
    const { ask } = await open(t, { clock })
    for (const [offsetMs, status] of [
      [299_000, 200],
      [-299_000, 200],
      [301_500, 403],
    ] as const) {
      clock.offsetMs = offsetMs
      const timestamp = String(Date.now())
      const query = `clickid=${click_id}&status=sale&ts=${timestamp}`
      const sig = signPostback(SIGNING_SECRET, { timestamp, query, body: '' })
      assert.equal((await ask(`/postback?${query}&sig=${sig}`)).status, status)
    }
  })
})

const diskFull = (): WaypostError => new WaypostError('log_full')

test('an address of the list opens the offer', async (t) => {
  const { ask } = await open(t)
  assert.equal((await ask(`/postback?clickid=${clicks.near.click_id}&status=sale`)).status, 200)
})

describe('a click that the index does not know', () => {
  test('is pending while the index lags, with every offer that the request satisfies', async (t) => {
    const { ask, records } = await open(t)
    // A record that the index has not read.
    await ask('/click?o=open')
    const path = `/postback?clickid=${newClickId(Date.now())}&status=sale&secret=${encodeURIComponent(SECRET)}`
    const answer = await ask(path)
    assert.equal(answer.status, 202)
    const record = postback((await records()).at(-1))
    assert.equal(record.refusal, undefined)
    assert.deepEqual(new Set(record.authenticated_offer_ids), new Set(['locked', 'open', 'near']))
  })

  test('is unknown when its id is older than everything that the index has still to read', async (t) => {
    const { ask } = await open(t)
    await ask('/click?o=open')
    const answer = await ask(`/postback?clickid=${newClickId(Date.now() - 3_600_000)}&status=sale`)
    assert.equal((JSON.parse(answer.body) as Reply).reason, 'click_unknown')
  })

  test('is not pending for a secret that no offer has', async (t) => {
    const { ask } = await withEdge(t, snapshot({ offers: [config.offers[1]!] }))
    await ask('/click?o=locked')
    const path = `/postback?clickid=${newClickId(Date.now())}&status=sale`
    assert.equal((JSON.parse((await ask(path)).body) as Reply).reason, 'secret_missing')
    assert.equal((JSON.parse((await ask(`${path}&secret=nope`)).body) as Reply).reason, 'secret_wrong')
  })
})

describe('the pixel', () => {
  test('is a picture whatever became of it; a header says why it was refused', async (t) => {
    const { ask, records } = await open(t)
    const good = await ask(`/pixel.gif?clickid=${clicks.open.click_id}&status=sale`)
    assert.equal(good.status, 200)
    assert.equal(good.headers['content-type'], 'image/gif')
    assert.equal(good.headers['x-waypost-reason'], undefined)
    const bad = await ask('/pixel.gif?status=sale')
    assert.equal(bad.status, 200)
    assert.equal(bad.headers['x-waypost-reason'], 'click_id_missing')
    assert.deepEqual(
      (await records()).map((record) => [postback(record).via, postback(record).refusal]),
      [
        ['pixel', undefined],
        ['pixel', 'click_id_missing'],
      ],
    )
  })

  test('takes the click of the cookie where it names none; a postback does not', async (t) => {
    const { ask } = await open(t)
    const headers = { cookie: `wp_c=${clicks.open.click_id}` }
    assert.equal((await ask('/pixel.gif?status=sale', { headers })).headers['x-waypost-reason'], undefined)
    assert.equal(
      (JSON.parse((await ask('/postback?status=sale', { headers })).body) as Reply).reason,
      'click_id_missing',
    )
  })
})
