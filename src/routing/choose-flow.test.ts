import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { newClickId } from '#platform/ids'
import { chooseTarget, type Decision } from './choose-target.ts'
import { compileSnapshot } from './compile-snapshot.ts'
import { routingLimits } from './limits.ts'
import type { AskedTarget, Bound } from './request-facts.ts'
import type { Campaign, Flow, Offer, Snapshot } from './snapshot.ts'
import { affiliate, campaign, facts, flow, landing, offer, snapshot, TEST_TIME } from './test-snapshots.ts'
import { decodeTrace, describeTrace } from './trace.ts'

const decide = (asked: AskedTarget, config: Snapshot, parts: Parameters<typeof facts>[1] = {}): Decision =>
  chooseTarget(facts(asked, parts), compileSnapshot(config))

const withFlows = (
  flows: readonly Flow[],
  parts: Partial<Campaign> = {},
  offers = [offer('o1'), offer('o2')],
): Snapshot => snapshot({ campaigns: [campaign({ flows, ...parts })], offers })

const SUMMER = { campaignId: 'summer' }
const isGerman = { field: 'country', op: 'is', value: 'DE' } as const
const from = (country: string) => ({ visitor: { country } })

describe('a flow instead of offers', () => {
  test('sends to an address of its own', () => {
    const decision = decide(
      SUMMER,
      withFlows([flow('f1', { offers: [], action: { kind: 'url', url: 'https://own.example/' } })]),
    )
    assert.deepEqual([decision.outcome, decision.refusal], ['redirected', undefined])
    assert.equal(decision.url?.head.text, 'https://own.example/')
    assert.deepEqual(decision.assignment, { advertiser_id: 'acme', campaign_id: 'summer', flow_id: 'f1' })
  })

  test('shows a page of its own', () => {
    const decision = decide(
      SUMMER,
      withFlows([flow('f1', { offers: [], action: { kind: 'html', html: '<b>{sub1}</b>' } })]),
    )
    assert.deepEqual([decision.outcome, decision.html?.text, decision.url], ['shown', '<b>{sub1}</b>', undefined])
  })

  test('answers “not found”, whatever fallback there is', () => {
    const flows = [flow('f1', { offers: [], action: { kind: 'not_found' } })]
    const decision = decide(SUMMER, withFlows(flows, { fallback_url: 'https://else.example/' }))
    assert.deepEqual([decision.outcome, decision.refusal, decision.url], ['not_found', 'flow_not_found', undefined])
  })

  test('that answers “not found” leaves its visitors to no other flow', () => {
    const forBots = flow('f1', { kind: 'forced', rule: isGerman, offers: [], action: { kind: 'not_found' } })
    const config = withFlows([forBots, flow('f2'), flow('f3', { kind: 'default' })])
    const { outcome, assignment, trace } = decide(SUMMER, config, from('DE'))
    assert.deepEqual([outcome, assignment.flow_id, assignment.offer_id], ['not_found', 'f1', undefined])
    assert.deepEqual(describeTrace(trace, config).slice(1), [
      'The forced flow “f1” took the visitor.',
      'Refused: The flow answers with the page “not found”.',
      'The visitor got the plain page “not found”.',
    ])
    assert.equal(decide(SUMMER, config, from('FR')).assignment.flow_id, 'f2')
  })

  test('leads to another campaign, which the click then belongs to', () => {
    const winter = campaign({ campaign_id: 'winter', flows: [flow('w1', { offers: [{ offer_id: 'o2', weight: 1 }] })] })
    const summer = campaign({
      flows: [flow('f1', { offers: [], action: { kind: 'campaign', campaign_id: 'winter' } })],
    })
    const config = snapshot({ campaigns: [summer, winter], offers: [offer('o1'), offer('o2')] })
    const decision = decide(SUMMER, config)
    assert.deepEqual(
      [decision.assignment.campaign_id, decision.assignment.flow_id, decision.assignment.offer_id],
      ['winter', 'w1', 'o2'],
    )
    assert.ok(describeTrace(decision.trace, config).includes('The flow leads on to the campaign “Summer”.'))
  })

  test('comes back where the other campaign has nothing for the visitor', () => {
    const winter = campaign({ campaign_id: 'winter', flows: [flow('w1', { rule: isGerman })] })
    const summer = campaign({
      flows: [
        flow('f1', { kind: 'forced', offers: [], action: { kind: 'campaign', campaign_id: 'winter' } }),
        flow('f2', { kind: 'default' }),
      ],
    })
    const config = snapshot({ campaigns: [summer, { ...winter, name: 'Winter' }] })
    const { assignment, trace } = decide(SUMMER, config)
    assert.deepEqual([assignment.campaign_id, assignment.flow_id], ['summer', 'f2'])
    assert.deepEqual(describeTrace(trace, config).slice(2, 5), [
      'The flow leads on to the campaign “Winter”.',
      'Flow “w1” does not accept the visitor: “country is DE” was not met.',
      'It has nothing for the visitor: back to the campaign “Summer”.',
    ])
  })

  test('is kept by a campaign that binds its visitors, beside what the other campaign keeps', () => {
    const winter = campaign({ campaign_id: 'winter', bind: { offer_hours: 2 }, flows: [flow('w1')] })
    const toWinter = { offers: [], action: { kind: 'campaign', campaign_id: 'winter' } } as const
    const summer = campaign({
      bind: { flow_hours: 1 },
      flows: [flow('f1', { ...toWinter, weight: 1 }), flow('f2', { ...toWinter, weight: 0 })],
    })
    const config = snapshot({ campaigns: [summer, winter] })
    assert.deepEqual(decide(SUMMER, config).binds, [
      { assignment: { campaign_id: 'summer', flow_id: 'f1' }, hours: { flow_hours: 1 }, isRegular: true },
      {
        assignment: {
          advertiser_id: 'acme', campaign_id: 'winter', flow_id: 'w1', offer_id: 'o1', landing_id: 'o1-land',
        },
        hours: { offer_hours: 2 },
        isRegular: true,
      },
    ]) // prettier-ignore
    const forced = { ...summer, flows: [flow('f1', { ...toWinter, kind: 'forced' })] }
    assert.equal(decide(SUMMER, { ...config, campaigns: [forced, winter] }).binds[0]?.isRegular, false)
    const again = decide(SUMMER, config, { boundIn: (id) => (id === 'summer' ? { flowId: 'f2' } : undefined) })
    assert.deepEqual(again.binds[0]?.assignment, { campaign_id: 'summer', flow_id: 'f2' })
  })

  test('that leads in a circle is refused', () => {
    const toWinter = campaign({
      flows: [flow('f1', { offers: [], action: { kind: 'campaign', campaign_id: 'winter' } })],
    })
    const toSummer = campaign({
      campaign_id: 'winter',
      flows: [flow('w1', { offers: [], action: { kind: 'campaign', campaign_id: 'summer' } })],
    })
    const decision = decide(SUMMER, snapshot({ campaigns: [toWinter, toSummer] }))
    assert.deepEqual([decision.outcome, decision.refusal], ['not_found', 'campaign_loop'])
  })

  test('leads through six campaigns at most', () => {
    const chain = (length: number): Snapshot => {
      const campaigns = Array.from({ length }, (_, index) =>
        campaign({
          campaign_id: `c${index}`,
          flows: [
            index === length - 1
              ? flow(`f${index}`)
              : flow(`f${index}`, { offers: [], action: { kind: 'campaign', campaign_id: `c${index + 1}` } }),
          ],
        }),
      )
      return snapshot({ campaigns })
    }
    assert.equal(decide({ campaignId: 'c0' }, chain(routingLimits.campaignsMax)).outcome, 'redirected')
    assert.equal(decide({ campaignId: 'c0' }, chain(routingLimits.campaignsMax + 1)).refusal, 'campaign_loop')
  })
})

test('by position, the first regular flow that accepts the visitor is taken, whatever its weight', () => {
  const config = withFlows(
    [flow('f1', { rule: isGerman, weight: 1 }), flow('f2', { weight: 1 }), flow('f3', { weight: 99 })],
    {
      rotation: 'position',
    },
  )
  assert.equal(decide(SUMMER, config).assignment.flow_id, 'f2')
  assert.equal(decide(SUMMER, config, from('DE')).assignment.flow_id, 'f1')
})

describe('a redirect', () => {
  test('is the kind of the flow, else of the offer, else 302', () => {
    const kindOf = (parts: Partial<Flow>, ofOffer: Partial<Offer>): string =>
      decide(SUMMER, withFlows([flow('f1', parts)], {}, [offer('o1', ofOffer)])).redirect
    assert.equal(kindOf({}, {}), '302')
    assert.equal(kindOf({}, { redirect: 'meta' }), 'meta')
    assert.equal(kindOf({ redirect: 'js' }, { redirect: 'meta' }), 'js')
  })
})

test('the referrer policy of the flow, else of the offer, holds on the way to a fallback too', () => {
  const picky = offer('o1', { rule: isGerman, country_fallbacks: { '*': { url: 'https://any.example/' } } })
  const policyOf = (parts: Partial<Flow>, ofOffer: Partial<Offer>): string | undefined =>
    decide(SUMMER, withFlows([flow('f1', parts)], {}, [{ ...picky, ...ofOffer }]), from('FR')).referrerPolicy
  assert.equal(policyOf({}, {}), undefined)
  assert.equal(policyOf({}, { referrer_policy: 'origin' }), 'origin')
  assert.equal(policyOf({ referrer_policy: 'no-referrer' }, { referrer_policy: 'origin' }), 'no-referrer')
})

describe('a visitor who was here before', () => {
  const bound = (parts: Bound) => ({ boundIn: (campaignId: string) => (campaignId === 'summer' ? parts : undefined) })
  const two = [{ offer_id: 'o1', weight: 1 }, { offer_id: 'o2', weight: 0 }] // prettier-ignore
  const landings = [landing('l1'), landing('l2', { weight: 0 })]
  const config = withFlows(
    [flow('f1', { weight: 100, offers: two, landings }), flow('f2', { weight: 0, offers: two, landings })],
    { bind: { flow_hours: 1, offer_hours: 1, landing_hours: 1 } },
  )

  test('gets flow, offer and landing again, also where these take nobody new', () => {
    const { assignment, trace } = decide(SUMMER, config, bound({ flowId: 'f2', offerId: 'o2', landingId: 'l2' }))
    assert.deepEqual([assignment.flow_id, assignment.offer_id, assignment.landing_id], ['f2', 'o2', 'l2'])
    const kinds = decodeTrace(trace).map(({ kind }) => kind)
    assert.deepEqual(kinds.slice(1), ['flow_bound', 'offer_bound', 'landing_bound'])
  })

  test('gets another where the one of before is gone, paused or does not accept them', () => {
    assert.equal(
      decide(SUMMER, config, bound({ flowId: 'gone', offerId: 'gone', landingId: 'gone' })).assignment.flow_id,
      'f1',
    )
    const paused = withFlows([flow('f1'), flow('f2', { status: 'paused' })], { bind: { flow_hours: 1 } })
    assert.equal(decide(SUMMER, paused, bound({ flowId: 'f2' })).assignment.flow_id, 'f1')
    const refusing = withFlows([flow('f1'), flow('f2', { rule: isGerman })], { bind: { flow_hours: 1 } })
    assert.equal(decide(SUMMER, refusing, bound({ flowId: 'f2' })).assignment.flow_id, 'f1')
  })

  test('is not asked for where the campaign binds nobody', () => {
    const free = withFlows([flow('f1', { weight: 100 }), flow('f2', { weight: 0 })])
    const boundIn = (): Bound => assert.fail('asked')
    assert.equal(decide(SUMMER, free, { boundIn }).assignment.flow_id, 'f1')
  })

  test('does not get round a forced flow', () => {
    const forced = withFlows([flow('f1', { kind: 'forced' }), flow('f2')], { bind: { flow_hours: 1 } })
    assert.equal(decide(SUMMER, forced, bound({ flowId: 'f2' })).assignment.flow_id, 'f1')
  })
})

describe('an offer', () => {
  const german = offer('o1', { rule: isGerman })
  const only = [flow('f1')]

  test('takes only those whom its rule takes, and says which part refused', () => {
    const config = withFlows(only, {}, [german])
    assert.equal(decide(SUMMER, config, from('DE')).outcome, 'redirected')
    const refused = decide(SUMMER, config, from('FR'))
    assert.deepEqual([refused.outcome, refused.refusal], ['not_found', 'offer_rule_refused'])
    assert.ok(
      describeTrace(refused.trace, config).includes(
        'The offer “Offer o1” does not take the visitor: “country is DE” was not met.',
      ),
    )
  })

  test('blocks what it blocks', () => {
    const config = withFlows(only, {}, [offer('o1', { block: { field: 'sub1', op: 'in', value: ['bad', 'worse'] } })])
    assert.equal(decide(SUMMER, config, { parameters: { sub1: 'Bad' } }).refusal, 'offer_blocked')
    assert.equal(decide(SUMMER, config, { parameters: { sub1: 'good' } }).outcome, 'redirected')
  })

  test('sends visitors of a country to another offer, or to an address', () => {
    const picky = offer('o1', {
      rule: isGerman,
      country_fallbacks: {
        FR: { offer_id: 'o2' },
        ES: { url: 'https://es.example/' },
        '*': { url: 'https://any.example/' },
      },
    })
    const config = withFlows(only, {}, [picky, offer('o2')])
    for (const asked of [SUMMER, { offerId: 'o1' }]) {
      const french = decide(asked, config, from('FR'))
      assert.deepEqual([french.outcome, french.refusal, french.assignment.offer_id], ['redirected', undefined, 'o2'])
      const spanish = decide(asked, config, from('ES'))
      assert.deepEqual([spanish.outcome, spanish.refusal], ['fallback', 'offer_rule_refused'])
      assert.equal(spanish.url?.head.text, 'https://es.example/')
      assert.equal(decide(asked, config, from('US')).url?.head.text, 'https://any.example/')
      assert.equal(decide(asked, config).url?.head.text, 'https://any.example/')
    }
  })

  test('does not send on to an offer that cannot take the visitor either', () => {
    const picky = offer('o1', { rule: isGerman, country_fallbacks: { FR: { offer_id: 'o2' } } })
    const back = offer('o2', { rule: isGerman, country_fallbacks: { FR: { offer_id: 'o1' } } })
    assert.equal(decide(SUMMER, withFlows(only, {}, [picky, back]), from('FR')).refusal, 'offer_rule_refused')
  })

  test('is asked for its country only where no other offer of the flow takes the visitor', () => {
    const picky = offer('o1', { rule: isGerman, country_fallbacks: { '*': { url: 'https://any.example/' } } })
    const both = flow('f1', { offers: [{ offer_id: 'o1', weight: 1 }, { offer_id: 'o2', weight: 1 }] }) // prettier-ignore
    assert.equal(decide(SUMMER, withFlows([both], {}, [picky, offer('o2')]), from('FR')).assignment.offer_id, 'o2')
  })

  describe('and an affiliate', () => {
    const cases = [
      [undefined, undefined, undefined],
      [undefined, 'blocked', 'affiliate_blocked'],
      [undefined, 'pending', 'affiliate_not_approved'],
      ['public', 'approved', undefined],
      ['on_approval', undefined, 'affiliate_not_approved'],
      ['on_approval', 'pending', 'affiliate_not_approved'],
      ['on_approval', 'approved', undefined],
      ['private', undefined, 'affiliate_not_approved'],
      ['private', 'approved', undefined],
    ] as const
    for (const [access, status, refusal] of cases)
      test(`with access ${access ?? 'left out'} and status ${status ?? 'left out'}: ${refusal ?? 'takes the visitor'}`, () => {
        const own = offer('o1', { ...(access && { access }), affiliates: { ann: { ...(status && { status }) } } })
        const config = snapshot({ offers: [own], affiliates: [affiliate()] })
        assert.equal(decide({ ...SUMMER, affiliateId: 'ann' }, config).refusal, refusal)
        assert.equal(decide(SUMMER, config).refusal, undefined)
      })

    test('leads to landings of their own, unless the flow has some', () => {
      const own = offer('o1', { affiliates: { ann: { landings: [landing('for-ann')] } } })
      const landingOf = (flows: readonly Flow[], affiliateId?: string): string | undefined =>
        decide({ ...SUMMER, ...(affiliateId && { affiliateId }) }, withFlows(flows, {}, [own])).assignment.landing_id
      assert.equal(landingOf(only, 'ann'), 'for-ann')
      assert.equal(landingOf(only), 'o1-land')
      assert.equal(landingOf([flow('f1', { landings: [landing('of-flow')] })], 'ann'), 'of-flow')
    })
  })
})

test('weights come out within one percent over 100,000 clicks', () => {
  const weights = { f1: 60, f2: 25, f3: 10, f4: 5 }
  const config = compileSnapshot(withFlows(Object.entries(weights).map(([id, weight]) => flow(id, { weight }))))
  const counts: Record<string, number> = {}
  for (let index = 0; index < 100_000; index += 1) {
    const { assignment } = chooseTarget(facts(SUMMER, { clickId: newClickId(TEST_TIME + index) }), config)
    counts[assignment.flow_id!] = (counts[assignment.flow_id!] ?? 0) + 1
  }
  for (const [id, weight] of Object.entries(weights))
    assert.ok(Math.abs(counts[id]! / 100_000 - weight / 100) < 0.01, `${id} came ${counts[id]} times`)
})
