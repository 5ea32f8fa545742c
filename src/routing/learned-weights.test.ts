import assert from 'node:assert/strict'
import { test } from 'node:test'

import { newClickId, type ClickId } from '#platform/ids'
import { chooseTarget } from './choose-target.ts'
import { compileSnapshot } from './compile-snapshot.ts'
import { learnedPlace } from './learned-weights.ts'
import type { LearnedOverlay, Optimize, Snapshot } from './snapshot.ts'
import { campaign, facts, flow, landing, offer, snapshot, TEST_TIME } from './test-snapshots.ts'
import { decodeTrace, describeTrace } from './trace.ts'

const optimize = (parts: Partial<Optimize> = {}): Optimize => ({
  weights: ['flows', 'offers', 'landings'],
  mode: 'on',
  goal: 'cr',
  window_days: 30,
  ...parts,
})

/** Two flows; the first has two offers, and the first of these two landings. */
const config = (parts: { readonly optimize?: Optimize; readonly learned?: LearnedOverlay }): Snapshot => {
  const offers = [offer('o1', { landings: [landing('l1'), landing('l2')] }), offer('o2')]
  const f1 = flow('f1', { weight: 50, offers: offers.map(({ offer_id }) => ({ offer_id, weight: 50 })) })
  const flows = [f1, flow('f2', { weight: 50, offers: [{ offer_id: 'o2', weight: 1 }] })]
  const { optimize, learned } = parts
  return snapshot({ offers, campaigns: [campaign({ flows, ...(optimize && { optimize }) })], ...(learned && { learned }) }) // prettier-ignore
}

const weights = {
  [learnedPlace.flows('summer')]: { f1: 9_000, f2: 1_000 },
  [learnedPlace.offers('f1')]: { o1: 9_500, o2: 500 },
  [learnedPlace.landings('f1', 'o1')]: { l1: 200, l2: 9_800 },
}
const learned: LearnedOverlay = { version: 7, weights }

const CLICKS = 20_000
const clickIds = Array.from({ length: CLICKS }, () => newClickId(TEST_TIME))

/** How the clicks are shared out: `flow/offer/landing` → share. */
function sharesOf(from: Snapshot): ReadonlyMap<string, number> {
  const compiled = compileSnapshot(from)
  const counts = new Map<string, number>()
  for (const clickId of clickIds) {
    const { assignment } = chooseTarget(facts({ campaignId: 'summer' }, { clickId }), compiled)
    const key = [assignment.flow_id, assignment.offer_id, assignment.landing_id].join('/')
    counts.set(key, (counts.get(key) ?? 0) + 1 / CLICKS)
  }
  return counts
}

const isNear = (share: number | undefined, expected: number): void =>
  assert.ok(Math.abs((share ?? 0) - expected) < 0.012, `${share} is not near ${expected}`)

const decide = (from: Snapshot, clickId: ClickId) =>
  chooseTarget(facts({ campaignId: 'summer' }, { clickId }), compileSnapshot(from))

test('flows, offers and landings are drawn by learned weights where the campaign has them on', () => {
  const shares = sharesOf(config({ optimize: optimize(), learned }))
  isNear(shares.get('f1/o1/l2'), 0.9 * 0.95 * 0.98)
  isNear(shares.get('f1/o1/l1'), 0.9 * 0.95 * 0.02)
  isNear(shares.get('f1/o2/o2-land'), 0.9 * 0.05)
  isNear(shares.get('f2/o2/o2-land'), 0.1)
})

for (const [what, unused] of [
  ['only watches', optimize({ mode: 'watch' })],
  ['has them off', optimize({ mode: 'off' })],
  ['names none of them', optimize({ weights: [] })],
  ['does not learn any', undefined],
] as const)
  test(`a campaign that ${what} decides every click as without learned weights`, () => {
    const with_ = compileSnapshot(config({ ...(unused && { optimize: unused }), learned }))
    const without = compileSnapshot(config({}))
    for (const clickId of clickIds.slice(0, 1_000)) {
      const asked = facts({ campaignId: 'summer' }, { clickId })
      assert.equal(chooseTarget(asked, with_).trace, chooseTarget(asked, without).trace)
    }
  })

test('only the weights that are named are replaced', () => {
  const shares = sharesOf(config({ optimize: optimize({ weights: ['landings'] }), learned }))
  isNear(shares.get('f1/o1/l2'), 0.5 * 0.5 * 0.98)
  isNear(shares.get('f2/o2/o2-land'), 0.5)
})

test('the landings of an offer are drawn as before where another flow leads to it', () => {
  const { campaigns, ...rest } = config({ optimize: optimize({ weights: ['landings'] }), learned })
  const [first] = campaigns
  const f3 = flow('f3', { weight: 100, offers: [{ offer_id: 'o1', weight: 1 }] })
  const shares = sharesOf({ ...rest, campaigns: [{ ...first!, flows: [...first!.flows, f3] }] })
  isNear(shares.get('f3/o1/l1'), 0.25)
})

test('landings of a flow are learned as its own', () => {
  const own = flow('f1', { landings: [landing('x'), landing('y')] })
  const overlay = { version: 1, weights: { [learnedPlace.landings('f1', undefined)]: { x: 9_900, y: 100 } } }
  const one = snapshot({ campaigns: [campaign({ flows: [own], optimize: optimize() })], learned: overlay })
  isNear(sharesOf(one).get('f1/o1/x'), 0.99)
})

test('an arm that was learned to be nothing still takes those whom no other takes, and one that is switched off nobody', () => {
  const overlay = { version: 1, weights: { [learnedPlace.offers('f1')]: { o1: 0, o2: 10_000 } } }
  const flows = (weight: number) => [
    flow('f1', { offers: [{ offer_id: 'o1', weight }, { offer_id: 'o2', weight: 1 }] }), // prettier-ignore
  ]
  const offers = [offer('o1'), offer('o2', { status: 'paused' as const })]
  const from = (weight: number) =>
    snapshot({ offers, campaigns: [campaign({ flows: flows(weight), optimize: optimize() })], learned: overlay })
  assert.equal(decide(from(1), clickIds[0]!).assignment.offer_id, 'o1')
  assert.equal(decide(from(0), clickIds[0]!).outcome, 'not_found')
})

test('an arm of which nothing was learned yet has its share of the configuration', () => {
  const overlay = { version: 1, weights: { [learnedPlace.offers('f1')]: { o1: 10_000 } } }
  const shares = sharesOf(config({ optimize: optimize({ weights: ['offers'] }), learned: overlay }))
  // Half of the weights of the configuration beside all that was learned: one of three.
  isNear(shares.get('f1/o2/o2-land'), 0.5 / 3)
})

test('the trace names the weights once and the same weights decide a click the same again', () => {
  const from = config({ optimize: optimize(), learned })
  for (const clickId of clickIds.slice(0, 200)) {
    const { trace } = decide(from, clickId)
    assert.deepEqual(decodeTrace(trace).filter(({ kind }) => kind === 'weights'), [{ kind: 'weights', version: 7 }]) // prettier-ignore
    assert.equal(decide(structuredClone(from), clickId).trace, trace)
  }
  const { trace } = decide(from, clickIds[0]!)
  assert.ok(trace.includes(';w7;'))
  assert.ok(describeTrace(trace, from).includes('Weights learned from conversions are used, version 7.'))
})

test('a click that is drawn nowhere by learned weights does not name them', () => {
  const only = { version: 3, weights: { [learnedPlace.landings('f1', 'o1')]: { l1: 1, l2: 9_999 } } }
  const from = config({ optimize: optimize(), learned: only })
  const traces = clickIds.slice(0, 200).map((clickId) => decide(from, clickId))
  for (const { trace, assignment } of traces) assert.equal(trace.includes('w3'), assignment.offer_id === 'o1' && assignment.flow_id === 'f1') // prettier-ignore
})
