import fc from 'fast-check'
import { RuleFacts, type RuleFactsGiven } from './facts.ts'
import { opsOfKind, ruleFields, type RuleField } from './fields.ts'
import { RuleLists } from './lists.ts'
import type { Condition, Rule, RuleContext, RuleOp } from './rule.ts'
import { validateRule } from './validate-rule.ts'

/** Facts and rules for the tests of this module. Few values, so that rules hold about as often as not. */
export const testLists = new RuleLists({
  office: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'],
  words: ['US', 'Berlin', 'promo', 'example.com', '*.facebook.com', '@joe'],
})

export const AT = Date.UTC(2026, 2, 28, 12, 30)

/** Facts of a click from Berlin on Windows, with what is given in their place. */
export const testFacts = (given: Partial<RuleFactsGiven> = {}): RuleFacts =>
  new RuleFacts({ at: AT, visitor: {}, parameters: {}, assigned: {}, ...given })

const TEXTS = [
  'US',
  'DE',
  'Berlin',
  'KÖLN',
  'promo-7',
  'a b',
  '@joe',
  '@office',
  'not',
  '*',
  'x"y\\',
  'Ünï',
  '42',
  'true',
]
const HOSTS = ['example.com', 'www.facebook.com', 'facebook.com', 'notfacebook.com', 'm.facebook.com']
const VERSIONS = ['9', '10', '16.4', '16.40', '16.4.1', '17', '120.0.6099', 'XP', '10.0-beta', '16.0']
const ADDRESSES = ['10.1.2.3', '192.0.2.7', '8.8.8.8', '2001:db8::1', '2001:db9::1', '::ffff:10.0.0.1', 'nonsense', '']
const LANGUAGES = ['en', 'en-gb', 'en-us', 'eng', 'de', 'zh-hant-tw']

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined })
const text = fc.constantFrom(...TEXTS)
const micros = fc.constantFrom(0, 1, 500_000, 1_000_000, 2_500_000)

/** Only what is known: a field that is not has no key. */
const known = (model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Record<string, unknown>> =>
  fc.record(model, { requiredKeys: [] })

export const anyFacts: fc.Arbitrary<RuleFacts> = fc
  .record({
    at: fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2026, 11, 31) }),
    visitor: known({
      country: fc.constantFrom('US', 'DE', 'BR', 'XX'),
      region: text, city: text, isp: text, connection: text, user_agent: text,
      asn: fc.constantFrom(1, 3320, 15169),
      is_proxy: fc.constant(true), is_hosting: fc.constant(true),
      device_type: fc.constantFrom('mobile', 'desktop'),
      device_brand: text, device_model: text, os: text, browser: text,
      os_version: fc.constantFrom(...VERSIONS), browser_version: fc.constantFrom(...VERSIONS),
      language: fc.constantFrom(...LANGUAGES),
      bot: fc.constantFrom('user_agent', 'datacentre'),
      ip: fc.constantFrom(...ADDRESSES),
    }),
    parameters: known({
      sub1: text, sub2: text, sub30: text, utm_source: text, source_id: text, external_click_id: text,
      sub2_keys: fc.constantFrom({ geo: 'US' }, { geo: 'promo-7', dev: 'DE' }),
      referrer: fc.constantFrom(...HOSTS).map((host) => `https://${host}/a/US?x=1`),
      domain: fc.constantFrom(...HOSTS),
      cost_micros: micros, currency: fc.constantFrom('USD', 'EUR'),
    }),
    assigned: known({ affiliate_id: text, offer_id: text, campaign_id: text, link_code: text }),
    query: maybe(fc.constant((name: string) => (name === 'gclid' ? 'promo-7' : undefined))),
    isUnique: maybe(fc.constantFrom((scope: string) => scope === 'offer', () => true)),
    conversion: maybe(
      fc.record({
        at: fc.constant(AT), click_at: fc.constantFrom(AT - 90_000, AT - 500, undefined),
        type: fc.constantFrom('sale', 'lead', undefined), goal: maybe(text),
        status: fc.constantFrom('approved', 'pending', undefined),
        payout_micros: maybe(micros), revenue_micros: maybe(micros), sale_amount_micros: maybe(micros),
        currency: fc.constantFrom('USD', undefined),
      }),
    ),
  })
  .map((given) => new RuleFacts(given as unknown as RuleFactsGiven)) // prettier-ignore

const dates = ['2026-03-29', '2026-03-29T02:30 Europe/Berlin', '2026-06-01T00:00Z', '2026-10-25 America/New_York']
const tables = [
  'Mon-Fri 09:00-18:00 Europe/Berlin',
  'Sat,Sun',
  '22:00-06:00 America/New_York',
  'Fri-Mon 20:00-04:00,12:00-13:00 UTC',
  'sun 23:00-24:00 Asia/Kathmandu',
]

function valueFor(field: RuleField, op: RuleOp): fc.Arbitrary<unknown> {
  if (op === 'exists') return fc.boolean()
  if (op === 'matches') return fc.constantFrom('^pro', 'b.r', '(?-i)US', '/a/', '\\d+$', 'a\\/U', '[^a-z]')
  if (op === 'contains' || op === 'starts_with' || op === 'ends_with')
    return fc.constantFrom('o', 'pro', '7', 'US', '@joe', '@words', '@@joe', ' ')
  switch (field.kind) {
    case 'word':
      if (field.words !== undefined) return fc.constantFrom(...field.words)
      return field.name === 'currency' ? fc.constantFrom('USD', 'EUR') : fc.constantFrom('US', 'DE', 'BR')
    case 'number':
      return fc.constantFrom(1, 3320, '15169', 0.5, 90, -4)
    case 'money':
      return fc.constantFrom('0.5', 1, '2.50', 0, 0.000001)
    case 'version':
      return op === 'between'
        ? fc.constantFrom('9', 10, '16.4', '17', '16.4.1')
        : fc.constantFrom(...VERSIONS.filter((one) => one !== '10.0-beta'), 16)
    case 'flag':
      return fc.boolean()
    case 'reason':
      return fc.constantFrom(true, false, 'any', 'none', 'datacentre')
    case 'address':
      return fc.constantFrom(
        '10.0.0.0/8',
        '192.0.2.7',
        '2001:db8::/32',
        '::/0',
        '0.0.0.0/0',
        '::ffff:10.0.0.0/120',
        '@office',
      )
    case 'time':
      return fc.constantFrom(...(op === 'between' ? dates : tables))
    case 'scope':
      return fc.constantFrom('campaign', 'offer', 'global')
    case 'host':
      return fc.constantFrom(...HOSTS, '*.facebook.com', '*.com')
    case 'language':
      return fc.constantFrom(...LANGUAGES, 'zh')
    default:
      return fc.constantFrom(...TEXTS.filter((one) => one !== '@office'), '@words', '@@office', 42)
  }
}

const names = [...ruleFields.map(({ name }) => name), 'sub2.geo', 'query.gclid', 'query.a[b]']

/** Conditions as somebody may write them: not yet in the stored form, not all of them valid. */
export const anyCondition = (find: (name: string) => RuleField | undefined): fc.Arbitrary<Condition> =>
  fc
    .constantFrom(...names)
    .chain((name) => {
      const field = find(name)!
      return fc.constantFrom(...opsOfKind[field.kind]).chain((op): fc.Arbitrary<unknown> => {
        const one = valueFor(field, op)
        if (op === 'in' || op === 'not_in')
          return fc.array(one, { minLength: 1, maxLength: 4 }).map((value) => ({ field: name, op, value }))
        if (op === 'between')
          return fc.tuple(fc.option(one), fc.option(one)).map((value) => ({ field: name, op, value }))
        return one.map((value) => ({ field: name, op, value }))
      })
    })
    .map((condition) => condition as Condition)

/** Rules in the stored form, of any field of a context; `wild` besides, where given. */
export function anyRule(find: (name: string) => RuleField | undefined, context: RuleContext): fc.Arbitrary<Rule> {
  const leaf = anyCondition(find)
    .map((condition) => validateRule(condition, 'rule', { context, lists: testLists }))
    .filter((verdict) => verdict.kind === 'valid')
    .map((verdict) => verdict.rule)
  return fc.letrec<{ rule: Rule }>((tie) => ({
    rule: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      fc.array(tie('rule'), { minLength: 1, maxLength: 4 }).map((all) => ({ all })),
      fc.array(tie('rule'), { minLength: 1, maxLength: 4 }).map((any) => ({ any })),
      tie('rule').map((not) => ({ not })),
    ),
  })).rule
}
