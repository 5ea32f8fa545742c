import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'

import { applyConfiguration, findVersion } from '#configuration'
import { withEdge, type TestEdge } from '#edge/test-edge'
import { newClickId } from '#platform/ids'
import type { ClickRecord } from '#records'

import { NOW_MS, withApi, type Answer, type TestApi } from './test-api.ts'

type Json = Record<string, unknown>

/** Flows by country, language, device and sub id, weights, a smart link, pages, other redirects, another campaign, refusals. */
const ROUTES = `
fallback_url: "https://fallback.example/?s={sub1}"
advertisers: { acme: { domains: [acme.example] } }
affiliates: { anna: { advertiser_ids: [acme] }, barred: { advertiser_ids: [acme], status: blocked } }
offers:
  lamp:
    advertiser_id: acme
    landings: [{ landing_id: a, url: "https://a.example/?l={language}&d={device_type}", weight: 60 }, { landing_id: b, url: "https://b.example/", weight: 40 }]
    prices: [{ type: sale, payout: 5, revenue: 8 }]
  torch:
    advertiser_id: acme
    landing_url: https://torch.example/{campaign_id}?r={referrer}
    redirect: meta
    prices: [{ type: sale, payout: 1, revenue: 2 }]
  gone: { advertiser_id: acme, status: paused, landing_url: https://gone.example/, prices: [{ type: sale, payout: 1, revenue: 2 }] }
campaigns:
  summer:
    advertiser_id: acme
    bind: { flow_hours: 24, landing_hours: 24 }
    flows:
      - { flow_id: vip, kind: forced, rule: { sub1: vip }, to_url: "https://vip.example/?id={external_id}" }
      - { flow_id: page, kind: forced, rule: { sub1: page }, show_html: "<p>Hello {sub2}</p>" }
      - { flow_id: next, kind: forced, rule: { sub1: next }, to_campaign: winter }
      - { flow_id: german, weight: 30, rule: { language: de-de }, offers: [{ offer_id: lamp }] }
      - { flow_id: both, weight: 70, offers: [{ offer_id: lamp, weight: 50 }, { offer_id: torch, weight: 50 }] }
  winter: { advertiser_id: acme, affiliate_id: anna, offer_id: torch }
links:
  go: { campaign_id: summer, affiliate_id: anna }
`

async function withRoutes(t: TestContext): Promise<{ readonly api: TestApi; readonly edge: TestEdge }> {
  const api = await withApi(t)
  const applied = await applyConfiguration(api.pool, ROUTES, { by: 'test' })
  assert.ok(applied.kind === 'applied', JSON.stringify(applied))
  const { snapshot } = (await findVersion(api.pool, undefined))!
  return { api, edge: await withEdge(t, snapshot) }
}

const explain = ({ ask }: TestApi, body: object): Promise<Answer> =>
  ask('/v1/routing/explain', { method: 'POST', body })

const AGENTS = [
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'curl/8.9.1',
]

const plainParameters = fc.record({
  c: fc.constant('summer'),
  sub1: fc.constantFrom('vip', 'page', 'next', 'x'),
})
const anyParameters = fc.record(
  {
    c: fc.constantFrom('summer', 'winter', 'nowhere'),
    f: fc.constantFrom('german', 'both'),
    flow_id: fc.constantFrom('german', 'both', 'none'),
    o: fc.constantFrom('lamp', 'torch', 'gone', 'none'),
    landing_id: fc.constantFrom('a', 'b', 'x'),
    a: fc.constantFrom('anna', 'barred', 'nobody'),
    sub1: fc.constantFrom('vip', 'page', 'next', 'x y', '<&>'),
    sub2: fc.constantFrom('geo-TR|dev-mobile', 'plain'),
    external_id: fc.string({ unit: 'grapheme', maxLength: 8 }),
    cost: fc.constantFrom('0.25', 'much'),
  },
  { requiredKeys: [] },
)
const visitorHeaders = fc.record(
  {
    'user-agent': fc.constantFrom(...AGENTS),
    'accept-language': fc.constantFrom('de-DE,de;q=0.9', 'en-US', '*'),
    referer: fc.constant('https://news.example/story?x=1'),
    cookie: fc.constantFrom('wp_v=visitor-7', 'wp_b=summer|german|zzzzzzz|||b|zzzzzzz; wp_v=visitor-8'),
  },
  { requiredKeys: ['user-agent'] },
)
const headers = fc.oneof(
  { weight: 9, arbitrary: visitorHeaders },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ 'sec-purpose': 'prefetch' }, { 'user-agent': 'TelegramBot (like TwitterBot)' }),
  },
)
const parameters = fc.oneof(plainParameters, anyParameters)
const requests = fc.record({
  path: fc.constantFrom('/click', '/click', '/click', '/go', '/go', '/unknown'),
  parameters,
  headers,
})

test('explains every click as a real edge decides it', async (t) => {
  const { api, edge } = await withRoutes(t)
  const outcomes = new Set<unknown>()
  let seen = 0
  await fc.assert(
    fc.asyncProperty(requests, async ({ path, parameters, headers }) => {
      const url = `${path}?${new URLSearchParams(parameters as Record<string, string>).toString()}`
      const answer = await edge.ask(url, { headers: headers as Record<string, string> })
      const records = await edge.records()
      assert.equal(records.length, (seen += 1))
      const record = records.at(-1) as ClickRecord
      const { body, status, text } = await explain(api, {
        url,
        click_id: record.click_id,
        visitor_code: record.visitor_code,
        visitor: { ip: '127.0.0.1' },
        headers: { host: `127.0.0.1:${edge.edge.port}`, ...headers },
        at: new Date(record.at).toISOString(),
      })
      assert.equal(status, 200, text)
      assert.equal(body['class'], record.class)
      // A prefetch gets an id of its own each time, whatever id the link gives, and draws with that.
      if (record.class !== 'click') return
      const { kind: _, at: _at, ...recorded } = record
      const { click, ...explained } = body as Json & { click: Json }
      assert.partialDeepStrictEqual({ ...explained, ...click }, recorded)
      if (answer.status === 302) assert.equal(body['url'], answer.headers.location)
      if (body['html'] !== undefined) assert.equal(answer.body, body['html'])
      if (answer.status === 404) assert.equal(body['url'], undefined)
      if (body['redirect'] === 'meta') assert.ok(answer.body.includes('http-equiv="refresh"'))
      assert.equal(body['is_recorded'], false)
      outcomes.add(body['outcome'])
    }),
    { numRuns: 150, seed: 7 },
  )
  assert.deepEqual(outcomes, new Set(['fallback', 'redirected', 'shown']))
  assert.equal((await edge.records()).length, seen)
})

test('fills in what it is told of the visitor, and says why in sentences', async (t) => {
  const { api } = await withRoutes(t)
  const { body } = await explain(api, {
    link_code: 'go',
    parameters: { sub5: 'x' },
    visitor: { country: 'DE', user_agent: AGENTS[0], language: 'de-de' },
    click_id: newClickId(NOW_MS),
    at: '2026-11-20T12:00:00Z',
  })
  const click = body['click'] as Json
  assert.deepEqual(
    [click['country'], click['os'], click['device_type'], click['link_code'], click['sub5']],
    ['DE', 'iOS', 'mobile', 'go', 'x'],
  )
  assert.deepEqual([body['campaign_id'], body['affiliate_id'], body['config_version']], ['summer', 'anna', 2])
  const decision = body['decision'] as string[]
  assert.equal(decision[0], 'The link “go” was opened.')
  assert.ok(decision.some((sentence) => sentence.includes('was drawn by weight')))
  assert.deepEqual(body['notes'], [
    'Nothing was recorded, counted or reserved.',
    'Caps were not asked here: each is taken to have room.',
  ])
})

test('explains a refusal with its sentence', async (t) => {
  const { api } = await withRoutes(t)
  const { body } = await explain(api, { offer_id: 'gone' })
  assert.deepEqual(
    [body['outcome'], body['refusal'], body['refusal_meaning'], body['url']],
    ['fallback', 'offer_paused', 'The offer is paused or archived.', 'https://fallback.example/?s='],
  )
  assert.match(String((body['notes'] as string[])[1]), /click id was made up/)
})

test('explains by an earlier version, and by a file that is not applied', async (t) => {
  const { api } = await withRoutes(t)
  const click_id = newClickId(NOW_MS)
  const earlier = await explain(api, { campaign_id: 'summer', version: 1, click_id })
  assert.deepEqual([earlier.body['refusal'], earlier.body['config_version']], ['campaign_unknown', 1])
  const configuration = 'links: { go: { campaign_id: winter } }'
  const unsaved = await explain(api, { link_code: 'go', configuration, click_id })
  assert.deepEqual(
    [unsaved.body['campaign_id'], unsaved.body['config_version'], unsaved.body['is_saved']],
    ['winter', 3, false],
  )
  assert.equal((await findVersion(api.pool, undefined))!.version, 2)
  await applyConfiguration(api.pool, configuration, { by: 'test' })
  const applied = await explain(api, { link_code: 'go', click_id })
  assert.deepEqual([applied.body['trace'], applied.body['is_saved']], [unsaved.body['trace'], true])
})

test('refuses what cannot be asked', async (t) => {
  const { api } = await withRoutes(t)
  const codeAndPath = ({ status, body }: Answer) => {
    const { code, path } = body['error'] as Json
    return [status, code, path]
  }
  assert.deepEqual(codeAndPath(await explain(api, { version: 99 })), [400, 'request_invalid', 'version'])
  assert.deepEqual(codeAndPath(await explain(api, { version: 1, configuration: '' })), [400, 'request_invalid', 'configuration']) // prettier-ignore
  assert.deepEqual(codeAndPath(await explain(api, { luck: 1 })), [400, 'request_invalid', 'luck'])
  const parameters = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`p${index}`, 'x'.repeat(1_000)]))
  assert.deepEqual(codeAndPath(await explain(api, { parameters })), [400, 'request_invalid', 'url'])
  assert.deepEqual(codeAndPath(await explain(api, { url: '/hop' })), [400, 'request_invalid', 'url'])
  for (const ip of ['999.1.1.1', '192.0.2', 'here'])
    assert.deepEqual(codeAndPath(await explain(api, { offer_id: 'lamp', visitor: { ip } })), [400, 'request_invalid', 'visitor.ip']) // prettier-ignore
  const wrong = await explain(api, { configuration: 'offers: { x: {} }' })
  assert.deepEqual(codeAndPath(wrong).slice(0, 2), [422, 'configuration_invalid'])
  assert.ok((wrong.body['issues'] as Json[]).length > 0)
  const key = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  const foreign = await api.ask('/v1/routing/explain', { method: 'POST', body: {}, key })
  assert.deepEqual(codeAndPath(foreign), [403, 'forbidden', undefined])
})
