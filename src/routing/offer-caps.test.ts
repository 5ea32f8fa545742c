import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { createMemoryCaps, dryCaps, liveCaps, type CapCounters } from '#caps'
import { newClickId } from '#platform/ids'
import { parseRule } from '#rules'
import { chooseTarget, type Decision } from './choose-target.ts'
import { compileSnapshot, type CompiledSnapshot } from './compile-snapshot.ts'
import type { AskedTarget } from './request-facts.ts'
import type { Offer, Snapshot } from './snapshot.ts'
import { compileCappedOffers } from './offer-caps.ts'
import { campaign, facts, flow, landing, offer, snapshot, TEST_TIME } from './test-snapshots.ts'
import { describeTrace } from './trace.ts'

const SUMMER = { campaignId: 'summer' }
const cap = (parts: Partial<NonNullable<Offer['caps']>[number]> = {}) =>
  ({ cap_id: 'daily', metric: 'clicks', period: 'day', limit: 1, mode: 'hard', ...parts }) as const

const configWith = (offers: readonly Offer[], offerIds = ['o1']): Snapshot =>
  snapshot({
    offers,
    campaigns: [campaign({ flows: [flow('f1', { offers: offerIds.map((offer_id) => ({ offer_id, weight: 1 })) })] })],
  })

/** Decides click after click with counts that they share. */
function decider(config: CompiledSnapshot, counters: CapCounters = createMemoryCaps()) {
  const caps = liveCaps(counters, (error) => assert.fail(String(error)))
  return (asked: AskedTarget = SUMMER, parts: Parameters<typeof facts>[1] = {}): Decision =>
    chooseTarget(facts(asked, { clickId: newClickId(TEST_TIME), ...parts, caps }), config)
}

describe('a cap that is full', () => {
  test('refuses the click and says which it was', () => {
    const config = configWith([offer('o1', { caps: [cap({ cap_id: 'wide', limit: 9 }), cap()] })])
    const decide = decider(compileSnapshot(config))
    assert.equal(decide().outcome, 'redirected')
    const full = decide()
    assert.deepEqual([full.outcome, full.refusal, full.reserved], ['not_found', 'over_cap', []])
    assert.ok(describeTrace(full.trace, config).includes('The cap “daily” of the offer “Offer o1” is full.'))
  })

  test('sends to the offers that take its place, in order, while these have room', () => {
    const offers = [
      offer('o1', { caps: [cap()], cap_fallbacks: ['o2', 'o3'] }),
      offer('o2', { caps: [cap()] }),
      offer('o3'),
    ]
    const config = configWith(offers)
    const decide = decider(compileSnapshot(config))
    const ids = [decide(), decide(), decide(), decide()].map(({ assignment }) => assignment.offer_id)
    assert.deepEqual(ids, ['o1', 'o2', 'o3', 'o3'])
    assert.ok(describeTrace(decide().trace, config).includes('The offer “Offer o3” takes visitors in its place.'))
  })

  test('leaves the click to another offer of the flow', () => {
    const decide = decider(
      compileSnapshot(configWith([offer('o1', { caps: [cap({ limit: 0 })] }), offer('o2')], ['o1', 'o2'])),
    )
    for (let click = 0; click < 20; click++) assert.equal(decide().assignment.offer_id, 'o2')
  })

  test('sends to the fallback of its own offer, not of one that could not take its place', () => {
    const offers = [
      offer('o1', { caps: [cap({ limit: 0 })], cap_fallbacks: ['o2'], fallback_url: 'https://mine.example/' }),
      offer('o2', { caps: [cap({ limit: 0 })], fallback_url: 'https://other.example/' }),
    ]
    const decision = decider(compileSnapshot(configWith(offers)))({ offerId: 'o1' })
    assert.deepEqual([decision.outcome, decision.refusal], ['fallback', 'over_cap'])
    assert.equal(decision.url?.head.text, 'https://mine.example/')
    assert.equal(decision.assignment.offer_id, 'o1')
  })

  test('holds for a named offer too', () => {
    const decide = decider(
      compileSnapshot(configWith([offer('o1', { caps: [cap()], cap_fallbacks: ['o2'] }), offer('o2')])),
    )
    assert.deepEqual(
      [decide({ offerId: 'o1' }), decide({ offerId: 'o1' })].map(({ assignment }) => assignment.offer_id),
      ['o1', 'o2'],
    )
  })
})

describe('a cap', () => {
  test('takes no room for a click that is refused for another reason', () => {
    const config = compileSnapshot(configWith([offer('o1', { caps: [cap()], landings: [] })]))
    const counters = createMemoryCaps()
    assert.equal(decider(config, counters)().refusal, 'no_landing')
    const open = compileSnapshot(configWith([offer('o1', { caps: [cap()], landings: [landing('l1')] })]))
    assert.equal(decider(open, counters)().outcome, 'redirected')
  })

  test('counts for each affiliate, country and sub id by itself', () => {
    const config = compileSnapshot(
      configWith([offer('o1', { caps: [cap({ per: ['affiliate', 'country', 'sub1'] })] })]),
    )
    const decide = decider(config)
    const ask = (affiliateId: string | undefined, country: string, sub1: string): string =>
      decide({ ...SUMMER, ...(affiliateId && { affiliateId }) }, { visitor: { country }, parameters: { sub1 } }).outcome
    assert.deepEqual(
      [
        ask('ann', 'DE', 'a'),
        ask('ann', 'DE', 'a'),
        ask('ann', 'FR', 'a'),
        ask('ann', 'DE', 'b'),
        ask(undefined, 'DE', 'a'),
      ],
      ['redirected', 'not_found', 'redirected', 'redirected', 'redirected'],
    )
  })

  test('is for those of its rule alone', () => {
    const caps = [cap({ limit: 0, rule: { field: 'country', op: 'is', value: 'DE' } })]
    const decide = decider(compileSnapshot(configWith([offer('o1', { caps })])))
    assert.equal(decide(SUMMER, { visitor: { country: 'DE' } }).refusal, 'over_cap')
    assert.equal(decide(SUMMER, { visitor: { country: 'FR' } }).outcome, 'redirected')
  })

  test('of one offer counts apart from that of another with the same id', () => {
    const decide = decider(
      compileSnapshot(configWith([offer('o1', { caps: [cap()] }), offer('o2', { caps: [cap()] })])),
    )
    assert.equal(decide({ offerId: 'o1' }).outcome, 'redirected')
    assert.equal(decide({ offerId: 'o2' }).outcome, 'redirected')
    assert.equal(decide({ offerId: 'o2' }).refusal, 'over_cap')
  })

  test('on money holds the most that a conversion may be worth', () => {
    const caps = [cap({ metric: 'payout', limit: 25_000_000, hold_minutes: 60 })]
    const decide = decider(compileSnapshot(configWith([offer('o1', { caps })])))
    const ask = (): string => decide({ ...SUMMER, affiliateId: 'ann' }).outcome
    // Its one price pays 10: two fit below 25.
    assert.deepEqual([ask(), ask(), ask()], ['redirected', 'redirected', 'not_found'])
  })

  test('that cannot be written refuses, and says so', () => {
    const config = compileSnapshot(configWith([offer('o1', { caps: [cap()] })]))
    const errors: unknown[] = []
    const broken = liveCaps({ reserve: () => { throw new Error('disk') } }, (error) => errors.push(error)) // prettier-ignore
    assert.equal(chooseTarget(facts(SUMMER, { caps: broken }), config).refusal, 'caps_unavailable')
    assert.equal(errors.length, 1)
  })

  test('is not touched by a decision that is only explained', () => {
    const config = compileSnapshot(configWith([offer('o1', { caps: [cap()] })]))
    const counters = createMemoryCaps()
    const dry = (): Decision => chooseTarget(facts(SUMMER, { caps: dryCaps(counters) }), config)
    assert.deepEqual([dry().outcome, dry().outcome], ['redirected', 'redirected'])
    decider(config, counters)()
    assert.equal(dry().refusal, 'over_cap')
  })
})

test('the keys of a conversion are those that its click held', () => {
  const caps = [cap({ metric: 'conversions', per: ['affiliate', 'sub1'], limit: 5, hold_minutes: 60 })]
  const config = compileSnapshot(configWith([offer('o1', { caps })]))
  const clickId = newClickId(TEST_TIME)
  const { reserved } = decider(config)({ ...SUMMER, affiliateId: 'ann' }, { clickId, parameters: { sub1: 'x' } })
  const click = {
    kind: 'click',
    click_id: clickId,
    at: TEST_TIME,
    affiliate_id: 'ann',
    sub1: 'x',
    ip: '192.0.2.1',
  } as never
  const worth = { payoutMicros: 0, revenueMicros: 0 }
  assert.deepEqual(config.offers.get('o1')?.caps?.keysOfConversion(click, TEST_TIME, worth), reserved)
})

for (const rule of [
  'campaign_id is summer',
  'flow_id is f1',
  'offer_id is o1',
  'landing_id is o1-land',
  'advertiser_id is acme',
  'affiliate_id is ann',
  'link_code is go',
]) {
  test(`a cap with the rule “${rule}” is for the clicks that have it, and for their conversions`, () => {
    const parsed = parseRule(rule, { context: 'click' })
    assert.ok(parsed.kind === 'parsed')
    const caps = [cap({ metric: 'conversions', hold_minutes: 60, rule: parsed.rule })]
    const source = configWith([offer('o1', { caps })])
    const config = compileSnapshot({ ...source, links: [{ code: 'go', campaign_id: 'summer' }] })
    const { reserved, assignment } = decider(config)({ linkCode: 'go', affiliateId: 'ann' })
    assert.equal(reserved.length, 1)
    const click = { kind: 'click', at: TEST_TIME, ip: '192.0.2.1', link_code: 'go', ...assignment } as never
    const worth = { payoutMicros: 0, revenueMicros: 0 }
    assert.deepEqual(config.offers.get('o1')?.caps?.keysOfConversion(click, TEST_TIME, worth), reserved)
  })
}

test('the log tells what a click took: nothing of one that was not sent on', () => {
  const capped = configWith([
    offer('o1', { caps: [cap(), cap({ cap_id: 'held', metric: 'conversions' })] }),
    offer('o2'),
  ])
  const clickId = newClickId(TEST_TIME)
  const { reserved } = decider(compileSnapshot(capped))(SUMMER, { clickId })
  const offers = compileCappedOffers(capped)
  assert.deepEqual([...offers.keys()], ['o1'])
  const keysOf = (parts: object) =>
    offers.get('o1')!.keysOfRecordedClick({
      ...{ kind: 'click', click_id: clickId, at: TEST_TIME, class: 'click', outcome: 'redirected', ip: '192.0.2.1' },
      ...parts,
    } as never)
  assert.deepEqual(keysOf({}), reserved)
  assert.equal(reserved.length, 2)
  for (const parts of [{ class: 'prefetch' }, { outcome: 'fallback' }, { outcome: 'not_found' }])
    assert.deepEqual(keysOf(parts), [])
})
