import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { describe, test, type TestContext } from 'node:test'

import type { ClickRecord } from '#records'
import type { Campaign, Flow, Offer, RedirectKind, Snapshot } from '#routing'
import { advertiser, campaign, flow, landing, offer, snapshot } from '#routing/test-snapshots'
import { edgeCookies } from './cookies.ts'
import { withEdge, type Ask, type TestEdge } from './test-edge.ts'

const LANDING = 'https://land.example/?a=1&n={sub1}'
const KEY = 'k'.repeat(64)

const configWith = (
  ofFlow: Partial<Flow>,
  ofCampaign: Partial<Campaign> = {},
  ofOffer: Partial<Offer> = {},
): Snapshot =>
  snapshot({
    redirect_key: KEY,
    campaigns: [campaign({ flows: [flow('f1', ofFlow)], ...ofCampaign })],
    offers: [offer('o1', { landings: [landing('l1', { url: LANDING })], ...ofOffer })],
  })

const open = (t: TestContext, config: Snapshot): Promise<TestEdge> => withEdge(t, config)

/** Evil in a sub id: must stay text wherever it ends up. */
const EVIL = encodeURIComponent('"></script><script>alert(1)</script>')

const ask = (edge: TestEdge, query = 'sub1=x', options: Ask = {}) => edge.ask(`/click?c=summer&${query}`, options)

const recordOf = async (edge: TestEdge): Promise<ClickRecord> => (await edge.records())[0] as ClickRecord

describe('a redirect', () => {
  for (const kind of ['302', '303', '307'] as const)
    test(`by HTTP, ${kind}`, async (t) => {
      const { status, headers } = await ask(await open(t, configWith({ redirect: kind })))
      assert.equal(status, Number(kind))
      assert.ok(headers.location?.startsWith('https://land.example/?a=1&n=x&clickid='))
      assert.equal(headers['cache-control'], 'no-store')
      assert.equal(headers['referrer-policy'], undefined)
    })

  const pages: readonly (readonly [RedirectKind, RegExp])[] = [
    ['meta', /<meta http-equiv="refresh" content="0; url=https:\/\/land\.example\/\?a=1&amp;n=x&amp;clickid=[\w-]+">/],
    ['js', /<script>location\.replace\("https:\/\/land\.example\/\?a=1&n=x&clickid=[\w-]+"\)<\/script>/],
    ['iframe', /<iframe src="https:\/\/land\.example\/\?a=1&amp;n=x&amp;clickid=[\w-]+"/],
  ]
  for (const [kind, content] of pages) {
    test(`by a page, ${kind}`, async (t) => {
      const { status, headers, body } = await ask(await open(t, configWith({ redirect: kind })))
      assert.deepEqual(
        [status, headers['content-type'], headers['cache-control']],
        [200, 'text/html; charset=utf-8', 'no-store'],
      )
      assert.match(body, content)
    })

    test(`by a page, ${kind}, lets nothing out of a parameter`, async (t) => {
      const evil = configWith(
        { redirect: kind },
        {},
        { landings: [landing('l1', { url: 'https://land.example/?n={_sub1}' })] },
      )
      const { body } = await ask(await open(t, evil), `sub1=${EVIL}`)
      assert.ok(!body.includes('<script>alert'), body)
      assert.ok(!body.includes('"></script>'), body)
    })
  }

  test('tells the referrer policy by header and in the page', async (t) => {
    const { headers, body } = await ask(await open(t, configWith({ redirect: 'meta', referrer_policy: 'no-referrer' })))
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.ok(body.includes('<meta name="referrer" content="no-referrer">'))
    const plain = await ask(await open(t, configWith({ referrer_policy: 'origin' })))
    assert.deepEqual([plain.status, plain.headers['referrer-policy']], [302, 'origin'])
  })

  test('by double meta goes by way of a second page, which goes nowhere else', async (t) => {
    const edge = await open(t, configWith({ redirect: 'double_meta' }))
    const first = await ask(edge)
    const way = /url=(\/hop\?[^"]+)"/.exec(first.body)![1]!.replaceAll('&amp;', '&')
    const second = await edge.ask(way)
    assert.equal(second.status, 200)
    assert.match(second.body, /content="0; url=https:\/\/land\.example\/\?a=1&amp;n=x/)
    assert.equal(second.headers['referrer-policy'], 'no-referrer')
    const elsewhere = Buffer.from('https://evil.example/').toString('base64url')
    assert.equal((await edge.ask(way.replace(/u=[^&]+/, `u=${elsewhere}`))).status, 404)
    assert.equal((await edge.ask('/hop')).status, 404)
    // As many characters as a signature has, and more bytes.
    assert.equal(
      (await edge.ask(`/hop?u=aHR0cHM6Ly9ldmlsLmV4YW1wbGU&s=${encodeURIComponent('é'.repeat(22))}`)).status,
      404,
    )
    // The second page is no click.
    assert.equal((await edge.records()).length, 1)
  })

  test('by double meta is a single one where there is no key yet, or the way would be too long', async (t) => {
    const { redirect_key: _key, ...keyless } = configWith({ redirect: 'double_meta' })
    assert.match((await ask(await open(t, keyless))).body, /url=https:\/\/land\.example/)
    const long = { landings: [landing('l1', { url: `https://land.example/?x=${'y'.repeat(7_000)}` })] }
    assert.match(
      (await ask(await open(t, configWith({ redirect: 'double_meta' }, {}, long)))).body,
      /url=https:\/\/land\.example/,
    )
  })

  test('sets the cookies of a click, whatever its kind', async (t) => {
    const { headers } = await ask(await open(t, configWith({ redirect: 'js' })))
    const names = headers['set-cookie']!.map((cookie) => cookie.split('=')[0])
    assert.deepEqual(names, ['wp_v', 'wp_c'])
  })
})

describe('a page that a flow shows', () => {
  test('has its macros filled and escaped, and is recorded as shown', async (t) => {
    const edge = await open(t, configWith({ offers: [], action: { kind: 'html', html: '<p>{sub1} {_sub1}</p>' } }))
    const { status, body } = await ask(edge, `sub1=${encodeURIComponent('<b>"')}`)
    assert.deepEqual([status, body], [200, '<p>&lt;b&gt;&quot; &lt;b&gt;&quot;</p>'])
    assert.equal((await recordOf(edge)).outcome, 'shown')
  })

  test('is sent with the referrer policy of the flow', async (t) => {
    const action = { kind: 'html', html: '<a href="https://land.example/">on</a>' } as const
    const { headers } = await ask(await open(t, configWith({ offers: [], action, referrer_policy: 'no-referrer' })))
    assert.equal(headers['referrer-policy'], 'no-referrer')
  })
})

describe('with redirect=0', () => {
  test('the click is recorded, and the page is told its id and target', async (t) => {
    const edge = await open(t, configWith({}))
    const { status, headers, body } = await ask(edge, 'sub1=x&redirect=0', {
      headers: { origin: 'https://shop.example' },
    })
    const record = await recordOf(edge)
    assert.equal(status, 200)
    assert.equal(headers['access-control-allow-origin'], 'https://shop.example')
    assert.deepEqual(JSON.parse(body), {
      click_id: record.click_id,
      visitor_code: record.visitor_code,
      outcome: 'redirected',
      url: `https://land.example/?a=1&n=x&clickid=${record.click_id}`,
      campaign_id: 'summer',
      flow_id: 'f1',
      offer_id: 'o1',
      landing_id: 'l1',
    })
  })

  test('a target that cannot take the visitor says why', async (t) => {
    const edge = await open(t, configWith({ status: 'paused' }))
    const { status, body } = await ask(edge, 'redirect=0')
    const { outcome, refusal, url } = JSON.parse(body) as Record<string, unknown>
    assert.deepEqual([status, outcome, refusal, url], [200, 'not_found', 'no_flow_matched', undefined])
  })

  test('the referrer is the one that the page names, cut as a header is, and never the page itself', async (t) => {
    const edge = await open(t, configWith({}))
    const page = { headers: { referer: 'https://shop.example/page' } }
    const named = `https://search.example/?q=${'x'.repeat(2_000)}`
    await ask(edge, `redirect=0&referrer=${encodeURIComponent(named)}`, page)
    await ask(edge, 'redirect=0&referer=https%3A%2F%2Fnews.example%2F', page)
    await ask(edge, 'redirect=0&referrer=', page)
    await ask(edge, 'referrer=https%3A%2F%2Fforged.example%2F', page)
    const referrers = (await edge.records()).map((record) => (record as ClickRecord).referrer)
    assert.deepEqual(referrers, [named.slice(0, 1_024), 'https://news.example/', undefined, 'https://shop.example/page']) // prettier-ignore
  })

  test('a page of another host may not read it, nor one of another advertiser', async (t) => {
    const other = advertiser({ advertiser_id: 'other', domains: ['other.example'] })
    const edge = await open(t, { ...configWith({}), advertisers: [advertiser(), other] })
    for (const origin of ['https://evil.example', 'https://other.example']) {
      const { headers } = await ask(edge, 'redirect=0', { headers: { origin } })
      assert.equal(headers['access-control-allow-origin'], undefined, origin)
      assert.equal(headers.vary, 'Origin')
    }
    const unknown = await edge.ask('/nobody?redirect=0', { headers: { origin: 'https://shop.example' } })
    assert.equal(unknown.headers['access-control-allow-origin'], undefined)
  })
})

describe('a campaign that binds its visitors', () => {
  const config = snapshot({
    campaigns: [
      campaign({
        flows: [flow('f1', { weight: 1 }), flow('f2', { weight: 1 })],
        bind: { flow_hours: 24 },
      }),
    ],
  })
  const boundCookieOf = (headers: IncomingHttpHeaders): string | undefined =>
    headers['set-cookie']?.find((cookie) => cookie.startsWith('wp_b='))

  test('sets every cookie that docs/http-edge.md lists, for as long, and other routes set none', async (t) => {
    const edge = await open(t, config)
    const cookies = (await ask(edge)).headers['set-cookie']!
    assert.deepEqual(cookies.map((cookie) => cookie.split('=')[0]), Object.keys(edgeCookies)) // prettier-ignore
    const longest = await open(t, { ...config, campaigns: [campaign({ bind: { flow_hours: 8_760, offer_hours: 1 } })] })
    const lives = (await ask(longest)).headers['set-cookie']!.map((cookie) => /Max-Age=(\d+)/.exec(cookie)?.[1])
    assert.deepEqual(lives.map(Number), Object.values(edgeCookies).map(({ maxAgeSeconds }) => maxAgeSeconds)) // prettier-ignore
    for (const path of ['/postback?click_id=x', '/pixel.gif?type=open', '/t.js', '/hop', '/healthz'])
      assert.equal((await edge.ask(path)).headers['set-cookie'], undefined, path)
  })

  test('gives a visitor who comes again the same flow', async (t) => {
    const edge = await open(t, config)
    const first = await ask(edge)
    const cookie = boundCookieOf(first.headers)!
    assert.match(cookie, /Max-Age=86400; Path=\/; HttpOnly; SameSite=Lax$/)
    for (let visit = 0; visit < 12; visit++) await ask(edge, '', { headers: { cookie: cookie.split(';')[0]! } })
    const flows = (await edge.records()).map((record) => (record as ClickRecord).flow_id)
    assert.equal(new Set(flows).size, 1)
  })

  test('also where the flow leads on to another campaign', async (t) => {
    const toWinter = { offers: [], action: { kind: 'campaign', campaign_id: 'winter' }, weight: 1 } as const
    const bind = { flow_hours: 24 }
    const winter = campaign({ campaign_id: 'winter', bind, flows: [flow('w1', { weight: 1 }), flow('w2', { weight: 1 })] }) // prettier-ignore
    const summer = campaign({ bind, flows: [flow('f1', toWinter), flow('f2', { weight: 1 }), flow('f3', toWinter)] })
    const edge = await open(t, snapshot({ campaigns: [summer, winter] }))
    let cookie: string | undefined
    for (let visit = 0; cookie === undefined && visit < 100; visit++) {
      const made = boundCookieOf((await ask(edge)).headers)!
      if (made.includes('winter|')) cookie = made.split(';')[0]!
    }
    assert.match(cookie!, /^wp_b=winter\|w[12]\|\w+\|{4}~summer\|f[13]\|/)
    const before = (await edge.records()).length
    for (let visit = 0; visit < 12; visit++) await ask(edge, '', { headers: { cookie: cookie! } })
    const flows = (await edge.records()).slice(before).map((record) => (record as ClickRecord).flow_id)
    assert.deepEqual([flows.length, new Set(flows).size], [12, 1])
  })

  test('keeps it through a visit that a forced flow takes', async (t) => {
    const forced = flow('promo', { kind: 'forced', rule: { field: 'sub1', op: 'is', value: 'promo' } })
    const flows = [forced, flow('f1', { weight: 1 }), flow('f2', { weight: 1 })]
    const edge = await open(t, snapshot({ campaigns: [campaign({ flows, bind: { flow_hours: 24 } })] }))
    const cookie = boundCookieOf((await ask(edge)).headers)!.split(';')[0]!
    const promo = await ask(edge, 'sub1=promo', { headers: { cookie } })
    assert.equal(boundCookieOf(promo.headers), undefined, 'the browser keeps the cookie that it has')
    const [first, second] = (await edge.records()).map((record) => (record as ClickRecord).flow_id)
    assert.equal(second, 'promo')
    assert.ok(cookie.includes(`|${first}|`))
  })

  test('binds nobody by a prefetch, and other campaigns set no such cookie', async (t) => {
    const prefetch = await ask(await open(t, config), '', { headers: { 'sec-purpose': 'prefetch' } })
    assert.equal(boundCookieOf(prefetch.headers), undefined)
    assert.equal(boundCookieOf((await ask(await open(t, configWith({})))).headers), undefined)
  })
})
