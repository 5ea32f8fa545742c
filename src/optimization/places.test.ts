import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Campaign, Flow, Snapshot } from '#routing'
import { campaign, flow, landing, offer, snapshot } from '#routing/test-snapshots'

import { placesOf } from './places.ts'
import { NOW_MS, optimize } from './test-places.ts'

const both = [
  { offer_id: 'o1', weight: 10 },
  { offer_id: 'o2', weight: 20 },
]
const offers = [offer('o1', { landings: [landing('l1'), landing('l2')] }), offer('o2')]
const withFlows = (flows: readonly Flow[], parts: Partial<Campaign> = {}, world: Partial<Snapshot> = {}): Snapshot =>
  snapshot({ offers, campaigns: [campaign({ flows, optimize: optimize(), ...parts })], ...world })

const found = (from: Snapshot): readonly string[] =>
  placesOf(from, NOW_MS).map(({ place, arms, problem }) => [place, ...arms.map(({ id }) => id), problem ?? ''].join(' ').trim()) // prettier-ignore

test('flows, the offers of each flow and the landings of each offer or flow are places', () => {
  const flows = [
    flow('f1', { weight: 5, offers: both }),
    flow('f2', { weight: 5, offers: both, landings: [landing('x'), landing('y')] }),
    flow('last', { kind: 'default', offers: both }),
  ]
  const weights = ['flows', 'offers', 'landings'] as const
  assert.deepEqual(found(withFlows(flows, { optimize: optimize({ weights }) })), [
    'flows:summer f1 f2',
    'offers:f1 o1 o2',
    'offers:f2 o1 o2',
    'offers:last o1 o2',
    'landings:f1:o1 l1 l2',
    'landings:f2 x y',
    'landings:last:o1 l1 l2',
  ])
})

for (const [what, from] of [
  ['a campaign that is paused', withFlows([flow('f1', { offers: both })], { status: 'paused' })],
  ['a campaign that is off', withFlows([flow('f1', { offers: both })], { optimize: optimize({ mode: 'off' }) })],
  ['a flow that is paused', withFlows([flow('f1', { offers: both, status: 'paused' })])],
  ['a flow with one offer', withFlows([flow('f1')])],
  ['an offer of weight 0', withFlows([flow('f1', { offers: [both[0]!, { offer_id: 'o2', weight: 0 }] })])],
  [
    'an offer that is paused',
    withFlows([flow('f1', { offers: both })], {}, { offers: [offers[0]!, offer('o2', { status: 'paused' })] }),
  ],
  [
    'an offer that has not begun',
    withFlows([flow('f1', { offers: both })], {}, { offers: [offers[0]!, offer('o2', { starts_at: NOW_MS + 1 })] }),
  ],
  [
    'an offer that is over',
    withFlows([flow('f1', { offers: both })], {}, { offers: [offers[0]!, offer('o2', { ends_at: NOW_MS })] }),
  ],
] as const)
  // prettier-ignore
  test(`${what} is not compared`, () => {
    assert.deepEqual(found(from), [])
  })

test('too many arms and money of several currencies are told', () => {
  const many = Array.from({ length: 201 }, (_, at) => offer(`m${at}`))
  const place = flow('f1', { offers: many.map(({ offer_id }) => ({ offer_id, weight: 1 })) })
  assert.equal(placesOf(withFlows([place], {}, { offers: many }), NOW_MS)[0]!.problem, 'too_many_arms')
  const mixed = { offers: [offers[0]!, offer('o2', { currency: 'EUR' })] }
  const epc = { optimize: optimize({ goal: 'epc' }) }
  assert.deepEqual(found(withFlows([flow('f1', { offers: both })], epc, mixed)), ['offers:f1 o1 o2 currencies_differ'])
  assert.deepEqual(found(withFlows([flow('f1', { offers: both })], {}, mixed)), ['offers:f1 o1 o2'])
})
