import assert from 'node:assert/strict'
import { test } from 'node:test'

import { clickRules, type ClickRuleName } from './fraud-rules.ts'
import { createRateBoard, emptyRateCounters, openRateCounters } from './rate-counters.ts'
import { scoreClick, type ClickFacts } from './score-click.ts'
import { compileFraud, type FraudSettings, type OfferFraud } from './settings.ts'

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'
const BRANDS = '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"'

/** A person in Germany. */
const honest: ClickFacts = {
  at: Date.UTC(2026, 10, 20, 12),
  visitor: { ip: '203.0.113.7', user_agent: CHROME, language: 'de-de', country: 'DE' },
  hints: { brands: BRANDS, mobile: '?0', platform: '"Windows"' },
  isHttps: true,
  visitorCode: '0190a1b2-0000-7000-8000-000000000001',
  campaignId: 'summer',
  affiliateId: 'a1',
  referrer: 'https://news.example.com/page',
  timeZone: 'Europe/Berlin',
  isTrap: false,
}

const score = (facts: ClickFacts, settings: FraudSettings = {}, offer?: OfferFraud) =>
  scoreClick(facts, compileFraud(settings, offer), emptyRateCounters)
const rulesOf = (verdict: { reasons: readonly { rule: string }[] }): string[] => verdict.reasons.map(({ rule }) => rule)
const withVisitor = (visitor: Partial<ClickFacts['visitor']>): ClickFacts => ({
  ...honest,
  visitor: { ...honest.visitor, ...visitor },
})

test('a person has no points and no reasons', () => {
  assert.deepEqual(score(honest), { score: 0, reasons: [], action: 'none' })
})

/** One click for each rule that needs no counters. */
const { user_agent: _, ...visitorWithoutAgent } = honest.visitor
const { language: __, ...visitorWithoutLanguage } = honest.visitor
const { referrer: ___, ...withoutReferrer } = honest
const lists: FraudSettings = { referrers: { allow: ['*.example.com'], deny: ['bad.example.com'] } }

const suspects: Partial<Record<ClickRuleName, readonly [ClickFacts, FraudSettings?]>> = {
  trap: [{ ...honest, isTrap: true }],
  known_bot: [withVisitor({ bot: 'user_agent' })],
  automation: [{ ...honest, hints: { ...honest.hints, brands: BRANDS.replace('Google Chrome', 'HeadlessChrome') } }],
  empty_user_agent: [{ ...honest, visitor: visitorWithoutAgent, hints: {} }],
  no_language: [{ ...honest, visitor: visitorWithoutLanguage }],
  datacentre: [withVisitor({ is_hosting: true })],
  proxy: [withVisitor({ is_proxy: true, is_hosting: true })],
  hint_platform: [{ ...honest, hints: { ...honest.hints, platform: '"Linux"' } }],
  hint_mobile: [{ ...honest, hints: { ...honest.hints, mobile: '?1' } }],
  hint_brand: [{ ...honest, hints: { ...honest.hints, brands: BRANDS.replaceAll('142', '120') } }],
  hints_missing: [{ ...honest, hints: {} }],
  language_country: [withVisitor({ language: 'vi-vn' })],
  zone_country: [{ ...honest, timeZone: 'Asia/Ho_Chi_Minh' }],
  referrer_denied: [{ ...honest, referrer: 'https://bad.example.com/' }, lists],
  referrer_not_allowed: [{ ...honest, referrer: 'https://elsewhere.test/' }, lists],
  referrer_missing: [withoutReferrer, lists],
}

for (const [rule, [facts, settings]] of Object.entries(suspects)) {
  test(`${rule}: ${clickRules[rule as ClickRuleName].sentence}`, () => {
    const verdict = score(facts, settings)
    assert.deepEqual(verdict.reasons, [{ rule, score: clickRules[rule as ClickRuleName].score }])
    const off = score(facts, { ...settings, scores: { [rule]: 0 } })
    assert.deepEqual(off, { score: 0, reasons: [], action: 'none' }, 'a rule with 0 points is off')
  })
}

const rates: FraudSettings['rates'] = {
  ip: { limit: 3, window_seconds: 60 },
  subnet: { limit: 3, window_seconds: 60 },
  visitor: { limit: 3, window_seconds: 60 },
  affiliate: { limit: 3, window_seconds: 60 },
}
/** What the clicks of a rate rule have in common; everything else differs. */
const floods: Partial<Record<ClickRuleName, (click: number) => Partial<ClickFacts>>> = {
  ip_rate: (click) => ({ visitorCode: `v${click}`, affiliateId: `a${click}`, campaignId: `c${click}` }),
  subnet_rate: (click) => ({
    ...withVisitor({ ip: `203.0.113.${click}` }),
    visitorCode: `v${click}`,
    affiliateId: `a${click}`,
  }),
  visitor_rate: (click) => ({
    ...withVisitor({ ip: `203.0.${click}.1` }),
    affiliateId: `a${click}`,
    campaignId: `c${click}`,
  }),
  affiliate_rate: (click) => ({ ...withVisitor({ ip: `203.0.${click}.1` }), visitorCode: `v${click}` }),
}

for (const [rule, clickOf] of Object.entries(floods)) {
  test(`${rule}: the clicks up to the limit are clean, the next one has the reason with its count`, () => {
    const counters = openRateCounters(createRateBoard(1, { cells: 1024, visits: 1024 }))
    // A flood from one address is one from its network too.
    const settings = compileFraud({ rates, scores: rule === 'ip_rate' ? { subnet_rate: 0 } : {} }, undefined)
    const verdicts = [1, 2, 3, 4].map((click) => scoreClick({ ...honest, ...clickOf(click) }, settings, counters))
    assert.deepEqual(verdicts.slice(0, 3).flatMap(rulesOf), [])
    assert.deepEqual(verdicts[3]!.reasons, [{ rule, score: clickRules[rule as ClickRuleName].score, detail: 4 }])
  })
}

test('duplicate: the second click of a visitor to a campaign within seconds, not to another campaign', () => {
  const counters = openRateCounters(createRateBoard(1, { cells: 1024, visits: 1024 }))
  const settings = compileFraud({ duplicate_seconds: 10 }, undefined)
  const rulesAt = (seconds: number, campaignId = 'summer') =>
    rulesOf(scoreClick({ ...honest, at: honest.at + seconds * 1000, campaignId }, settings, counters))
  assert.deepEqual(rulesAt(0), [])
  assert.deepEqual(rulesAt(1, 'winter'), [])
  assert.deepEqual(rulesAt(10), ['duplicate'])
  assert.deepEqual(rulesAt(20.001), [], 'counted from the last click')
})

test('every rule of a click has a test of its name here', () => {
  const tested = [...Object.keys(suspects), ...Object.keys(floods), 'duplicate']
  assert.deepEqual(tested.toSorted(), Object.keys(clickRules).toSorted())
})

test('points add up to 100 at most, and the hardest action whose threshold they reach is taken', () => {
  const bad = { ...withVisitor({ is_hosting: true }), hints: { ...honest.hints, mobile: '?1' } }
  const actionAt = (thresholds: FraudSettings['thresholds']) => score(bad, { thresholds: thresholds! }).action
  assert.equal(score(bad).score, 70)
  assert.equal(actionAt({ mark: 71 }), 'none')
  assert.equal(actionAt({ mark: 70 }), 'mark')
  assert.equal(actionAt({ mark: 10, divert: 70 }), 'divert')
  assert.equal(actionAt({ mark: 10, divert: 20, refuse: 70 }), 'refuse')
  assert.equal(score({ ...bad, isTrap: true }).score, 100)
})

test('by default a click is marked and never diverted or refused', () => {
  assert.equal(score({ ...withVisitor({ bot: 'user_agent', is_hosting: true }), isTrap: true }).action, 'mark')
})

test('an offer overrides scores, thresholds, limits and lists of the installation', () => {
  const hosted = withVisitor({ is_hosting: true })
  const installation: FraudSettings = { scores: { datacentre: 50 }, thresholds: { refuse: 50 } }
  assert.equal(score(hosted, installation).action, 'refuse')
  assert.equal(score(hosted, installation, { thresholds: { refuse: 90 } }).action, 'mark')
  assert.equal(score(hosted, installation, { scores: { datacentre: 5 } }).score, 5)
  const denied: FraudSettings = { referrers: { deny: ['news.example.com'] } }
  assert.equal(score(honest, denied).score, 60)
  assert.equal(score(honest, denied, { referrers: { deny: [] } }).score, 0)
  const compiled = compileFraud({ rates }, { rates: { ip: { limit: 99 } } })
  assert.deepEqual(compiled.rates.ip, { limit: 99, window_seconds: 60 })
})

test('a rule that is off counts nothing', () => {
  const scores = { ip_rate: 0, subnet_rate: 0, visitor_rate: 0, affiliate_rate: 0, duplicate: 0 }
  const counters = {
    count: () => assert.fail('counted'),
    isRepeat: () => assert.fail('noted'),
  }
  assert.equal(scoreClick(honest, compileFraud({ scores }, undefined), counters).score, 0)
})
