import assert from 'node:assert/strict'
import { test } from 'node:test'
import { causesOfRevision, eventIdOf, triggersOfRevision, type DeliveryCause } from './delivery-causes.ts'
import { postbackLimits } from '../limits.ts'
import { prepareDeliveries, type WhyNot } from './prepare-deliveries.ts'
import {
  SAMPLE_AT,
  SAMPLE_CLICK_ID,
  sampleCause,
  sampleClick,
  sampleConversion,
  sampleEndpoint,
  sampleSnapshot,
} from '../test-causes.ts'

const refusals = (whyNot: readonly WhyNot[]) =>
  whyNot.map(({ endpointId, reason, detail }) => `${endpointId}: ${reason} ${detail}`)

const event = (type: string, txid?: string): DeliveryCause => ({
  trigger: 'event',
  event: { type, ...(txid === undefined ? {} : { txid }) },
  click: sampleClick(),
  at: SAMPLE_AT,
})

test('an event id is a UUID, the same for the same revision and another for another', () => {
  assert.match(eventIdOf(sampleCause()), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(eventIdOf(sampleCause()), eventIdOf({ ...sampleCause(), at: 1 }))
  const causes = [
    sampleCause(),
    sampleCause({ revision: 2 }),
    sampleCause({ conversionId: '0' }),
    event('open'),
    event('open', 't'),
    event('close'),
  ]
  assert.equal(new Set(causes.map(eventIdOf)).size, causes.length)
})

test('triggers of a revision', () => {
  const state = (status: 'pending' | 'approved' | 'rejected', isHoldReleased = false) => ({
    type: 'sale' as const,
    status,
    isHoldReleased,
    payoutMicros: 1n,
    revenueMicros: 2n,
  })
  assert.deepEqual(triggersOfRevision(undefined, state('pending')), ['sale'])
  assert.deepEqual(triggersOfRevision(undefined, { ...state('approved'), type: 'lead' }), ['lead'])
  assert.deepEqual(triggersOfRevision(undefined, state('rejected')), ['rejected'])
  assert.deepEqual(triggersOfRevision(state('pending'), state('approved')), ['status_changed'])
  assert.deepEqual(triggersOfRevision(state('approved'), state('rejected')), ['rejected', 'status_changed'])
  assert.deepEqual(triggersOfRevision(state('approved'), state('approved', true)), ['hold_released'])
  assert.deepEqual(triggersOfRevision(state('approved'), state('approved')), [])
  const approved = state('approved')
  assert.deepEqual(triggersOfRevision(approved, { ...approved, payoutMicros: 3n }), ['payout_changed'])
  assert.deepEqual(triggersOfRevision(approved, { ...approved, revenueMicros: 3n }), ['payout_changed'])
})

test('an endpoint hears of what its rule takes, and of the rest it is on record which condition failed', () => {
  const endpoint = sampleEndpoint({
    rule: {
      all: [
        { field: 'country', op: 'in', value: ['TR', 'DE'] },
        { field: 'payout', op: 'between', value: [10, null] },
        { field: 'status', op: 'is', value: 'approved' },
      ],
    },
  })
  const prepare = (cause: DeliveryCause) => prepareDeliveries([cause], sampleSnapshot([endpoint]))
  assert.equal(prepare(sampleCause()).deliveries.length, 1)
  const refused = [
    [sampleCause({}, { country: 'FR' }), 'country in (TR, DE)'],
    [sampleCause({ payoutMicros: 9_999_999n }), 'payout between 10 and *'],
    [sampleCause({ status: 'pending' }), 'status is approved'],
  ] as const
  for (const [cause, detail] of refused) {
    const { deliveries, whyNot } = prepare(cause)
    assert.deepEqual([deliveries.length, whyNot[0]?.reason, whyNot[0]?.detail], [0, 'rule_not_met', detail])
  }
})

test('a POST without a template gets the standard body, as JSON or as a form', () => {
  const json = sampleEndpoint({ method: 'POST', url: 'https://t.example/' })
  const form = sampleEndpoint({ ...json, endpoint_id: 'form', content_type: 'application/x-www-form-urlencoded' })
  const { deliveries } = prepareDeliveries([sampleCause()], sampleSnapshot([json, form]))
  const body = JSON.parse(deliveries[0]!.body!)
  assert.equal(body.type, 'conversion.sale')
  assert.equal(body.timestamp, '2023-11-14T22:13:20.000Z')
  assert.equal(body.data.event_id, deliveries[0]!.eventId)
  assert.equal(body.data.click_id, SAMPLE_CLICK_ID)
  assert.equal(body.data.payout, '12.5')
  assert.equal(body.data.sub1, 'a b&c')
  assert.ok(!('sub2' in body.data))
  assert.deepEqual(Object.fromEntries(new URLSearchParams(deliveries[1]!.body)), body.data)
})

test('the standard body tells an affiliate its payout and not what the advertiser pays', () => {
  const endpoint = sampleEndpoint({ method: 'POST', url: 'https://t.example/' })
  const own = { ...endpoint, endpoint_id: 'ada', scope: { affiliate_id: 'ada' } }
  const bodies = prepareDeliveries([sampleCause()], sampleSnapshot([endpoint, own])).deliveries
  const revenueFor = (id: string) =>
    JSON.parse(bodies.find((item) => item.endpointId === id)!.body!).data.advertiser_revenue
  assert.equal(revenueFor('tracker'), '20')
  assert.equal(revenueFor('ada'), undefined)
})

test('an event that made no conversion goes to endpoints that listen to events, under its own name', () => {
  const listening = sampleEndpoint({ triggers: ['event'], method: 'POST', url: 'https://t.example/' })
  const snapshot = sampleSnapshot([listening, sampleEndpoint({ endpoint_id: 'other' })])
  const { deliveries } = prepareDeliveries([event('open')], snapshot)
  assert.deepEqual(
    deliveries.map((item) => [item.endpointId, JSON.parse(item.body!).type]),
    [['tracker', 'event.open']],
  )
})

test('a click goes to endpoints that listen to clicks, once, under an id of its own', () => {
  const listening = sampleEndpoint({
    triggers: ['click'],
    url: 'https://t.example/?c={click_id}&s={status}&p={payout}',
  })
  const snapshot = sampleSnapshot([listening, sampleEndpoint({ endpoint_id: 'other' })])
  const click: DeliveryCause = { trigger: 'click', click: sampleClick(), at: SAMPLE_AT }
  const { deliveries } = prepareDeliveries([click, click], snapshot)
  assert.deepEqual(
    deliveries.map((item) => [item.endpointId, item.cause, item.conversionId, item.url]),
    [['tracker', 'click', undefined, `https://t.example/?c=${SAMPLE_CLICK_ID}&s=click&p=`]],
  )
  assert.notEqual(eventIdOf(click), eventIdOf(event('click')))
  const json = sampleEndpoint({ triggers: ['click'], method: 'POST', url: 'https://t.example/' })
  assert.equal(JSON.parse(prepareDeliveries([click], sampleSnapshot([json])).deliveries[0]!.body!).type, 'click')
})

test('every part of a scope narrows, the traffic source too', () => {
  const scopes = [
    {},
    { advertiser_id: 'acme' },
    { affiliate_id: 'ada' },
    { campaign_id: 'autumn' },
    { offer_id: 'shoes' },
    { source_id: 'fb' },
    { affiliate_id: 'ada', source_id: 'fb' },
    { source_id: 'tiktok' },
    { affiliate_id: 'ada', source_id: 'tiktok' },
    { affiliate_id: 'bob' },
  ]
  const endpoints = scopes.map((scope, index) => sampleEndpoint({ endpoint_id: `e${index}`, scope }))
  const told = (click: Parameters<typeof sampleClick>[0]) =>
    prepareDeliveries([sampleCause({}, click)], sampleSnapshot(endpoints))
      .deliveries.map((item) => item.endpointId)
      .toSorted()
  assert.deepEqual(told({ source_id: 'fb' }), ['e0', 'e1', 'e2', 'e3', 'e4', 'e5', 'e6'])
  assert.deepEqual(told({}), ['e0', 'e1', 'e2', 'e3', 'e4'])
})

test('one postback of an affiliate serves all its advertisers', () => {
  const global = sampleEndpoint({ scope: { affiliate_id: 'ada' } })
  const causes = ['acme', 'umbrella'].map((advertiserId, index) =>
    sampleCause({ advertiserId, conversionId: `01890a5d-ac96-774b-bcce-00000000000${index}` }),
  )
  const { deliveries } = prepareDeliveries(causes, sampleSnapshot([global]))
  assert.deepEqual(deliveries.map((item) => item.advertiserId), ['acme', 'umbrella']) // prettier-ignore
})

test('an endpoint that yields is silent where a narrower one takes the same, and only there', () => {
  const global = sampleEndpoint({ endpoint_id: 'global', scope: { affiliate_id: 'ada' }, yields: true })
  const ofOffer = sampleEndpoint({ endpoint_id: 'offer', scope: { affiliate_id: 'ada', offer_id: 'shoes' } })
  const tell = (...endpoints: readonly (typeof global)[]) => {
    const { deliveries, whyNot } = prepareDeliveries([sampleCause()], sampleSnapshot(endpoints))
    return [deliveries.map((item) => item.endpointId).toSorted(), refusals(whyNot)]
  }
  assert.deepEqual(tell(global, ofOffer), [['offer'], ['global: narrower_endpoint offer']])
  assert.deepEqual(tell({ ...global, scope: ofOffer.scope }, ofOffer), [['global', 'offer'], []])
  const { yields: _yields, ...insistent } = global
  assert.deepEqual(tell(insistent, ofOffer), [['global', 'offer'], []])
  assert.deepEqual(tell(global, { ...ofOffer, triggers: ['lead'] }), [['global'], []])
  assert.deepEqual(tell(global, { ...ofOffer, scope: { offer_id: 'shoes' } }), [['global', 'offer'], []])
  const choosy = { ...ofOffer, rule: { all: [{ field: 'country', op: 'is', value: 'DE' }] } } as const
  assert.deepEqual(tell(global, choosy), [['global'], ['offer: rule_not_met country is DE']])
  assert.deepEqual(tell(global, { ...ofOffer, status: 'paused' }), [['global'], ['offer: endpoint_paused undefined']])
})

test('an affiliate is told of another payout, and not of another revenue alone', () => {
  const platform = sampleEndpoint({ endpoint_id: 'platform', triggers: ['payout_changed'] })
  const own = { ...platform, endpoint_id: 'own', scope: { affiliate_id: 'ada' } }
  const after = { ...sampleConversion({ revision: 2 }), isHoldReleased: false }
  const told = (before: Partial<typeof after>) =>
    prepareDeliveries(
      causesOfRevision({ ...after, ...before }, after, sampleClick(), SAMPLE_AT),
      sampleSnapshot([platform, own]),
    )
      .deliveries.map((item) => item.endpointId)
      .toSorted()
  assert.deepEqual(told({ payoutMicros: 1n }), ['own', 'platform'])
  assert.deepEqual(told({ revenueMicros: 1n }), ['platform'])
  assert.deepEqual(told({}), [])
})

test('a body over the limit is not sent, one at the limit is', () => {
  const body = `{"a":"${'{sub1}'.repeat(64)}"}`
  const endpoint = sampleEndpoint({ method: 'POST', url: 'https://t.example/', body })
  const prepare = (length: number) =>
    prepareDeliveries([sampleCause({}, { sub1: 'x'.repeat(length) })], sampleSnapshot([endpoint]))
  const room = postbackLimits.bodyBytesMax - '{"a":""}'.length
  assert.equal(prepare(Math.floor(room / 64)).deliveries.length, 1)
  assert.deepEqual(refusals(prepare(Math.floor(room / 64) + 1).whyNot), ['tracker: request_too_large body'])
})
