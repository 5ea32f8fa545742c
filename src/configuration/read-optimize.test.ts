import assert from 'node:assert/strict'
import { test } from 'node:test'

import { checkConfiguration, type Issue } from './index.ts'

const offers = (currency = 'USD'): string => `advertisers:
  acme: {}
offers:
  lamp: { advertiser_id: acme, landing_url: https://acme.example/, prices: [{ type: sale, revenue: 1 }] }
  desk: { advertiser_id: acme, currency: ${currency}, landing_url: https://acme.example/, prices: [{ type: sale, revenue: 1 }] }
`
/** `optimize` stands in line 9, the flows from line 11 on. */
const smart = (optimize: string, flows: readonly string[] = [flowOf('a', 1), flowOf('b', 1)], more = ''): string =>
  `${offers()}campaigns:
  smart:
    advertiser_id: acme
    optimize: ${optimize}
    flows:
${flows.map((flow) => `      - ${flow}\n`).join('')}${more}`

const flowOf = (id: string, weight: number, end = 'offers: [{ offer_id: lamp }, { offer_id: desk }]'): string =>
  `{ flow_id: ${id}, weight: ${weight}, ${end} }`

const placesOf = (issues: readonly Issue[]): string[] => issues.map(({ line, path, code }) => `${line} ${path} ${code}`)
const HERE = 'campaigns.smart.optimize'

for (const right of [
  '{}',
  '{ weights: [flows, offers, landings], goal: cr, mode: on, floor_share: 5%, half_life_hours: 24, window_days: 7 }',
  '{ mode: watch }',
  '{ mode: off, goal: epc }',
])
  test(`optimize takes ${right}`, () => {
    assert.deepEqual(checkConfiguration(smart(right)), [])
  })

const wrong: readonly (readonly [what: string, yaml: string, issue: string])[] = [
  ['weights that there are not', smart('{ weights: [countries] }'), `9 ${HERE}.weights[0] value_not_allowed`],
  ['no weights at all', smart('{ weights: [] }'), `9 ${HERE}.weights value_out_of_range`],
  ['another goal', smart('{ goal: roi }'), `9 ${HERE}.goal value_not_allowed`],
  ['another mode', smart('{ mode: maybe }'), `9 ${HERE}.mode value_not_allowed`],
  ['a floor over everything', smart('{ floor_share: 101% }'), `9 ${HERE}.floor_share share_invalid`],
  ['a half-life of nothing', smart('{ half_life_hours: 0 }'), `9 ${HERE}.half_life_hours value_out_of_range`],
  ['a half-life of years', smart('{ half_life_hours: 8761 }'), `9 ${HERE}.half_life_hours value_out_of_range`],
  ['a window of years', smart('{ window_days: 366 }'), `9 ${HERE}.window_days value_out_of_range`],
  ['flows without weights', smart('{ weights: [flows] }', [flowOf('a', 0), flowOf('b', 1)]), `9 ${HERE}.weights combination_invalid`],
  ['flows by position', smart('{ weights: [flows] }', undefined, '    rotation: position\n'), `9 ${HERE}.weights combination_invalid`],
  ['a flow that leads elsewhere', smart('{ weights: [flows] }', [flowOf('a', 1), flowOf('b', 1), flowOf('c', 1, 'to_url: https://x.example/')]), '13 campaigns.smart.flows[2] combination_invalid'],
  ['money of two currencies', smart('{ goal: epc }').replace(offers(), offers('EUR')), `9 ${HERE}.goal combination_invalid`],
  ['more flows than can be compared', smart('{ weights: [flows] }', Array.from({ length: 201 }, (_, at) => flowOf(`f${at}`, 1))), '11 campaigns.smart.flows value_out_of_range'],
] // prettier-ignore
for (const [what, yaml, issue] of wrong)
  test(`optimize refuses ${what}`, () => {
    assert.deepEqual(placesOf(checkConfiguration(yaml)), [issue])
  })

test('optimize compares conversions of offers with several currencies', () => {
  assert.deepEqual(checkConfiguration(smart('{ goal: cr }').replace(offers(), offers('EUR'))), [])
  assert.deepEqual(checkConfiguration(smart('{ mode: off }').replace(offers(), offers('EUR'))), [])
})
