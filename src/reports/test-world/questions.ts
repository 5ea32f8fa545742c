import fc from 'fast-check'

import type { Tenant } from '#accounts'

import { visibleDimensions, visibleMetrics } from '../index.ts'
import type { Having, Question } from './reference.ts'
import { FACTOR_ONE } from './reference-metrics.ts'

/** Everybody who may ask in a world. */
export const worldTenants: readonly Tenant[] = [
  { role: 'owner' },
  { role: 'advertiser', advertiserId: 'acme' },
  { role: 'advertiser', advertiserId: 'brand' },
  { role: 'affiliate', affiliateId: 'ann' },
  { role: 'affiliate', affiliateId: 'bert', advertiserId: 'acme' },
]

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Asia/Kathmandu', 'Australia/Lord_Howe']

/** A part of a question that one in three has. */
const sometimes = <Value>(part: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: part })

/** Rules that every table can answer and everybody may ask. */
const CONDITIONS = [
  'country in (DE, TR)', 'country exists', 'not sub1 exists', 'sub1 contains "--"', 'sub2.geo is TR',
  'continent is EU', 'language is en', 'campaign_id is spring', 'affiliate_id is not ann', 'device_type in (mobile, tablet)',
  'time in "Mon-Fri 09:00-18:00 Europe/Berlin"', 'time in "Sat,Sun"',
] // prettier-ignore
/** Rules that an affiliate may not ask. */
const HIDDEN_CONDITIONS = ['bot is none', 'is_proxy is false', 'not bot is datacentre']

const ruleTexts = (conditions: readonly string[]): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom(...conditions), fc.constantFrom('and', 'or', 'and not'), fc.constantFrom(...conditions))
    .map(([one, word, other]) => `(${one}) ${word} (${other})`)

const VALUES: Readonly<Record<string, readonly string[]>> = {
  asn: ['3320', ''],
  hour_of_day: ['0', '1', '2', '3', '22'],
  weekday: ['1', '7'],
  referrer_host: ['news.example', ''],
  country: ['DE', '', 'US'],
  sub1: ['a', '', 'c;--'],
  'sub2.geo': ['TR', ''],
  campaign_id: ['spring', '', 'winter'],
  advertiser_id: ['acme', 'brand'],
  os: ['Android', ''],
}
/** Dimensions that some kinds of facts do not know, too: a row that stands under a value of theirs can be opened. */
const OPENED: Readonly<Record<string, readonly string[]>> = {
  ...VALUES,
  status: ['approved', 'rejected', ''],
  conversion_type: ['sale', ''],
  outcome: ['redirected', ''],
  event_type: ['open', ''],
}

const chosenOf = (values: Readonly<Record<string, readonly string[]>>): fc.Arbitrary<Record<string, string[]>> =>
  fc
    .subarray(Object.keys(values), { maxLength: 2 })
    .chain((names) =>
      fc
        .tuple(...names.map((name) => fc.subarray([...values[name]!], { minLength: 1 })))
        .map((chosen) => Object.fromEntries(names.map((name, index) => [name, chosen[index]!]))),
    )
const chosen = chosenOf(VALUES)

const EVENT_METRICS = ['event.kyc', 'event.lp_leave', 'event_uniques.open', 'event_uniques.deposit']

const havings = (measures: readonly string[]): fc.Arbitrary<Having> =>
  fc.record({
    word: fc.constantFrom('and', 'or'),
    conditions: fc.array(
      fc.record({
        metric: fc.constantFrom(...measures),
        op: fc.constantFrom('<', '>=', '='),
        thousandths: fc.constantFrom(0n, 250n, 500n, 1_000n, 2_000n, 5_500n, 60_000n),
        isNegated: fc.boolean(),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  })

/** Units for one euro. */
const PER_EURO: Readonly<Record<string, number>> = { EUR: 1_000_000, USD: 1_083_400, TRY: 34_712_345 }
const RATES_FROM = Date.UTC(2025, 10, 1)
const RATE_DAYS = 500
const DAY_MS = 86_400_000

/** Rates that change with each day, with gaps. */
export function ratesTo(target: string): ReadonlyMap<string, bigint> {
  const rates = new Map<string, bigint>()
  for (const currency of Object.keys(PER_EURO))
    for (let day = 0; day < RATE_DAYS; day++) {
      const date = new Date(RATES_FROM + day * DAY_MS).toISOString().slice(0, 10)
      const perEuro = (one: string): bigint => BigInt(one === 'EUR' ? PER_EURO[one]! : PER_EURO[one]! + day * 137)
      if (currency !== target && day % 7 !== 3)
        rates.set(`${currency} ${date}`, (perEuro(target) * FACTOR_ONE) / perEuro(currency))
    }
  return rates
}

/** Any question that a tenant may ask of a world with these days. */
export function questionsOf({ role }: Tenant, days: readonly string[]): fc.Arbitrary<Question> {
  const names = [...visibleDimensions(role).map(({ name }) => name), 'sub2.geo', 'sub2.dev']
  const measures = [...visibleMetrics(role).map(({ name }) => name), ...EVENT_METRICS]
  const ranges = fc
    .tuple(fc.nat(days.length - 1), fc.nat(days.length - 1))
    .map(([a, b]) => ({ from: days[Math.min(a, b)]!, to: days[Math.max(a, b)]! }))
  return fc
    .record({
      range: ranges,
      tz: fc.constantFrom(...ZONES),
      currency: fc.constantFrom('EUR', 'USD', 'TRY'),
      group_by: fc
        .subarray(names, { maxLength: 6 })
        .chain((some) => fc.shuffledSubarray(some, { minLength: some.length })),
      metrics: fc.oneof(
        { weight: 1, arbitrary: fc.constant(measures) },
        { weight: 4, arbitrary: fc.subarray(measures, { minLength: 1, maxLength: 8 }) },
      ),
      time: fc.constantFrom('event', 'click'),
      having: sometimes(havings(measures)),
      compare: sometimes(ranges),
      hasRates: fc.nat(2).map((dice) => dice === 0),
      only: sometimes(chosen).map((values = {}) => values),
      not: sometimes(chosen).map((values = {}) => values),
      parent: sometimes(chosenOf(OPENED)).map((values = {}) => values),
      filter: sometimes(ruleTexts(role === 'affiliate' ? CONDITIONS : [...CONDITIONS, ...HIDDEN_CONDITIONS])),
    })
    .map(({ range, having, hasRates, ...question }) => ({
      ...question,
      ...range,
      rates: hasRates ? ratesTo(question.currency) : undefined,
      // It chooses among the rows of a grouping.
      having: question.group_by.length === 0 ? undefined : having,
    }))
}
