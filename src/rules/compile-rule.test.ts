import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRule, MET, ruleCompiler } from './compile-rule.ts'
import { InvalidRuleError } from './errors.ts'
import { ruleFields, SLOTS } from './fields.ts'
import { evaluateRule } from './evaluate-rule.ts'
import { RuleLists } from './lists.ts'
import { parseRule } from './parse-rule.ts'
import type { Rule, RuleContext } from './rule.ts'
import { AT, testFacts, testLists } from './test-rules.ts'
import { continentOf, countriesOfContinent } from './continents.ts'
import { testRule } from './test-rule.ts'

const visitor = {
  country: 'DE', region: 'Bavaria', city: 'Köln', asn: 3320, isp: 'Deutsche Telekom', os: 'Android', os_version: '16.4.1',
  browser: 'Chrome', browser_version: '120.0.6099', device_type: 'mobile', device_brand: 'Samsung', device_model: 'SM-G991B',
  language: 'en-gb', is_hosting: true, ip: '10.1.2.3', user_agent: 'Mozilla/5.0', bot: 'datacentre', connection: 'wifi',
} as const // prettier-ignore
const parameters = {
  sub1: 'Promo-7', sub2: 'geo-TR|dev-mobile', sub2_keys: { geo: 'TR' }, sub30: 'last', utm_source: 'fb', utm_medium: 'cpc',
  utm_campaign: 'summer', utm_term: 'shoes', utm_content: 'red', source_id: 'src', ad_campaign_id: 'ac1', creative_id: 'cr1',
  external_click_id: 'ext', referrer: 'https://m.Facebook.com:443/a/B?x=1#y', domain: 'go.example.com', cost_micros: 250_000,
  currency: 'USD',
} as const // prettier-ignore
const assigned = {
  affiliate_id: 'ann', advertiser_id: 'acme', campaign_id: 'camp', flow_id: 'fl', offer_id: 'off', landing_id: 'land',
  link_code: 'abc',
} // prettier-ignore
const conversion = {
  at: AT, click_at: AT - 90_500, type: 'sale', goal: 'deposit', status: 'approved', payout_micros: 1_500_000,
  revenue_micros: 2_000_000, sale_amount_micros: 30_000_000, currency: 'EUR',
} // prettier-ignore
const given = {
  visitor,
  parameters,
  assigned,
  query: (name: string) => (name === 'fbclid' ? 'IwAR0' : undefined),
  isUnique: (scope: string) => scope !== 'global',
}
const click = testFacts(given)
const converted = testFacts({ ...given, conversion })

function isMet(text: string, context: RuleContext = 'click'): boolean {
  const parsed = parseRule(text, { context, lists: testLists })
  assert.equal(parsed.kind, 'parsed', `${text}: ${JSON.stringify(parsed)}`)
  return (
    parsed.kind === 'parsed' && compileRule(parsed.rule, testLists)(context === 'click' ? click : converted) === MET
  )
}

/** One rule that is met and one that is not, for every field. */
const ofFields: Readonly<Record<string, readonly [string, string]>> = {
  country: ['country is DE', 'country in (US, GB)'],
  region: ['region is bavaria', 'region is Berlin'],
  city: ['city is KÖLN', 'city contains berlin'],
  continent: ['continent is EU', 'continent in (NA, SA)'],
  asn: ['asn between 3000 and 4000', 'asn is 3209'],
  isp: ['isp contains telekom', 'isp is Telekom'],
  connection: ['connection is WiFi', 'connection is cellular'],
  is_proxy: ['not is_proxy', 'is_proxy'],
  is_hosting: ['is_hosting', 'is_hosting is false'],
  device_type: ['device_type is mobile', 'device_type is desktop'],
  device_brand: ['device_brand is samsung', 'device_brand is Apple'],
  device_model: ['device_model starts with sm-', 'device_model ends with sm-'],
  os: ['os is android', 'os is iOS'],
  os_version: ['os_version between 16 and 16.4', 'os_version between 16.5 and *'],
  browser: ['browser is chrome', 'browser is not chrome'],
  browser_version: ['browser_version between 100 and 120', 'browser_version between 9 and 13'],
  language: ['language is en', 'language is en-us'],
  user_agent: ['user_agent starts with mozilla', 'user_agent contains bot'],
  bot: ['bot is any', 'bot is none'],
  ip: ['ip in @office', 'ip in (192.0.2.0/24, ::1)'],
  referrer: ['referrer contains facebook.com', 'referrer contains google'],
  referrer_host: ['referrer_host is *.facebook.com', 'referrer_host is facebook.com'],
  referrer_path: ['referrer_path is /a/b', 'referrer_path is /'],
  utm_source: ['utm_source is fb', 'utm_source is tt'],
  utm_medium: ['utm_medium is cpc', 'utm_medium not exists'],
  utm_campaign: ['utm_campaign matches /^sum+er$/', 'utm_campaign matches /^winter/'],
  utm_term: ['utm_term is shoes', 'utm_term is hats'],
  utm_content: ['utm_content is red', 'utm_content is blue'],
  source_id: ['source_id is src', 'source_id is other'],
  ad_campaign_id: ['ad_campaign_id is ac1', 'ad_campaign_id is ac2'],
  creative_id: ['creative_id is cr1', 'creative_id is cr2'],
  external_id: ['external_id exists', 'external_id is x'],
  affiliate_id: ['affiliate_id in (ann, bob)', 'affiliate_id is bob'],
  advertiser_id: ['advertiser_id is acme', 'advertiser_id is other'],
  campaign_id: ['campaign_id is camp', 'campaign_id is other'],
  flow_id: ['flow_id is fl', 'flow_id is other'],
  offer_id: ['offer_id is off', 'offer_id is other'],
  landing_id: ['landing_id is land', 'landing_id is other'],
  link_code: ['link_code is ABC', 'link_code is abd'],
  domain: ['domain is *.example.com', 'domain is example.com'],
  time: ['time in "Sat 13:00-14:00 Europe/Berlin"', 'time between "2026-03-29" and *'],
  unique: ['unique is campaign', 'unique is global'],
  cost: ['cost between 0.2 and 0.3', 'cost is 0.3'],
  currency: ['currency is USD', 'currency is EUR'],
  type: ['type is sale', 'type is lead'],
  status: ['status in (approved, pending)', 'status is rejected'],
  goal: ['goal is deposit', 'goal is reg'],
  payout: ['payout is 1.50', 'payout between * and 1'],
  revenue: ['revenue between 2 and 2', 'revenue is 1.5'],
  amount: ['amount between 20 and *', 'amount is not 30'],
  ctit_seconds: ['ctit_seconds between 90 and 91', 'ctit_seconds between * and 15'],
  'sub2.': ['sub2.geo is tr', 'sub2.dev exists'],
  'query.': ['query.fbclid starts with iwar', 'query.gclid exists'],
}

test('every field is read from its place', () => {
  const names = ruleFields.map(({ name }) => name).filter((name) => !/^sub\d/.test(name))
  assert.deepEqual(Object.keys(ofFields).toSorted(), [...names, 'sub2.', 'query.'].toSorted())
  for (const [name, [met, unmet]] of Object.entries(ofFields)) {
    const field = ruleFields.find((one) => one.name === name)
    const context = field === undefined || field.contexts.includes('click') ? 'click' : field.contexts[0]!
    assert.ok(isMet(met, context), met)
    assert.ok(!isMet(unmet, context), unmet)
  }
  for (const [number, value] of [
    [1, 'promo-7'],
    [30, 'last'],
  ] as const)
    // prettier-ignore
    assert.ok(isMet(`sub${number} is ${value}`))
  assert.ok(isMet('currency is EUR', 'conversion'))
})

test('no field shares the place of its lower-case text with another', () => {
  const slots = ruleFields.flatMap((field) => ('slot' in field && field.slot !== undefined ? [field.slot] : []))
  assert.equal(new Set(slots).size, slots.length)
  assert.equal(slots.length, SLOTS)
})

test('every comparison, and its opposite', () => {
  const pairs = [
    ['sub1 is PROMO-7', 'sub1 is not promo-7'],
    ['sub1 in (x, promo-7)', 'sub1 not in (promo-7, x)'],
    ['sub1 contains mo-', 'sub1 contains xx'],
    ['sub1 contains (zz, mo-)', 'sub1 contains (zz, yy)'],
    ['sub1 starts with pro', 'sub1 starts with romo'],
    ['sub1 ends with -7', 'sub1 ends with -'],
    ['sub1 matches /^p.*\\d$/', 'sub1 matches /^\\d/'],
    ['sub1 exists', 'sub1 not exists'],
    ['asn in (1, 3320)', 'asn not in (1, 3320)'],
    ['ip is 10.0.0.0/8', 'ip not in @office'],
    ['bot is datacentre', 'bot is user_agent'],
    ['unique in (global, offer)', 'unique is not offer'],
  ] as const
  for (const [met, unmet] of pairs) {
    assert.ok(isMet(met), met)
    assert.ok(!isMet(unmet), unmet)
  }
})

test('versions are compared by number, a bound takes every version that begins with it', () => {
  const at = (version: string, rule: string): boolean => {
    const parsed = parseRule(rule, { context: 'click' })
    const facts = testFacts({ visitor: { os_version: version } })
    return parsed.kind === 'parsed' && compileRule(parsed.rule)(facts) === MET
  }
  assert.ok(at('9', 'os_version between * and 10'))
  assert.ok(at('16.4', 'os_version between 16 and 17'))
  assert.ok(at('17.9.9', 'os_version between 16 and 17'))
  assert.ok(!at('18', 'os_version between 16 and 17'))
  assert.ok(at('16.10', 'os_version between 16.9 and *'))
  assert.ok(at('16.4.1', 'os_version is 16.4'))
  assert.ok(!at('16.40', 'os_version is 16.4'))
  assert.ok(at('16', 'os_version is 16.0'))
  assert.ok(at('XP', 'os_version is xp'))
  assert.ok(!at('XP', 'os_version between 1 and *'))
  assert.ok(at('10.0-beta', 'os_version between 10 and 10'))
})

test('what is not known is empty, is nothing of what it could be, and lies between nothing', () => {
  const nothing = testFacts()
  const isMetBy = (rule: Rule): boolean => compileRule(rule, testLists)(nothing) === MET
  assert.ok(isMetBy({ field: 'region', op: 'is', value: '' }))
  assert.ok(isMetBy({ field: 'country', op: 'is_not', value: 'DE' }))
  assert.ok(isMetBy({ field: 'is_proxy', op: 'is', value: false }))
  assert.ok(isMetBy({ field: 'ip', op: 'not_in', value: ['::/0', '0.0.0.0/0'] }))
  for (const field of ['asn', 'cost', 'os_version'])
    assert.ok(!isMetBy({ field, op: 'between', value: [field === 'asn' ? 0 : '0', null] }), field)
  assert.ok(!isMetBy({ field: 'unique', op: 'is', value: 'campaign' }))
  assert.ok(!isMetBy({ field: 'sub2.geo', op: 'exists', value: true }))
  assert.ok(!isMetBy({ field: 'query.x', op: 'exists', value: true }))
  assert.ok(!isMetBy({ field: 'sub2.constructor', op: 'exists', value: true }))
})

test('bot asks for any reason with true and false, for one reason with its name', () => {
  const bot = testFacts({ visitor: { bot: 'datacentre' } })
  assert.equal(compileRule({ field: 'bot', op: 'is', value: true })(bot), MET)
  assert.equal(compileRule({ field: 'bot', op: 'is', value: 'datacentre' })(bot), MET)
  assert.notEqual(compileRule({ field: 'bot', op: 'is', value: false })(bot), MET)
  assert.equal(compileRule({ field: 'bot', op: 'is_not', value: true })(testFacts()), MET)
})

test('trees combine, and the answer names the part that was not met', () => {
  const evaluate = (rule: Rule): number => compileRule(rule)(click)
  const german: Rule = { field: 'country', op: 'is', value: 'DE' }
  const apple: Rule = { field: 'os', op: 'is', value: 'iOS' }
  assert.equal(evaluate({ all: [german, apple] }), 2)
  assert.equal(evaluate({ any: [apple, { not: german }] }), 0)
  assert.equal(evaluate({ all: [german, { not: german }] }), 2)
  assert.equal(evaluate({ all: [{ any: [apple, german] }, german, apple] }), 5)
  assert.equal(evaluate({ all: [german, { any: [apple, { not: apple }] }] }), MET)
  assert.equal(evaluate({ all: [] }), MET)
  assert.equal(evaluate({ any: [] }), 0)
})

test('uniqueness and parameters are looked up only where a rule gets to ask', () => {
  let asked = 0
  const facts = testFacts({ isUnique: () => ++asked > 0, query: () => String(++asked) })
  const rule: Rule = {
    any: [
      { field: 'country', op: 'is_not', value: 'DE' },
      { field: 'unique', op: 'is', value: 'offer' },
      { field: 'query.a', op: 'exists', value: true },
    ],
  }
  compileRule(rule)(facts)
  assert.equal(asked, 0)
})

test('texts that begin with @ name a list where there are lists, else themselves', () => {
  const joe = testFacts({ parameters: { sub1: '@joe' } })
  assert.equal(compileRule({ field: 'sub1', op: 'is', value: '@joe' })(joe), MET)
  assert.equal(compileRule({ field: 'sub1', op: 'is', value: '@@joe' }, testLists)(joe), MET)
  assert.equal(compileRule({ field: 'sub1', op: 'in', value: ['@words'] }, testLists)(joe), MET)
  assert.throws(() => compileRule({ all: [{ field: 'sub1', op: 'in', value: ['@joe'] }] }, testLists), {
    name: 'Error',
    message: 'rule.all[0].value: There is no list "joe".',
  })
  assert.throws(() => compileRule({ field: 'contry', op: 'is', value: 'DE' }), InvalidRuleError)
})

test('a continent has its countries, a country one continent', () => {
  assert.equal(continentOf('DE'), 'EU')
  assert.equal(continentOf('XX'), undefined)
  const all = ['AF', 'AN', 'AS', 'EU', 'NA', 'OC', 'SA'].flatMap(countriesOfContinent)
  assert.equal(new Set(all).size, all.length)
  assert.ok(all.length >= 249 && all.every((country) => countriesOfContinent(continentOf(country)!).includes(country)))
})

test('a tested rule shows what was seen', () => {
  const seen = (field: string): unknown => {
    const tested = testRule({ field, op: 'exists', value: true }, converted)
    return tested.kind === 'condition' ? tested.seen : undefined
  }
  assert.equal(seen('city'), 'Köln')
  assert.equal(seen('cost'), '0.25')
  assert.equal(seen('time'), '2026-03-28T12:30:00.000Z')
  assert.deepEqual(seen('unique'), ['campaign', 'offer'])
  assert.equal(seen('ctit_seconds'), 90.5)
  assert.equal(seen('query.nothing'), null)
})

test('a text is searched for each of many parts as it is written, whatever it means in a pattern', () => {
  const facts = testFacts({ parameters: { sub1: 'a.b', sub2: 'x|y', sub3: 'C:\\d+' } })
  const search = (field: string, op: 'contains' | 'starts_with' | 'ends_with', value: readonly string[]): boolean =>
    compileRule({ field, op, value })(facts) === MET
  assert.equal(search('sub1', 'contains', ['a.b', 'zz']), true)
  assert.equal(search('sub1', 'contains', ['a+b', 'a[.]b', '^a', '.*']), false)
  assert.equal(search('sub2', 'ends_with', ['|y', '(']), true)
  assert.equal(search('sub2', 'starts_with', ['y', '|']), false)
  assert.equal(search('sub3', 'contains', ['\\d+', 'none']), true)
  assert.equal(
    search(
      'sub3',
      'contains',
      Array.from({ length: 1_000 }, (_, index) => `none-${index}`),
    ),
    false,
  )
  assert.equal(
    search('sub3', 'ends_with', [...Array.from({ length: 1_000 }, (_, index) => `none-${index}`), 'd+']),
    true,
  )
  assert.equal(search('sub9', 'contains', ['a', 'b']), false)
})

test('a search for the parts of an empty list finds nothing', () => {
  const lists = new RuleLists({ empty: [] })
  assert.notEqual(compileRule({ field: 'sub1', op: 'contains', value: '@empty' }, lists)(testFacts()), MET)
})

test('a list of networks may write their numbers with AS', () => {
  const lists = new RuleLists({ networks: ['AS3320', '680'] })
  const rule: Rule = { field: 'asn', op: 'in', value: ['@networks'] }
  assert.equal(compileRule(rule, lists)(click), MET)
  assert.ok(evaluateRule(rule, click, lists))
  assert.notEqual(compileRule(rule, lists)(testFacts({ visitor: { asn: 3321 } })), MET)
})

test('rules that are equal are compiled once', () => {
  const compile = ruleCompiler(testLists)
  const rule = (): Rule => ({ all: [{ field: 'country', op: 'in', value: ['DE', 'AT'] }] })
  assert.equal(compile(rule()), compile(rule()))
  assert.notEqual(compile(rule()), compile({ field: 'country', op: 'in', value: ['AT', 'DE'] }))
})
