import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRule } from '#rules'
import { chooseTarget } from './choose-target.ts'
import { compileSnapshot } from './compile-snapshot.ts'
import type { RequestFacts } from './request-facts.ts'
import type { Snapshot } from './snapshot.ts'
import { affiliate, campaign, facts, flow, offer, snapshot } from './test-snapshots.ts'

/** Whether a flow with this rule takes the request. */
function takes(text: string, given: Partial<RequestFacts> = {}, parts: Partial<Snapshot> = {}): boolean {
  const parsed = parseRule(text, { context: 'click' })
  assert.equal(parsed.kind, 'parsed', text)
  if (parsed.kind !== 'parsed') return false
  const config = snapshot({
    campaigns: [campaign({ flows: [flow('f1', { rule: parsed.rule })] })],
    affiliates: [affiliate({ affiliate_id: 'ann' })],
    links: [{ code: 'abc', campaign_id: 'summer' }],
    ...parts,
  })
  const request = {
    ...facts({ campaignId: 'summer' }, { visitor: { country: 'DE', os_version: '16.4' }, parameters: { sub3: 'Promo-7', sub2_keys: { geo: 'TR' }, referrer: 'https://m.facebook.com/a' } }),
    ...given,
  } // prettier-ignore
  return chooseTarget(request, compileSnapshot(config)).refusal !== 'no_flow_matched'
}

test('rules see the visitor, the parameters and the way so far', () => {
  assert.ok(takes('country is DE and os_version between 16 and 17 and sub3 starts with promo and sub2.geo is TR'))
  assert.ok(takes('referrer_host is *.facebook.com and continent is EU'))
  assert.ok(takes('campaign_id is summer and advertiser_id is acme and flow_id not exists'))
  assert.ok(!takes('affiliate_id is ann'))
  assert.ok(takes('affiliate_id is ann', { asked: { campaignId: 'summer', affiliateId: 'ann' } }))
  assert.ok(takes('link_code is abc', { asked: { linkCode: 'abc' } }))
  assert.ok(takes('landing_id is l2', { asked: { campaignId: 'summer', landingId: 'l2' } }))
  assert.ok(takes('time in "Thu 12:00-12:01"', { at: Date.UTC(2026, 0, 15, 12) }))
})

test('parameters and uniqueness come from whoever asks for the decision', () => {
  assert.ok(takes('query.fbclid is x', { query: (name) => (name === 'fbclid' ? 'X' : undefined) }))
  assert.ok(!takes('query.fbclid is x'))
  assert.ok(takes('unique is offer', { isUnique: (scope) => scope === 'offer' }))
  assert.ok(!takes('unique is campaign', { isUnique: (scope) => scope === 'offer' }))
})

test('the rule of an offer sees that offer before it is drawn', () => {
  const isNewTo = { field: 'unique', op: 'is', value: 'offer' } as const
  const offers = ['o1', 'o2'].map((id) => offer(id, { rule: isNewTo }))
  const flows = [flow('f1', { offers: [{ offer_id: 'o1', weight: 1 }, { offer_id: 'o2', weight: 1 }] })] // prettier-ignore
  const config = compileSnapshot(snapshot({ offers, campaigns: [campaign({ flows })] }))
  for (let index = 0; index < 20; index += 1) {
    const seen = index % 2 === 0 ? 'o1' : 'o2'
    const request = { ...facts({ campaignId: 'summer' }), isUnique: (_: string, id: string | undefined) => id !== seen }
    assert.equal(chooseTarget(request, config).assignment.offer_id, seen === 'o1' ? 'o2' : 'o1')
  }
})

test('lists are those of the snapshot; one from before there were any takes @ as it is', () => {
  const joe = facts({ campaignId: 'summer' }, { parameters: { sub1: '@joe' } })
  assert.ok(takes('sub1 in (@joe, x)', joe))
  assert.ok(!takes('sub1 in (@joe, x)', joe, { lists: { joe: ['ann'] } }))
  assert.ok(takes('sub1 in (@joe, x)', joe, { lists: { joe: ['@JOE'] } }))
})
