import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { IncomingMessage } from 'node:http'

import { compileFraud, emptyRateCounters, type FraudSettings, type OfferFraud } from '#fraud'
import type { ClickRecord } from '#records'
import { advertiser, campaign, flow, landing, offer, snapshot, TEST_TIME } from '#routing/test-snapshots'
import { describeTrace, type Snapshot } from '#routing'
import { judgeOf } from './judge-click.ts'
import { newClickDraft } from './record-drafts.ts'
import { testClock, withEdge } from './test-edge.ts'

const CURL = { 'user-agent': 'curl/8.5.0', 'accept-language': 'en' }
const PERSON = {
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'accept-language': 'en-us',
}
const all: FraudSettings = { thresholds: { mark: 30, divert: 60, refuse: 90 } }

const config = (fraud: FraudSettings, ofOffer?: OfferFraud, parts: Partial<Snapshot> = {}): Snapshot =>
  snapshot({
    fraud,
    offers: [offer('o1', ofOffer && { fraud: ofOffer }), offer('o2')],
    advertisers: [advertiser()],
    links: [{ code: 'hidden', offer_id: 'o1', trap: true }],
    fallback_url: 'https://fallback.example/',
    ...parts,
  })

test('a person is scored and nothing is written', async (t) => {
  const { ask, records } = await withEdge(t, config(all))
  assert.equal(
    (await ask('/click?o=o1', { headers: PERSON })).headers.location?.split('?')[0],
    'https://o1-land.example/',
  )
  const [click] = (await records()) as readonly ClickRecord[]
  assert.deepEqual([click!.fraud, click!.fraud_score, click!.fraud_reason], [undefined, undefined, undefined])
  assert.doesNotMatch(click!.trace, /i/)
})

test('marks a click: it goes where it would have gone, with its reasons in the record', async (t) => {
  const { ask, records } = await withEdge(t, config({}))
  assert.equal(
    (await ask('/click?o=o1', { headers: CURL })).headers.location?.split('?')[0],
    'https://o1-land.example/',
  )
  const [click] = (await records()) as readonly ClickRecord[]
  assert.deepEqual([click!.fraud, click!.fraud_score, click!.fraud_reason], ['m100 kb', 100, 'known_bot'])
  assert.equal(click!.outcome, 'redirected')
})

test('refuses a click: it goes to the fallback, with the reason, and takes no room in caps', async (t) => {
  const cap = { cap_id: 'daily', metric: 'clicks', period: 'day', limit: 1, mode: 'hard' } as const
  const scored = config(all, undefined, { offers: [offer('o1', { caps: [cap] }), offer('o2')] })
  const { ask, records } = await withEdge(t, scored)
  assert.equal((await ask('/click?o=o1', { headers: CURL })).headers.location, 'https://fallback.example/')
  const [click] = (await records()) as readonly ClickRecord[]
  assert.deepEqual([click!.outcome, click!.refusal, click!.fraud], ['fallback', 'fraud_refused', 'r100 kb'])
  assert.equal(
    (await ask('/click?o=o1', { headers: PERSON })).headers.location?.split('?')[0],
    'https://o1-land.example/',
  )
})

test('a refused click is not offered to the other flows and offers of its campaign', async (t) => {
  const flows = [flow('f1'), flow('f2', { kind: 'default', offers: [{ offer_id: 'o2', weight: 1 }] })]
  const { ask, records } = await withEdge(t, config(all, undefined, { campaigns: [campaign({ flows })] }))
  await ask('/click?c=summer', { headers: CURL })
  const [click] = (await records()) as readonly ClickRecord[]
  assert.deepEqual([click!.offer_id, click!.refusal], ['o1', 'fraud_refused'])
})

const divert = (divert_to: FraudSettings['divert_to']): FraudSettings => ({
  thresholds: { divert: 60 },
  ...(divert_to && { divert_to }),
})

test('diverts a click to the offer of the settings, past the landings of the flow, and tells so', async (t) => {
  const flows = [flow('f1', { landings: [landing('own')] })]
  const scored = config(divert({ offer_id: 'o2' }), undefined, { campaigns: [campaign({ flows })] })
  const { ask, records } = await withEdge(t, scored)
  assert.equal(
    (await ask('/click?c=summer', { headers: CURL })).headers.location?.split('?')[0],
    'https://o2-land.example/',
  )
  const [click] = (await records()) as readonly ClickRecord[]
  assert.deepEqual([click!.offer_id, click!.outcome, click!.fraud], ['o2', 'redirected', 'd100 kb'])
  assert.deepEqual(describeTrace(click!.trace, scored).slice(-3), [
    'Score of fraud: The user agent names itself a robot, a library or a tool. (100 points) 100 of 100 points. It was sent elsewhere.',
    'The offer “Offer o2” takes diverted clicks.',
    'The landing is “o2-land”, the only one that takes visitors.',
  ])
})

test('diverts a click to the URL of the settings, with macros', async (t) => {
  const { ask, records } = await withEdge(t, config(divert({ url: 'https://away.example/?s={sub1}' })))
  const answer = await ask('/click?o=o1&sub1=x', { headers: CURL })
  assert.equal(answer.headers.location, 'https://away.example/?s=x')
  const [click] = (await records()) as readonly ClickRecord[]
  assert.deepEqual([click!.outcome, click!.refusal], ['fallback', 'fraud_diverted'])
})

for (const [name, offers, settings] of [
  ['without a place to divert to', [offer('o1'), offer('o2')], divert(undefined)],
  [
    'where the offer to divert to is paused',
    [offer('o1'), offer('o2', { status: 'paused' })],
    divert({ offer_id: 'o2' }),
  ],
  [
    'where it is that of another advertiser',
    [offer('o1'), offer('o2', { advertiser_id: 'other' })],
    divert({ offer_id: 'o2' }),
  ],
] as const)
  // prettier-ignore
  test(`a diverted click goes to the fallback ${name}`, async (t) => {
    const advertisers = [advertiser(), advertiser({ advertiser_id: 'other' })]
    const { ask, records } = await withEdge(t, config(settings, undefined, { offers, advertisers }))
    assert.equal((await ask('/click?o=o1', { headers: CURL })).headers.location, 'https://fallback.example/')
    const [click] = (await records()) as readonly ClickRecord[]
    assert.deepEqual([click!.offer_id, click!.refusal], ['o1', 'fraud_diverted'])
  })

test('a link that is a trap gives its points', async (t) => {
  const { ask, records } = await withEdge(t, config(all))
  await ask('/hidden', { headers: PERSON })
  assert.equal(((await records()) as readonly ClickRecord[])[0]!.fraud, 'r100 tr')
})

test('the thresholds of the offer go before those of the installation', async (t) => {
  const { ask } = await withEdge(
    t,
    config(all, { thresholds: { refuse: 100, divert: 100 }, scores: { known_bot: 50 } }),
  )
  assert.equal(
    (await ask('/click?o=o1', { headers: CURL })).headers.location?.split('?')[0],
    'https://o1-land.example/',
  )
  assert.equal((await ask('/click?o=o2', { headers: CURL })).headers.location, 'https://fallback.example/')
})

test('without settings of installation and offer nothing is scored; with those of one offer only its clicks', async (t) => {
  const { ask, records } = await withEdge(t, snapshot({ offers: [offer('o1'), offer('o2', { fraud: {} })] }))
  await ask('/click?o=o1', { headers: CURL })
  await ask('/click?o=o2', { headers: CURL })
  const clicks = (await records()) as readonly ClickRecord[]
  assert.deepEqual(clicks.map(({ fraud }) => fraud), [undefined, 'm100 kb']) // prettier-ignore
})

test('flows without an offer are scored by the installation', async (t) => {
  const flows = [flow('f1', { offers: [], action: { kind: 'html', html: '<p>hello</p>' } })]
  const { ask } = await withEdge(t, config(all, undefined, { campaigns: [campaign({ flows })] }))
  assert.equal((await ask('/click?c=summer', { headers: PERSON })).body, '<p>hello</p>')
  assert.equal((await ask('/click?c=summer', { headers: CURL })).headers.location, 'https://fallback.example/')
})

test('own rules see the click as far as it has come', async (t) => {
  const own = {
    name: 'odd',
    sentence: 'Sub1 is odd.',
    score: 95,
    rule: { field: 'sub1', op: 'is', value: 'odd' },
  } as const
  const scored = config({ ...all, own_rules: [own] })
  const { ask, records } = await withEdge(t, scored)
  await ask('/click?o=o1&sub1=odd', { headers: PERSON })
  const [click] = (await records()) as readonly ClickRecord[]
  assert.equal(click!.fraud, 'r95 =odd.95')
  assert.ok(describeTrace(click!.trace, scored).some((sentence) => sentence.includes('Sub1 is odd. (95 points)')))
})

const oneClick: FraudSettings = { rates: { ip: { limit: 1, window_seconds: 60 } }, scores: { duplicate: 0 } }

test('clicks of an address are counted, once each however many offers are tried', async (t) => {
  const cap = { cap_id: 'none', metric: 'clicks', period: 'day', limit: 0, mode: 'hard' } as const
  const offers = [offer('o1', { caps: [cap], cap_fallbacks: ['o2'] }), offer('o2')]
  const { ask, records } = await withEdge(t, config(oneClick, undefined, { offers }))
  await ask('/click?o=o1', { headers: PERSON })
  await ask('/click?o=o1', { headers: PERSON })
  const clicks = (await records()) as readonly ClickRecord[]
  assert.deepEqual(clicks.map(({ offer_id, fraud }) => [offer_id, fraud]), [['o2', undefined], ['o2', 'm50 ir.2']]) // prettier-ignore
})

test('what is no click is neither scored nor counted', async (t) => {
  const { ask, records } = await withEdge(t, config({ ...all, ...oneClick }))
  assert.equal((await ask('/click?o=o1', { method: 'HEAD', headers: CURL })).status, 302)
  await ask('/click?o=o1', { headers: { ...CURL, 'sec-purpose': 'prefetch' } })
  await ask('/click?o=o1', { headers: { 'user-agent': 'facebookexternalhit/1.1' } })
  await ask('/click?o=o1', { headers: PERSON })
  const clicks = (await records()) as readonly ClickRecord[]
  assert.deepEqual(clicks.map((click) => [click.class, click.fraud]), [
    ['head', undefined], ['prefetch', undefined], ['preview', undefined], ['click', undefined],
  ]) // prettier-ignore
})

test('a window ends by the clock of the edge', async (t) => {
  const clock = testClock()
  const { ask, records } = await withEdge(t, config(oneClick), { clock })
  await ask('/click?o=o1', { headers: PERSON })
  clock.offsetMs = 81_000
  await ask('/click?o=o1', { headers: PERSON })
  assert.deepEqual(
    ((await records()) as readonly ClickRecord[]).map(({ fraud }) => fraud),
    [undefined, undefined],
  )
})

test('who clicks twice without a cookie is a duplicate by address and user agent, and so is one whose cookie came in between', async (t) => {
  const { ask, records } = await withEdge(t, config({}))
  const OTHER = { ...PERSON, 'user-agent': `${PERSON['user-agent']}.1` }
  const first = await ask('/click?c=summer', { headers: PERSON })
  const cookie = String(first.headers['set-cookie']).split(';')[0]!
  await ask('/click?c=summer', { headers: PERSON })
  await ask('/click?c=summer', { headers: { ...PERSON, cookie } })
  await ask('/click?c=summer', { headers: OTHER })
  const clicks = (await records()) as readonly ClickRecord[]
  assert.deepEqual(
    clicks.map(({ fraud }) => fraud),
    [undefined, 'm30 du', 'm30 du', undefined],
  )
})

test('the zone that a link tells is compared with the country of the address', () => {
  const draft = {
    ...newClickDraft(),
    at: TEST_TIME,
    country: 'DE',
    ip: '192.0.2.1',
    user_agent: PERSON['user-agent'],
    language: 'de',
  }
  const request = { headers: PERSON } as unknown as IncomingMessage
  const reasons = (timeZone: string | undefined) =>
    judgeOf(draft, request, { isHttps: true, timeZone }, emptyRateCounters)(compileFraud({}, undefined, undefined), {
      campaignId: undefined, affiliateId: undefined, isTrap: false, ruleFacts: undefined,
    }).reasons.map(({ rule }) => rule) // prettier-ignore
  assert.deepEqual(reasons('Asia/Tokyo'), ['zone_country'])
  assert.deepEqual([reasons('Europe/Paris'), reasons(undefined), reasons('nowhere')], [[], [], []])
})
