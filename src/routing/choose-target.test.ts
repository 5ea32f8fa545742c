import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { RefusalReason } from '#records'
import { chooseTarget } from './choose-target.ts'
import { compileSnapshot } from './compile-snapshot.ts'
import type { AskedTarget } from './request-facts.ts'
import type { Snapshot } from './snapshot.ts'
import { advertiser, affiliate, campaign, facts, flow, landing, offer, snapshot, TEST_TIME } from './test-snapshots.ts'
import { decodeTrace } from './trace.ts'

const decide = (asked: AskedTarget, config: Snapshot, parts: Parameters<typeof facts>[1] = {}) =>
  chooseTarget(facts(asked, parts), compileSnapshot(config))

/** How often each id came out over many click ids. */
function count(times: number, pick: () => string | undefined): Record<string, number> {
  const counts: Record<string, number> = {}
  for (let index = 0; index < times; index += 1) {
    const id = pick() ?? 'none'
    counts[id] = (counts[id] ?? 0) + 1
  }
  return counts
}

describe('a target', () => {
  test('is found by campaign and assigned down to the landing', () => {
    const decision = decide({ campaignId: 'summer', affiliateId: 'ann' }, snapshot())
    assert.equal(decision.outcome, 'redirected')
    assert.equal(decision.refusal, undefined)
    assert.deepEqual(decision.assignment, {
      advertiser_id: 'acme',
      campaign_id: 'summer',
      flow_id: 'f1',
      offer_id: 'o1',
      landing_id: 'o1-land',
      affiliate_id: 'ann',
    })
  })

  test('is found by flow alone, whose rule is not asked', () => {
    const rule = { field: 'country', op: 'is', value: 'DE' } as const
    const config = snapshot({ campaigns: [campaign({ flows: [flow('f1', { rule })] })] })
    assert.equal(decide({ campaignId: 'summer' }, config).refusal, 'no_flow_matched')
    assert.equal(decide({ flowId: 'f1' }, config).assignment.offer_id, 'o1')
  })

  test('is found by offer alone', () => {
    const decision = decide({ offerId: 'o1' }, snapshot())
    assert.deepEqual(decision.assignment, { advertiser_id: 'acme', offer_id: 'o1', landing_id: 'o1-land' })
  })

  test('is a named offer of the campaign', () => {
    const offers = [offer('o1'), offer('o2')]
    const decision = decide({ campaignId: 'summer', offerId: 'o2' }, snapshot({ offers }))
    assert.equal(decision.assignment.offer_id, 'o2')
    assert.equal(decision.assignment.campaign_id, 'summer')
  })

  test('is found by link, whose ids give way to those of the query', () => {
    const links = [{ code: 'abc', campaign_id: 'summer', affiliate_id: 'ann' }]
    const campaigns = [campaign(), campaign({ campaign_id: 'winter', flows: [flow('f2')] })]
    const config = snapshot({ links, campaigns, affiliates: [affiliate(), affiliate({ affiliate_id: 'bob' })] })
    assert.equal(decide({ linkCode: 'abc' }, config).assignment.affiliate_id, 'ann')
    const changed = decide({ linkCode: 'abc', campaignId: 'winter', affiliateId: 'bob' }, config)
    assert.equal(changed.assignment.campaign_id, 'winter')
    assert.equal(changed.assignment.affiliate_id, 'bob')
  })

  test('of a link survives a query id that names nothing', () => {
    const config = snapshot({ links: [{ code: 'abc', campaign_id: 'summer' }] })
    assert.equal(decide({ linkCode: 'abc', campaignId: '120213' }, config).assignment.campaign_id, 'summer')
  })

  test('belongs to the affiliate of the campaign where the request names none', () => {
    const config = snapshot({ campaigns: [campaign({ affiliate_id: 'ann' })] })
    assert.equal(decide({ campaignId: 'summer' }, config).assignment.affiliate_id, 'ann')
  })

  test('is the named landing, even at weight 0', () => {
    const landings = [landing('a'), landing('b', { weight: 0 })]
    const config = snapshot({ offers: [offer('o1', { landings })] })
    assert.equal(decide({ offerId: 'o1', landingId: 'b' }, config).assignment.landing_id, 'b')
    assert.equal(decide({ offerId: 'o1', landingId: 'of-someone-else' }, config).assignment.landing_id, 'a')
  })

  test('may be a landing of a flow without offers', () => {
    const flows = [flow('quiz', { offers: [], landings: [landing('questions')] })]
    const decision = decide({ campaignId: 'summer' }, snapshot({ campaigns: [campaign({ flows })] }))
    assert.equal(decision.assignment.landing_id, 'questions')
    assert.equal(decision.assignment.offer_id, undefined)
  })
})

describe('flows', () => {
  const onlyGermans = { field: 'country', op: 'is', value: 'de' } as const
  const german = { visitor: { country: 'DE' } }
  const french = { visitor: { country: 'FR' } }

  test('are tried forced first, then regular, then default', () => {
    const flows = [
      flow('rest', { kind: 'default' }),
      flow('usual', { rule: { field: 'country', op: 'in', value: ['DE', 'FR'] } }),
      flow('first', { kind: 'forced', rule: onlyGermans }),
    ]
    const config = snapshot({ campaigns: [campaign({ flows })] })
    assert.equal(decide({ campaignId: 'summer' }, config, german).assignment.flow_id, 'first')
    assert.equal(decide({ campaignId: 'summer' }, config, french).assignment.flow_id, 'usual')
    assert.equal(decide({ campaignId: 'summer' }, config).assignment.flow_id, 'rest')
  })

  test('that are regular are drawn by weight', () => {
    const flows = [flow('a', { weight: 30 }), flow('b', { weight: 70 }), flow('c', { weight: 0 })]
    const config = compileSnapshot(snapshot({ campaigns: [campaign({ flows })] }))
    const counts = count(10_000, () => chooseTarget(facts({ campaignId: 'summer' }), config).assignment.flow_id)
    assert.ok(Math.abs(counts['a']! - 3_000) < 200, `a: ${counts['a']}`)
    assert.equal(counts['a']! + counts['b']!, 10_000)
  })

  test('that are regular and all of weight 0 are taken by position', () => {
    const flows = [flow('a', { weight: 0, rule: onlyGermans }), flow('b', { weight: 0 }), flow('c', { weight: 0 })]
    const config = snapshot({ campaigns: [campaign({ flows })] })
    assert.equal(decide({ campaignId: 'summer' }, config, german).assignment.flow_id, 'a')
    assert.equal(decide({ campaignId: 'summer' }, config, french).assignment.flow_id, 'b')
  })

  test('that are paused are passed over', () => {
    const flows = [flow('a', { status: 'paused', weight: 100 }), flow('b')]
    const config = snapshot({ campaigns: [campaign({ flows })] })
    assert.equal(decide({ campaignId: 'summer' }, config).assignment.flow_id, 'b')
  })

  test('that have no offer for the visitor leave the draw to the others', () => {
    const flows = [
      flow('broken', { weight: 1_000_000, offers: [{ offer_id: 'closed', weight: 1 }] }),
      flow('b', { weight: 1 }),
    ]
    const offers = [offer('o1'), offer('closed', { status: 'paused' })]
    const decision = decide({ campaignId: 'summer' }, snapshot({ offers, campaigns: [campaign({ flows })] }))
    assert.equal(decision.assignment.flow_id, 'b')
    assert.ok(decodeTrace(decision.trace).some((step) => step.kind === 'flow_unable' && step.flow === 0))
  })
})

describe('offers and landings', () => {
  test('are drawn by weight, independently of each other', () => {
    const offers = [
      offer('o1', { landings: [landing('a'), landing('b')] }),
      offer('o2', { landings: [landing('c'), landing('d'), landing('e', { weight: 0 })] }),
    ]
    const flows = [flow('f', { offers: [{ offer_id: 'o1', weight: 1 }, { offer_id: 'o2', weight: 3 }] })] // prettier-ignore
    const config = compileSnapshot(snapshot({ offers, campaigns: [campaign({ flows })] }))
    const counts = count(8_000, () => chooseTarget(facts({ campaignId: 'summer' }), config).assignment.landing_id)
    for (const [id, expected] of Object.entries({ a: 1_000, b: 1_000, c: 3_000, d: 3_000 })) {
      assert.ok(Math.abs(counts[id]! - expected) < 200, `${id}: ${counts[id]}`)
    }
    assert.equal(counts['e'], undefined)
  })

  test('that cannot take the visitor are left out of the draw', () => {
    const offers = [offer('o1', { ends_at: TEST_TIME }), offer('o2')]
    const flows = [flow('f', { offers: [{ offer_id: 'o1', weight: 99 }, { offer_id: 'o2', weight: 1 }] })] // prettier-ignore
    const config = snapshot({ offers, campaigns: [campaign({ flows })] })
    assert.equal(decide({ campaignId: 'summer' }, config).assignment.offer_id, 'o2')
  })

  test('use the landings of the flow where it has some', () => {
    const flows = [flow('f', { landings: [landing('prelander')] })]
    const decision = decide({ campaignId: 'summer' }, snapshot({ campaigns: [campaign({ flows })] }))
    assert.equal(decision.assignment.landing_id, 'prelander')
    assert.equal(decision.assignment.offer_id, 'o1')
  })
})

describe('a request is refused with the reason', () => {
  const cases: Partial<Record<RefusalReason, { asked: AskedTarget; config: Snapshot }>> = {
    target_missing: { asked: { affiliateId: 'ann' }, config: snapshot() },
    link_unknown: { asked: { linkCode: 'nope' }, config: snapshot() },
    campaign_unknown: { asked: { campaignId: 'nope' }, config: snapshot() },
    campaign_paused: {
      asked: { campaignId: 'summer' },
      config: snapshot({ campaigns: [campaign({ status: 'paused' })] }),
    },
    advertiser_paused: {
      asked: { offerId: 'o1' },
      config: snapshot({ advertisers: [advertiser({ status: 'paused' })] }),
    },
    flow_unknown: { asked: { campaignId: 'summer', flowId: 'nope' }, config: snapshot() },
    flow_paused: {
      asked: { flowId: 'f1' },
      config: snapshot({ campaigns: [campaign({ flows: [flow('f1', { status: 'paused' })] })] }),
    },
    no_flow_matched: { asked: { campaignId: 'summer' }, config: snapshot({ campaigns: [campaign({ flows: [] })] }) },
    offer_unknown: { asked: { offerId: 'nope' }, config: snapshot() },
    offer_paused: { asked: { offerId: 'o1' }, config: snapshot({ offers: [offer('o1', { status: 'archived' })] }) },
    offer_not_started: {
      asked: { offerId: 'o1' },
      config: snapshot({ offers: [offer('o1', { starts_at: TEST_TIME + 1 })] }),
    },
    offer_expired: { asked: { offerId: 'o1' }, config: snapshot({ offers: [offer('o1', { ends_at: TEST_TIME })] }) },
    affiliate_unknown: { asked: { offerId: 'o1', affiliateId: 'nope' }, config: snapshot() },
    affiliate_blocked: {
      asked: { offerId: 'o1', affiliateId: 'ann' },
      config: snapshot({ affiliates: [affiliate({ status: 'blocked' })] }),
    },
    no_landing: { asked: { offerId: 'o1' }, config: snapshot({ offers: [offer('o1', { landings: [] })] }) },
  }
  for (const [reason, { asked, config }] of Object.entries(cases)) {
    test(reason, () => {
      const decision = decide(asked, config)
      assert.equal(decision.refusal, reason)
      assert.equal(decision.outcome, 'not_found')
      assert.equal(decision.url, undefined)
    })
  }

  test('affiliate_blocked where the affiliate is no member of the advertiser', () => {
    const affiliates = [affiliate({ advertiser_ids: ['other'] })]
    assert.equal(decide({ offerId: 'o1', affiliateId: 'ann' }, snapshot({ affiliates })).refusal, 'affiliate_blocked')
    const viaCampaign = decide({ campaignId: 'summer', affiliateId: 'ann' }, snapshot({ affiliates }))
    assert.equal(viaCampaign.refusal, 'affiliate_blocked')
  })

  test("offer_unknown where a campaign names another advertiser's offer that it does not rotate", () => {
    const config = snapshot({
      advertisers: [advertiser(), advertiser({ advertiser_id: 'other' })],
      offers: [offer('o1'), offer('theirs', { advertiser_id: 'other' })],
    })
    assert.equal(decide({ campaignId: 'summer', offerId: 'theirs' }, config).refusal, 'offer_unknown')
  })
})

describe('a refused visitor goes to the fallback', () => {
  const urls = {
    ofOffer: 'https://offer.example/',
    ofCampaign: 'https://campaign.example/',
    ofAdvertiser: 'https://advertiser.example/',
    ofAll: 'https://all.example/',
  }
  const config = (parts: { offer?: boolean; campaign?: boolean; advertiser?: boolean }): Snapshot =>
    snapshot({
      fallback_url: urls.ofAll,
      advertisers: [advertiser(parts.advertiser ? { fallback_url: urls.ofAdvertiser } : {})],
      offers: [offer('o1', { status: 'paused', ...(parts.offer && { fallback_url: urls.ofOffer }) })],
      campaigns: [campaign(parts.campaign ? { fallback_url: urls.ofCampaign } : {})],
    })
  const fallbackOf = (parts: Parameters<typeof config>[0]) =>
    decide({ campaignId: 'summer', offerId: 'o1' }, config(parts)).url?.head.text

  test('of the offer, else the campaign, else the advertiser, else the installation', () => {
    assert.equal(fallbackOf({ offer: true, campaign: true, advertiser: true }), urls.ofOffer)
    assert.equal(fallbackOf({ campaign: true, advertiser: true }), urls.ofCampaign)
    assert.equal(fallbackOf({ advertiser: true }), urls.ofAdvertiser)
    assert.equal(fallbackOf({}), urls.ofAll)
  })

  test('and keeps what it was assigned to before the way ended', () => {
    const decision = decide({ campaignId: 'summer', offerId: 'o1' }, config({}))
    assert.equal(decision.outcome, 'fallback')
    assert.deepEqual(decision.assignment, { advertiser_id: 'acme', campaign_id: 'summer', offer_id: 'o1' })
  })
})

describe('a decision', () => {
  const flows = [
    flow('a', { weight: 3, rule: { field: 'country', op: 'not_in', value: ['US', 'CA'] } }),
    flow('b', { weight: 5, offers: [{ offer_id: 'o1', weight: 1 }, { offer_id: 'o2', weight: 1 }] }), // prettier-ignore
    flow('c', { kind: 'default' }),
  ]
  const offers = [offer('o1', { landings: [landing('x'), landing('y', { weight: 4 })] }), offer('o2')]
  const config = snapshot({ offers, campaigns: [campaign({ flows })] })

  test('is drawn anew with another version of the configuration', () => {
    const next = compileSnapshot({ ...config, version: 2 })
    const compiled = compileSnapshot(config)
    const clicks = Array.from({ length: 200 }, () => facts({ campaignId: 'summer' }))
    const isMoved = clicks.some(
      (click) => chooseTarget(click, compiled).assignment.flow_id !== chooseTarget(click, next).assignment.flow_id,
    )
    assert.ok(isMoved)
  })

  test('takes at most 100 bytes of trace where a smart link has ten offers and one takes the country', () => {
    const codes = ['US', 'DE', 'FR', 'ES', 'IT', 'PL', 'BR', 'MX', 'IN', 'JP']
    const many = codes.map((value, number) => offer(`o${number}`, { rule: { field: 'country', op: 'is', value } }))
    const smart = flow('smart', { offers: many.map(({ offer_id }) => ({ offer_id, weight: 1 })) })
    const compiled = compileSnapshot(snapshot({ offers: many, campaigns: [campaign({ flows: [smart] })] }))
    const { trace, assignment } = chooseTarget(
      facts({ campaignId: 'summer' }, { visitor: { country: 'PL' } }),
      compiled,
    )
    assert.equal(assignment.offer_id, 'o5')
    assert.ok(trace.length <= 100, trace)
  })

  test('takes at most 100 bytes of trace on average', () => {
    const compiled = compileSnapshot(config)
    const lengths = Array.from(
      { length: 500 },
      () => chooseTarget(facts({ campaignId: 'summer' }), compiled).trace.length,
    )
    assert.ok(lengths.reduce((sum, length) => sum + length, 0) / lengths.length <= 100)
  })
})
