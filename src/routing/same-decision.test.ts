import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { createMemoryCaps, liveCaps } from '#caps'
import { createRateBoard, openRateCounters, scoreClick } from '#fraud'
import type { RefusalReason } from '#records'
import { chooseTarget, type Decision } from './choose-target.ts'
import { compileSnapshot, type CompiledSnapshot } from './compile-snapshot.ts'
import { hashText } from './draw.ts'
import { fillLandingUrl } from './landing-url.ts'
import type { Bound, RequestFacts } from './request-facts.ts'
import type { Snapshot } from './snapshot.ts'
import { anyWorld, someClicks, type WorldClick } from './test-worlds.ts'
import { decodeTrace, encodeTrace, type TraceStep } from './trace.ts'

const BOARD_SIZE = { cells: 64, visits: 64 }

/** What a run of clicks begins with and leaves behind: counts of caps and rates, and what visitors keep. */
function freshState(): { readonly bound: Map<string, Bound>; readonly factsOf: (click: WorldClick) => RequestFacts } {
  const caps = liveCaps(createMemoryCaps(), (error) => assert.fail(String(error)))
  const rates = openRateCounters(createRateBoard(7, BOARD_SIZE))
  const bound = new Map<string, Bound>()
  const factsOf = (click: WorldClick): RequestFacts => ({
    ...statelessFacts(click),
    caps,
    boundIn: (campaignId) => bound.get(`${click.visitorCode} ${campaignId}`),
    fraud: (settings, place) => {
      const { at, visitor, visitorCode, parameters } = click
      const referrer = parameters['referrer'] as string | undefined
      return scoreClick({ at, visitor, hints: {}, isHttps: true, visitorCode, referrer, ...place }, settings, rates)
    },
  })
  return { bound, factsOf }
}

const statelessFacts = ({ clickId, at, asked, visitor, visitorCode, parameters, promo }: WorldClick): RequestFacts => ({
  clickId,
  at,
  asked,
  visitor,
  parameters,
  query: (name) => (name === 'promo' ? promo : undefined),
  isUnique: (scope, id) => hashText(`${visitorCode} ${scope} ${id}`) % 2 === 0,
})

/** All that a decision says, its addresses filled. */
const shown = ({ url, html, ...decision }: Decision) => ({
  ...decision,
  url: url && fillLandingUrl(url, (name) => name),
  html: html?.text,
})

function decideAll(clicks: readonly WorldClick[], config: CompiledSnapshot) {
  const { bound, factsOf } = freshState()
  return clicks.map((click) => {
    const decision = chooseTarget(factsOf(click), config)
    for (const { assignment, isRegular } of decision.binds) {
      const { campaign_id, flow_id, offer_id, landing_id } = assignment
      const flowId = isRegular ? flow_id : undefined
      bound.set(`${click.visitorCode} ${campaign_id}`, { flowId, offerId: offer_id, landingId: landing_id })
    }
    return shown(decision)
  })
}

const fromDisk = (world: Snapshot): Snapshot => JSON.parse(JSON.stringify(world)) as Snapshot

test('the same clicks and configuration give the same decisions, also after it went to disk and back', () => {
  const seen = new Set<TraceStep['kind'] | RefusalReason>()
  fc.assert(
    fc.property(anyWorld, someClicks, (world, clicks) => {
      const compiled = compileSnapshot(world)
      const first = decideAll(clicks, compiled)
      assert.deepEqual(decideAll(clicks, compiled), first)
      assert.deepEqual(decideAll(clicks, compileSnapshot(fromDisk(world))), first)
      for (const { trace, refusal } of first) {
        for (const { kind } of decodeTrace(trace)) seen.add(kind)
        if (refusal !== undefined) seen.add(refusal)
        assert.equal(encodeTrace(decodeTrace(trace)), trace)
      }
    }),
    { numRuns: 1_500, seed: 11 },
  )
  // What never came up was not tested.
  assert.deepEqual(expected.filter((one) => !seen.has(one)), []) // prettier-ignore
})

const expected = [
  'link', 'campaign', 'flow_asked', 'flow_paused', 'flow_refused', 'flow_unable', 'flow_taken', 'flow_drawn', 'flow_bound',
  'offer_asked', 'offer_out', 'offer_refused', 'offer_taken', 'offer_drawn', 'offer_bound', 'offer_for_country', 'offer_for_cap',
  'offer_for_fraud', 'cap_full', 'fraud', 'weights', 'landing_asked', 'landing_taken', 'landing_drawn', 'landing_bound',
  'campaign_next', 'campaign_back', 'sent', 'shown', 'refused', 'fallback', 'not_found', 'campaign_loop', 'flow_not_found',
  'over_cap', 'fraud_refused', 'fraud_diverted', 'no_flow_matched', 'offer_blocked', 'offer_expired', 'affiliate_not_approved',
] as const // prettier-ignore

test('where nothing is counted, a click is decided by itself, whatever came before it', () => {
  fc.assert(
    fc.property(anyWorld, someClicks, (world, clicks) => {
      const compiled = compileSnapshot(world)
      const decide = (click: WorldClick) => shown(chooseTarget(statelessFacts(click), compiled))
      const inOrder = clicks.map(decide)
      assert.deepEqual(clicks.toReversed().map(decide).toReversed(), inOrder)
    }),
    { numRuns: 300, seed: 12 },
  )
})
