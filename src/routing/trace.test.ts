import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import type { RoutingCaps } from '#caps'
import type { ClickId } from '#platform/ids'
import { refusalReasons, type RefusalReason } from '#records'
import { chooseTarget } from './choose-target.ts'
import { compileSnapshot } from './compile-snapshot.ts'
import { routingLimits } from './limits.ts'
import { reasonCodes } from './reason-codes.ts'
import { campaign, facts, flow, landing, offer, snapshot } from './test-snapshots.ts'
import { decodeTrace, describeTrace, encodeTrace, learnedVersionOf, type TraceStep } from './trace.ts'

const index = fc.nat({ max: 100_000 })
const reason = fc.constantFrom(...(Object.keys(refusalReasons) as RefusalReason[]))
const draw = { drawn: index, total: index }
const kind = <Kind extends TraceStep['kind']>(name: Kind) => fc.constant(name)

const step: fc.Arbitrary<TraceStep> = fc.oneof(
  fc.record({ kind: kind('link'), link: index }),
  fc.record({ kind: kind('campaign'), campaign: index }),
  fc.record({ kind: kind('offer_asked'), offer: index }),
  fc.record({ kind: kind('flow_asked'), flow: index }),
  fc.record({ kind: kind('flow_paused'), flow: index }),
  fc.record({ kind: kind('flow_refused'), flow: index, part: index }),
  fc.record({ kind: kind('flow_unable'), flow: index, reason }),
  fc.record({ kind: kind('flow_taken'), flow: index }),
  fc.record({ kind: kind('flow_drawn'), flow: index, ...draw }),
  fc.record({ kind: kind('offer_out'), offer: index, reason }),
  fc.record({ kind: kind('offer_taken'), offer: index }),
  fc.record({ kind: kind('offer_drawn'), offer: index, ...draw }),
  fc.record({ kind: kind('landing_asked'), landing: index }),
  fc.record({ kind: kind('landing_taken'), landing: index }),
  fc.record({ kind: kind('landing_drawn'), landing: index, ...draw }),
  fc.record({ kind: kind('flow_bound'), flow: index }),
  fc.record({ kind: kind('offer_bound'), offer: index }),
  fc.record({ kind: kind('landing_bound'), landing: index }),
  fc.record({ kind: kind('offer_refused'), offer: index, part: index }),
  fc.record({ kind: kind('offer_for_country'), offer: index }),
  fc.record({ kind: kind('cap_full'), offer: index, cap: index }),
  fc.record({ kind: kind('offer_for_cap'), offer: index }),
  fc.record({ kind: kind('campaign_next'), campaign: index }),
  fc.record({ kind: kind('campaign_back'), campaign: index }),
  fc.record({ kind: kind('weights'), version: index }),
  fc.record({ kind: kind('sent') }),
  fc.record({ kind: kind('shown') }),
  fc.record({ kind: kind('refused'), reason }),
  fc.record({
    kind: kind('fallback'),
    owner: fc.constantFrom(
      'country' as const,
      'offer' as const,
      'campaign' as const,
      'advertiser' as const,
      'installation' as const,
    ),
  }),
  fc.record({ kind: kind('not_found') }),
)

/** Flows of a campaign that are refused one after the other. */
const refusedRun: fc.Arbitrary<readonly TraceStep[]> = fc
  .tuple(fc.nat({ max: 50 }), fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 8 }))
  .map(([first, parts]) => parts.map((part, at) => ({ kind: 'flow_refused', flow: first + at, part })))

test('a trace decodes to the steps that were encoded', () => {
  const runs = fc.array(
    fc.oneof(
      step.map((one) => [one]),
      refusedRun,
    ),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(runs, (parts) => {
      const steps = parts.flat().slice(0, 60)
      assert.deepEqual(decodeTrace(encodeTrace(steps)), structuredClone(steps))
    }),
  )
})

test('flows that are refused one after the other for the same part take one step of the text', () => {
  const steps = Array.from({ length: 9 }, (_, flow): TraceStep => ({
    kind: 'flow_refused',
    flow,
    part: flow < 8 ? 1 : 0,
  }))
  assert.equal(encodeTrace(steps), 'r0.1.8;r8.0')
})

test('every reason has a code of its own, which stands in the text, and words of older traces are read too', () => {
  const reasons = Object.keys(refusalReasons) as RefusalReason[]
  const codes = reasons.map((reason) => reasonCodes[reason])
  assert.equal(new Set(codes).size, reasons.length)
  for (const [index, reason] of reasons.entries()) {
    const code = codes[index]!
    assert.match(code, /^[A-Za-z]{1,2}$/)
    assert.ok(!Object.hasOwn(refusalReasons, code))
    const steps: readonly TraceStep[] = [
      { kind: 'offer_out', offer: 3, reason },
      { kind: 'flow_unable', flow: 1, reason },
      { kind: 'refused', reason },
    ]
    assert.equal(encodeTrace(steps), `x3.${code};u1.${code};!${code}`)
    assert.deepEqual(decodeTrace(`x3.${reason};u1.${reason};!${reason}`), steps)
  }
  assert.deepEqual(decodeTrace('x3.toString;u1.zz;!'), [])
})

test('a smart link with ten offers that are capped or paused takes less than 100 bytes', () => {
  const capped = { caps: [{ cap_id: 'daily', metric: 'clicks', period: 'day', limit: 1, mode: 'hard' }] } as const
  const paused = { status: 'paused' } as const
  // An eleventh is open: one draw in a thousand begins with it.
  const open = { offer_id: 'open', weight: 1 }
  const full: RoutingCaps = {
    reserve: (_id, _at, keys) => (keys.length === 0 ? { kind: 'reserved' } : { kind: 'full', index: 0 }),
  }
  const clickId = '0196a1b2-0000-7000-8000-000000000001' as ClickId
  for (const partOf of [() => capped, () => paused, (index: number) => (index % 2 === 0 ? capped : paused)]) {
    const out = Array.from({ length: 10 }, (_, index) => offer(`o${index}`, partOf(index)))
    for (const others of [[], [open]]) {
      const offers = [...out.map(({ offer_id }) => ({ offer_id, weight: 100 })), ...others]
      const config = snapshot({ offers: [...out, offer('open')], campaigns: [campaign({ flows: [flow('smart', { offers })] })] }) // prettier-ignore
      const { trace } = chooseTarget(facts({ campaignId: 'summer' }, { caps: full, clickId }), compileSnapshot(config))
      assert.ok(Buffer.byteLength(trace) < 100, trace)
      const sentences = describeTrace(trace, config).join(' ')
      for (const { name } of out) assert.match(sentences, new RegExp(`“${name}” (?:is full|was left out)`))
    }
  }
})

test('decoding and describing never throw, whatever the text', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      decodeTrace(text)
      describeTrace(text, snapshot())
    }),
  )
})

test('the middle of a very long trace is counted, not kept', () => {
  const steps = Array.from({ length: 500 }, (_, flow): TraceStep => ({ kind: 'flow_refused', flow, part: 0 }))
  const decoded = decodeTrace(encodeTrace(steps))
  const { traceStepsMax: max, traceStepsKeptAtEnd: atEnd } = routingLimits
  assert.equal(decoded.length, max)
  assert.deepEqual(decoded.at(max - atEnd - 1), { kind: 'cut', steps: 500 - max + 1 })
  assert.deepEqual(decoded.at(-1), steps.at(-1))
})

test('what the end of a very long trace hangs on is kept of its middle', () => {
  const refused = Array.from({ length: 80 }, (_, flow): TraceStep => ({ kind: 'flow_refused', flow, part: 0 }))
  const steps: TraceStep[] = [
    ...refused, { kind: 'weights', version: 7 }, { kind: 'campaign_next', campaign: 1 }, ...refused, { kind: 'flow_taken', flow: 0 },
  ] // prettier-ignore
  const trace = encodeTrace(steps)
  assert.equal(learnedVersionOf(trace), 7)
  const winter = campaign({ campaign_id: 'winter', name: 'Winter', flows: [flow('w1')] })
  const sentences = describeTrace(trace, snapshot({ campaigns: [campaign(), winter] }))
  assert.ok(sentences.includes('The flow leads on to the campaign “Winter”.'))
  assert.equal(sentences.at(-1), 'Flow “w1” took the visitor.')
})

test('a condition of many values is cut where it is told', () => {
  const value = Array.from({ length: 1_000 }, (_, index) => `zone-${index}`)
  const flows = [flow('zones', { rule: { field: 'sub1', op: 'in', value } })]
  const config = snapshot({ campaigns: [campaign({ flows })] })
  const { trace } = chooseTarget(facts({ campaignId: 'summer' }), compileSnapshot(config))
  const told = describeTrace(trace, config).find((sentence) => sentence.includes('zones'))
  assert.equal(/“(sub1 in [^”]*)…”/.exec(told!)?.[1]?.length, routingLimits.conditionCharactersMax)
})

test('a trace reads as sentences in the order of the decision', () => {
  const flows = [
    flow('de', { rule: { all: [{ field: 'country', op: 'in', value: ['DE', 'AT'] }] } }),
    flow('off', { status: 'paused' }),
    flow('rest', { kind: 'default', offers: [{ offer_id: 'o1', weight: 1 }, { offer_id: 'o2', weight: 1 }] }), // prettier-ignore
  ]
  const offers = [offer('o1', { status: 'paused' }), offer('o2', { landings: [landing('only')] })]
  const config = snapshot({ offers, campaigns: [campaign({ flows })], links: [{ code: 'go', campaign_id: 'summer' }] })
  const { trace } = chooseTarget(facts({ linkCode: 'go' }, { visitor: { country: 'FR' } }), compileSnapshot(config))
  assert.deepEqual(describeTrace(trace, config), [
    'The link “go” was opened.',
    'The campaign is “Summer”.',
    'Flow “de” does not accept the visitor: “country in (DE, AT)” was not met.',
    'Flow “off” is paused.',
    'The default flow “rest” took the visitor.',
    'The offer “Offer o1” was left out: The offer is paused or archived.',
    'The offer is “Offer o2”, the only one that can take the visitor.',
    'The landing is “only”, the only one that takes visitors.',
  ])
})

test('a refusal says why and where the visitor went', () => {
  const config = snapshot({ fallback_url: 'https://all.example/' })
  const { trace } = chooseTarget(facts({ offerId: 'nope' }), compileSnapshot(config))
  assert.deepEqual(describeTrace(trace, config), [
    'Refused: No offer has this id.',
    'The visitor was sent to the fallback of the installation.',
  ])
})
