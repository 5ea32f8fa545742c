import { RuleLists } from '#rules'
import { fraudRuleNames, fraudRules, type FraudRuleName } from './fraud-rules.ts'
import { checkOwnRules, compileOwnRules, type CompiledOwnRule, type OwnRule } from './own-rules.ts'
import { fraudLimits } from './limits.ts'
import { rateKinds, type RateKind } from './rate-counters.ts'
import { compileReferrerList, type ReferrerList } from './referrer-list.ts'

/** Fraud settings of the installation, plain JSON. Whatever is left out is as `fraudDefaults` has it. */
export type FraudSettings = {
  /** Points of a rule, 0 to 100; 0 switches it off, and then it costs nothing. */
  readonly scores?: { readonly [rule in FraudRuleName]?: number }
  /** From how many points on a click is marked, sent elsewhere or refused; left out: never. */
  readonly thresholds?: ClickThresholds
  /** From how many points on a conversion is marked, held for a person to look at, or rejected; left out: never. */
  readonly conversion_thresholds?: ConversionThresholds
  /** Where diverted clicks go; left out: as refused ones, to the fallback. */
  readonly divert_to?: FraudDiversion
  /** More clicks within the window than the limit are a reason. */
  readonly rates?: { readonly [kind in RateKind]?: RateLimit }
  /** A second click of a visitor to the same campaign within so many seconds is a duplicate. */
  readonly duplicate_seconds?: number
  /** Hosts (`example.com`), hosts with all below (`*.example.com`) or named lists of such (`@name`). */
  readonly referrers?: { readonly allow?: readonly string[]; readonly deny?: readonly string[] }
  /** A conversion sooner or later after its click is a reason. */
  readonly ctit?: { readonly seconds_min?: number; readonly seconds_max?: number }
  /** More conversions than this within the window are a reason. The window is that of whoever counts them. */
  readonly conversions?: { readonly per_ip?: number; readonly per_device?: number; readonly window_hours?: number }
  /** Further signs in the language of flows; those of an offer replace those of the installation that have the same name. */
  readonly own_rules?: readonly OwnRule[]
}

/** What an offer sets otherwise than the installation. The windows of clicks are counted once for all offers and stay. */
export type OfferFraud = Omit<FraudSettings, 'rates' | 'duplicate_seconds'> & {
  readonly rates?: { readonly [kind in RateKind]?: { readonly limit: number } }
}

export type RateLimit = { readonly limit: number; readonly window_seconds: number }
export type ClickThresholds = { readonly mark?: number; readonly divert?: number; readonly refuse?: number }
export type ConversionThresholds = { readonly mark?: number; readonly hold?: number; readonly reject?: number }
export type FraudDiversion = { readonly offer_id: string } | { readonly url: string }

/** Without settings a click or conversion is only ever marked: nobody loses a visitor by an update. */
export const fraudDefaults = {
  thresholds: { mark: 30 } as ClickThresholds,
  conversion_thresholds: { mark: 30 } as ConversionThresholds,
  rates: {
    ip: { limit: 30, window_seconds: 60 },
    subnet: { limit: 200, window_seconds: 60 },
    visitor: { limit: 10, window_seconds: 60 },
    affiliate: { limit: 20_000, window_seconds: 60 },
  } as Readonly<Record<RateKind, RateLimit>>,
  duplicate_seconds: 10,
  ctit: { seconds_min: 3, seconds_max: 30 * 86_400 },
  conversions: { per_ip: 5, per_device: 2, window_hours: 24 },
} as const

/** The settings that hold for one offer, compiled once for a version of the configuration. */
export type CompiledFraud = {
  readonly scores: Readonly<Record<FraudRuleName, number>>
  readonly thresholds: Required<ClickThresholds>
  readonly conversionThresholds: Required<ConversionThresholds>
  readonly divertTo: FraudDiversion | undefined
  readonly rates: Readonly<Record<RateKind, RateLimit>>
  readonly duplicateSeconds: number
  readonly allowed: ReferrerList | undefined
  readonly denied: ReferrerList | undefined
  readonly ownClickRules: readonly CompiledOwnRule[]
  readonly ownConversionRules: readonly CompiledOwnRule[]
  readonly ctit: Required<NonNullable<FraudSettings['ctit']>>
  readonly conversions: Required<NonNullable<FraudSettings['conversions']>>
}

/** Puts the settings of the offer over those of the installation, and both over the defaults, entry by entry; a referrer list
 * or diversion of the offer replaces that of the installation. A named list of referrers that does not exist is empty.
 * @throws {InvalidRuleError} a rule of the operator that checkFraudSettings refuses
 */
export function compileFraud(
  installation: FraudSettings | undefined,
  offer: OfferFraud | undefined,
  lists: RuleLists = new RuleLists({}),
): CompiledFraud {
  const allow = offer?.referrers?.allow ?? installation?.referrers?.allow
  const deny = offer?.referrers?.deny ?? installation?.referrers?.deny
  const ownRules = [
    ...(installation?.own_rules ?? []).filter(({ name }) => !isNamed(offer?.own_rules, name)),
    ...(offer?.own_rules ?? []),
  ]
  const defaultScores = Object.fromEntries(fraudRuleNames.map((name) => [name, fraudRules[name].score]))
  return {
    scores: { ...defaultScores, ...installation?.scores, ...offer?.scores } as Record<FraudRuleName, number>,
    thresholds: {
      ...{ mark: NEVER, divert: NEVER, refuse: NEVER },
      ...fraudDefaults.thresholds,
      ...installation?.thresholds,
      ...offer?.thresholds,
    },
    conversionThresholds: {
      ...{ mark: NEVER, hold: NEVER, reject: NEVER },
      ...fraudDefaults.conversion_thresholds,
      ...installation?.conversion_thresholds,
      ...offer?.conversion_thresholds,
    },
    divertTo: offer?.divert_to ?? installation?.divert_to,
    rates: compileRates(installation, offer),
    duplicateSeconds: installation?.duplicate_seconds ?? fraudDefaults.duplicate_seconds,
    allowed: allow?.length ? compileReferrerList(allow, lists) : undefined,
    denied: deny?.length ? compileReferrerList(deny, lists) : undefined,
    ownClickRules: compileOwnRules(ownRules, 'click', lists),
    ownConversionRules: compileOwnRules(ownRules, 'conversion', lists),
    ctit: { ...fraudDefaults.ctit, ...installation?.ctit, ...offer?.ctit },
    conversions: { ...fraudDefaults.conversions, ...installation?.conversions, ...offer?.conversions },
  }
}

const isNamed = (rules: readonly OwnRule[] | undefined, name: string): boolean =>
  rules?.some((rule) => rule.name === name) ?? false

/** More points than there are. */
const NEVER = 101

function compileRates(installation?: FraudSettings, offer?: OfferFraud): CompiledFraud['rates'] {
  const rateOf = (kind: RateKind): RateLimit => ({
    ...(installation?.rates?.[kind] ?? fraudDefaults.rates[kind]),
    ...(offer?.rates?.[kind] && { limit: offer.rates[kind].limit }),
  })
  return { ip: rateOf('ip'), subnet: rateOf('subnet'), visitor: rateOf('visitor'), affiliate: rateOf('affiliate') }
}

/** A wrong value in fraud settings. */
export type FraudIssue = {
  /** Where, as keys and positions. */
  readonly path: readonly (string | number)[]
  /** What is wrong and what was expected, in a sentence or two. */
  readonly message: string
}

/** All wrong values in the settings of an installation or offer whose shape is right already; empty where there are none. */
export function checkFraudSettings(
  settings: FraudSettings | OfferFraud,
  lists: RuleLists = new RuleLists({}),
): FraudIssue[] {
  const issues: FraudIssue[] = []
  const expect = (isRight: boolean, path: readonly (string | number)[], expected: string): void => {
    if (!isRight) issues.push({ path, message: `Expected ${expected}.` })
  }
  const expectInteger = (value: number | undefined, min: number, max: number, ...path: (string | number)[]): void =>
    expect(value === undefined || isIntegerIn(value, min, max), path, `a whole number from ${min} to ${max}`)
  /** Of those that are given none is above a later one: what it asks for would never come about. */
  const expectRising = (values: Readonly<Record<string, number>> | undefined, names: string[], group: string): void => {
    const given = names.filter((name) => values?.[name] !== undefined)
    for (const [index, name] of given.slice(1).entries())
      expect(values![given[index]!]! <= values![name]!, [group, name], `no less than ${given[index]}`)
  }

  for (const [rule, score] of Object.entries(settings.scores ?? {})) {
    expect(Object.hasOwn(fraudRules, rule), ['scores', rule], `one of ${fraudRuleNames.join(', ')}`)
    expectInteger(score, 0, 100, 'scores', rule)
  }
  for (const group of ['thresholds', 'conversion_thresholds'] as const) {
    for (const [action, points] of Object.entries(settings[group] ?? {})) expectInteger(points, 1, 100, group, action)
  }
  expectRising(settings.thresholds, ['mark', 'divert', 'refuse'], 'thresholds')
  expectRising(settings.conversion_thresholds, ['mark', 'hold', 'reject'], 'conversion_thresholds')
  expectRising(settings.ctit, ['seconds_min', 'seconds_max'], 'ctit')
  for (const kind of rateKinds) {
    const rate: { limit?: number; window_seconds?: number } = settings.rates?.[kind] ?? {}
    expectInteger(rate.limit, 1, fraudLimits.clicksOfWindowMax, 'rates', kind, 'limit')
    expectInteger(rate.window_seconds, 1, fraudLimits.windowSecondsMax, 'rates', kind, 'window_seconds')
  }
  if ('duplicate_seconds' in settings) {
    expectInteger(settings.duplicate_seconds, 1, fraudLimits.windowSecondsMax, 'duplicate_seconds')
  }
  for (const side of ['allow', 'deny'] as const) {
    const entries = settings.referrers?.[side] ?? []
    const path = ['referrers', side] as const
    expect(entries.length <= fraudLimits.referrersMax, path, `at most ${fraudLimits.referrersMax} entries`)
    entries.forEach((entry, at) => {
      if (entry.startsWith('@')) expect(lists.has(entry.slice(1)), [...path, at], 'the name of a list')
      else expect(REFERRER_ENTRY.test(entry), [...path, at], 'a host such as example.com or *.example.com')
    })
  }
  expectInteger(settings.ctit?.seconds_min, 0, fraudLimits.ctitSecondsMinMax, 'ctit', 'seconds_min')
  expectInteger(settings.ctit?.seconds_max, 1, fraudLimits.ctitSecondsMaxMax, 'ctit', 'seconds_max')
  for (const [name, value] of Object.entries(settings.conversions ?? {})) {
    const max = name === 'window_hours' ? fraudLimits.conversionHoursMax : fraudLimits.conversionsLimitMax
    expectInteger(value, 1, max, 'conversions', name)
  }
  return [...issues, ...checkOwnRules(settings.own_rules ?? [], lists)]
}

const REFERRER_ENTRY = /^(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,10}$/i
const isIntegerIn = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max
