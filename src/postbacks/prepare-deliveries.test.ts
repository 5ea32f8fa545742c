import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventIdOf, triggersOfRevision, type DeliveryCause } from './delivery-causes.ts'
import { prepareDeliveries } from './prepare-deliveries.ts'
import { SAMPLE_AT, SAMPLE_CLICK_ID, sampleCause, sampleClick, sampleEndpoint, sampleSnapshot } from './test-causes.ts'

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
  })
  assert.deepEqual(triggersOfRevision(undefined, state('pending')), ['sale'])
  assert.deepEqual(triggersOfRevision(undefined, { ...state('approved'), type: 'lead' }), ['lead'])
  assert.deepEqual(triggersOfRevision(undefined, state('rejected')), ['rejected'])
  assert.deepEqual(triggersOfRevision(state('pending'), state('approved')), ['status_changed'])
  assert.deepEqual(triggersOfRevision(state('approved'), state('rejected')), ['rejected', 'status_changed'])
  assert.deepEqual(triggersOfRevision(state('approved'), state('approved', true)), ['hold_released'])
  assert.deepEqual(triggersOfRevision(state('approved'), state('approved')), [])
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
