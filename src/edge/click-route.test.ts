import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { newClickId, uuidV7Time } from '#platform/ids'
import type { ClickRecord, LoggedRecord } from '#records'
import type { Snapshot } from '#routing'
import { affiliate, campaign, flow, landing, offer, snapshot } from '#routing/test-snapshots'
import { heldAppends, withEdge, type Answer } from './test-edge.ts'

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36'

const click = (record: LoggedRecord | undefined): ClickRecord => {
  assert.equal(record?.kind, 'click')
  return record as ClickRecord
}

const locationOf = (answer: Answer): URL => new URL(answer.headers.location!)

describe('a click', () => {
  test('costs in the currency of its advertiser where it names none', async (t) => {
    const { ask, records } = await withEdge(
      t,
      snapshot({ advertisers: [{ ...snapshot().advertisers[0]!, currency: 'PLN' }] }),
    )
    for (const path of [
      '/click?o=o1&cost=0.05',
      '/click?o=o1&cost=0.05&currency=eur',
      '/click?o=o1',
      '/click?o=nothing&cost=1',
    ])
      await ask(path)
    const currencies = (await records()).map((record) => click(record).currency)
    assert.deepEqual(currencies, ['PLN', 'EUR', undefined, undefined])
  })

  test('is redirected to its landing and recorded with everything it brought', async (t) => {
    const config = snapshot({ links: [{ code: 'go', campaign_id: 'summer', affiliate_id: 'ann' }] })
    const { ask, records } = await withEdge(t, config)
    const answer = await ask(
      '/go?sub1=a+b&sub2=geo-TR|dev-mobile&sub30=z&utm_source=fb&source=src&external_id=fb.1&cost=0.05&currency=eur' +
        '&ad_campaign_id=77&creative_id=cr&landing_id=o1-land&visitor_code=visitor-1',
      {
        headers: {
          'user-agent': CHROME,
          referer: 'https://news.example/x',
          'accept-language': 'tr-TR,tr',
          host: 'Trk.Example:8080',
        },
      },
    )
    assert.equal(answer.status, 302)
    const url = locationOf(answer)
    const record = click((await records())[0])
    assert.equal(url.host, 'o1-land.example')
    assert.equal(url.searchParams.get('clickid'), record.click_id)
    assert.equal(url.searchParams.get('sub1'), 'a b')
    assert.equal(url.searchParams.get('utm_source'), 'fb')
    assert.equal(answer.headers['cache-control'], 'no-store')
    const { click_id, at, trace, os, os_version, browser, browser_version, ...rest } = record
    assert.equal(uuidV7Time(click_id), at)
    assert.ok(trace.length > 0)
    assert.deepEqual([os, os_version, browser, browser_version], ['Windows', '10', 'Chrome', '126.0.0'])
    assert.deepEqual(rest, {
      kind: 'click',
      class: 'click',
      outcome: 'redirected',
      config_version: 1,
      advertiser_id: 'acme',
      campaign_id: 'summer',
      flow_id: 'f1',
      offer_id: 'o1',
      landing_id: 'o1-land',
      affiliate_id: 'ann',
      link_code: 'go',
      ip: '127.0.0.1',
      user_agent: CHROME,
      device_type: 'desktop',
      language: 'tr-tr',
      visitor_code: 'visitor-1',
      source_id: 'src',
      ad_campaign_id: '77',
      creative_id: 'cr',
      external_click_id: 'fb.1',
      cost_micros: 50_000,
      currency: 'EUR',
      referrer: 'https://news.example/x',
      domain: 'trk.example',
      utm_source: 'fb',
      sub1: 'a b',
      sub2: 'geo-TR|dev-mobile',
      sub2_keys: { geo: 'TR', dev: 'mobile' },
      sub30: 'z',
    })
  })

  test('is answered only once its record is durable', async (t) => {
    const { append, asked, release } = heldAppends()
    const { ask } = await withEdge(t, snapshot(), { append })
    let isAnswered = false
    const answering = ask('/click?o=o1').then((answer) => {
      isAnswered = true
      return answer
    })
    await asked
    // Another request makes the round trip meanwhile: an answer that did not wait would have come.
    await ask('/healthz')
    assert.equal(isAnswered, false)
    release()
    assert.equal((await answering).status, 302)
  })

  test('keeps a click id that is a UUID, in lower case', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const clickId = newClickId(Date.now())
    await ask(`/click?o=o1&clickid=${clickId.toUpperCase()}`)
    assert.equal(click((await records())[0]).click_id, clickId)
  })

  test('gets a new id where its own is no UUID, which becomes the external one', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    await ask('/click?o=o1&clickid=abc123')
    await ask('/click?o=o1&clickid=abc123&external_id=given')
    const [first, second] = (await records()).map(click)
    assert.equal(first!.external_click_id, 'abc123')
    assert.equal(second!.external_click_id, 'given')
  })

  for (const digit of ['0', 'f'])
    test(`gets a new id where its own is a placeholder of only ${digit}`, async (t) => {
      const { ask, records } = await withEdge(t, snapshot())
      const placeholder = '12345678-1234-1234-1234-123456789012'.replaceAll(/\d/g, digit)
      await ask(`/click?o=o1&clickid=${placeholder}`)
      const record = click((await records())[0])
      assert.equal(uuidV7Time(record.click_id), record.at)
      assert.equal(record.external_click_id, placeholder)
    })

  test('that gets a new id is recorded by the decision on that one alone', async (t) => {
    const flows = [flow('offer'), flow('address', { offers: [], action: { kind: 'url', url: 'https://own.example/' } })]
    const config = snapshot({ campaigns: [campaign({ flows })], offers: [offer('o1'), offer('o2')] })
    const { ask, records, indexClicks } = await withEdge(t, config)
    const given = Array.from({ length: 10 }, () => newClickId(Date.now()))
    for (const id of given) await ask(`/click?o=o2&clickid=${id}`)
    await indexClicks((await records()).map(click))
    // Each given id draws one of the two flows, and the new one that it gets draws anew.
    for (const id of given) for (let visit = 0; visit < 4; visit++) await ask(`/click?c=summer&clickid=${id}`)
    const others = (await records()).slice(given.length).map(click)
    const ofAddress = others.filter(({ flow_id }) => flow_id === 'address')
    assert.ok(ofAddress.length > 0)
    for (const { offer_id, landing_id } of ofAddress) assert.deepEqual([offer_id, landing_id], [undefined, undefined])
  })

  test('gets a new id where its own is that of a click to another target, and keeps it as a repeat to the same', async (t) => {
    const config = snapshot({ offers: [offer('o1'), offer('o2')] })
    const { ask, records, indexClicks } = await withEdge(t, config)
    const given = newClickId(Date.now())
    await ask(`/click?o=o1&clickid=${given}`)
    await indexClicks([click((await records())[0])])
    const other = await ask(`/click?o=o2&clickid=${given}`)
    await ask(`/click?o=o2&clickid=${given}&external_id=own`)
    await ask(`/click?o=o1&clickid=${given}`)
    const [, second, third, fourth] = (await records()).map(click)
    assert.equal(uuidV7Time(second!.click_id), second!.at)
    assert.notEqual(second!.click_id, given)
    assert.equal(second!.external_click_id, given)
    assert.equal(locationOf(other).searchParams.get('clickid'), second!.click_id)
    assert.match(String(other.headers['set-cookie']), new RegExp(`wp_c=${second!.click_id}`))
    assert.equal(third!.external_click_id, 'own')
    assert.equal(fourth!.click_id, given)
  })

  test('of a URL with a second question mark keeps its parameters', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    await ask('/click??o=o1&?sub1=a')
    const record = click((await records())[0])
    assert.equal(record.offer_id, 'o1')
    assert.equal(record.sub1, 'a')
  })
})

describe('what no one may make up or lose', () => {
  test('the visitor code of the cookie is kept and renewed for a year', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const answer = await ask('/click?o=o1', { headers: { cookie: 'a=1; wp_v=known-visitor; xwp_v=no' } })
    const record = click((await records())[0])
    assert.equal(record.visitor_code, 'known-visitor')
    assert.deepEqual(answer.headers['set-cookie'], [
      'wp_v=known-visitor; Max-Age=31536000; Path=/; SameSite=Lax',
      `wp_c=${record.click_id}; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax`,
    ])
  })

  test('what is no click to an offer leaves the cookie of the last click alone', async (t) => {
    const { ask } = await withEdge(t, snapshot())
    const asked = [
      ask('/click?o=o1', { headers: { 'sec-purpose': 'prefetch' } }),
      ask('/click?o=nobody'),
      ask('/click?o=o1', { method: 'HEAD' }),
    ]
    for (const answer of await Promise.all(asked)) assert.doesNotMatch(answer.headers['set-cookie']!.join(), /wp_c=/)
  })

  test('a prefetch does not use up the click id of its link', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const given = '01975bd5-3c00-7abc-8def-0123456789ab'
    await ask(`/click?o=o1&clickid=${given}`, { headers: { 'sec-purpose': 'prefetch' } })
    await ask(`/click?o=o1&clickid=${given}`)
    const [prefetch, visit] = (await records()).map(click)
    assert.notEqual(prefetch!.click_id, given)
    assert.equal(prefetch!.external_click_id, given)
    assert.equal(visit!.click_id, given)
  })

  test('a visitor code that could break out of the cookie is replaced', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const answer = await ask('/click?o=o1&visitor_code=a%3B%20Domain%3Devil.example')
    assert.match(click((await records())[0]).visitor_code!, /^[0-9a-f-]{36}$/)
    assert.doesNotMatch(answer.headers['set-cookie']!.join(), /evil/)
  })

  test('cookies are Secure where a trusted proxy says https', async (t) => {
    const { ask } = await withEdge(t, snapshot(), { config: { trustedProxies: ['127.0.0.1'] } })
    const secure = await ask('/click?o=o1', { headers: { 'x-forwarded-proto': 'https' } })
    assert.ok(secure.headers['set-cookie']!.every((cookie) => cookie.endsWith('; Secure')))
    const plain = await ask('/click?o=o1')
    assert.ok(plain.headers['set-cookie']!.every((cookie) => !cookie.includes('Secure')))
  })

  test('forwarding headers of a peer that is no trusted proxy are ignored', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const headers = {
      'x-forwarded-for': '198.51.100.7',
      'cf-connecting-ip': '198.51.100.8',
      'x-forwarded-proto': 'https',
    }
    const answer = await ask('/click?o=o1', { headers })
    assert.equal(click((await records())[0]).ip, '127.0.0.1')
    assert.doesNotMatch(answer.headers['set-cookie']!.join(), /Secure/)
  })
})

describe('a request that is no click is answered and recorded with its class', () => {
  const cases = {
    head: { method: 'HEAD' },
    prefetch: { headers: { 'sec-purpose': 'prefetch;prerender' } },
    preview: { headers: { 'user-agent': 'TelegramBot (like TwitterBot)' } },
  }
  for (const [name, options] of Object.entries(cases)) {
    test(name, async (t) => {
      const { ask, records } = await withEdge(t, snapshot())
      const answer = await ask('/click?o=o1', options)
      assert.equal(answer.status, 302)
      assert.equal(click((await records())[0]).class, name)
    })
  }
})

describe('a request that goes nowhere', () => {
  test('gets the plain page and is recorded with the reason', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    const answer = await ask('/nope')
    assert.equal(answer.status, 404)
    assert.match(answer.headers['content-type']!, /text\/html/)
    const record = click((await records())[0])
    assert.equal(record.outcome, 'not_found')
    assert.equal(record.refusal, 'link_unknown')
    assert.equal(record.link_code, 'nope')
  })

  test('goes to the fallback, where there is one, with its macros filled', async (t) => {
    const config = snapshot({
      offers: [offer('o1', { status: 'paused', fallback_url: 'https://else.example/?c={click_id}' })],
    })
    const { ask, records } = await withEdge(t, config)
    const answer = await ask('/click?o=o1&sub1=x')
    const record = click((await records())[0])
    assert.equal(answer.headers.location, `https://else.example/?c=${record.click_id}`)
    assert.equal(record.outcome, 'fallback')
    assert.equal(record.refusal, 'offer_paused')
    assert.equal(record.offer_id, 'o1')
  })

  test('is not recorded where it is no link: the host alone, deeper paths, icons, robots', async (t) => {
    const { ask, records } = await withEdge(t, snapshot())
    assert.equal((await ask('/')).status, 404)
    assert.equal((await ask('/?utm_source=x')).status, 404)
    assert.equal((await ask('/a/b')).status, 404)
    assert.equal((await ask('/favicon.ico')).status, 204)
    assert.match((await ask('/robots.txt')).body, /Disallow: \//)
    assert.deepEqual(await records(), [])
  })
})

describe('the configuration', () => {
  test('is swapped in whole while the edge runs', async (t) => {
    const { ask, snapshots } = await withEdge(t, snapshot())
    const next: Snapshot = { ...snapshot(), version: 2, offers: [offer('o1', { landings: [landing('new')] })] }
    assert.equal(locationOf(await ask('/click?o=o1')).host, 'o1-land.example')
    snapshots.take(next)
    assert.equal(locationOf(await ask('/click?o=o1')).host, 'new.example')
  })

  test('that cannot be used leaves the last one in place', async (t) => {
    const { ask, snapshots } = await withEdge(t, snapshot())
    const broken = offer('o1', { postback: { secrets: [], hmac_secrets: [], allowed_addresses: ['nonsense'] } })
    snapshots.take({ ...snapshot(), version: 2, offers: [broken] })
    assert.equal((await ask('/click?o=o1')).status, 302)
    assert.equal((JSON.parse((await ask('/readyz')).body) as { config_version: number }).config_version, 1)
  })

  test('that was never there is answered 503 until it comes', async (t) => {
    const { ask, snapshots } = await withEdge(t, undefined)
    const answer = await ask('/click?o=o1')
    assert.equal(answer.status, 503)
    assert.ok(answer.headers['retry-after'])
    assert.equal((await ask('/readyz')).status, 503)
    snapshots.take(snapshot())
    assert.equal((await ask('/click?o=o1')).status, 302)
    assert.equal((await ask('/readyz')).status, 200)
  })
})

test('rules read how fast the browser takes its connection to be', async (t) => {
  const slow = flow('slow', { kind: 'forced', rule: { field: 'connection', op: 'in', value: ['slow-2g', '2g'] } })
  const { ask, records } = await withEdge(t, snapshot({ campaigns: [campaign({ flows: [slow, flow('fast')] })] }))
  for (const ect of ['2g', '4g', '"2g"']) await ask('/click?c=summer', { headers: { ect } })
  const answer = await ask('/click?c=summer')
  assert.match(String(answer.headers['accept-ch']), /\bECT\b/)
  assert.deepEqual(
    (await records()).map((record) => [click(record).flow_id, click(record).connection]),
    [['slow', '2g'], ['fast', '4g'], ['fast', undefined], ['fast', undefined]],
  ) // prettier-ignore
})

test('rules read what the edge found out', async (t) => {
  const flows = [
    flow('phones', { kind: 'forced', rule: { field: 'device_type', op: 'is', value: 'mobile' } }),
    flow('ads', { kind: 'forced', rule: { field: 'query.gclid', op: 'starts_with', value: 'ab' } }),
    flow('ann', { rule: { all: [{ field: 'affiliate_id', op: 'is', value: 'ann' }, { field: 'sub3', op: 'is', value: 'x' }] } }), // prettier-ignore
    flow('rest', { kind: 'default' }),
  ]
  const config = snapshot({ campaigns: [campaign({ flows })], affiliates: [affiliate()] })
  const { ask, records } = await withEdge(t, config)
  const phone =
    'Mozilla/5.0 (Linux; Android 14; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36'
  await ask('/click?c=summer', { headers: { 'user-agent': phone } })
  await ask('/click?c=summer&a=ann&s3=x', { headers: { 'user-agent': CHROME } })
  await ask('/click?c=summer&a=ann', { headers: { 'user-agent': CHROME } })
  await ask('/click?c=summer&GCLID=AB%2D1', { headers: { 'user-agent': CHROME } })
  assert.deepEqual(
    (await records()).map((record) => click(record).flow_id),
    ['phones', 'ann', 'rest', 'ads'],
  )
})
