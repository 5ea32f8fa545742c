import type { Role } from '#accounts'

import type { Fact } from './facts-of-world.ts'

type ClickFact = Extract<Fact, { kind: 'click' }>
type EventFact = Extract<Fact, { kind: 'event' }>
type ConversionFact = Extract<Fact, { kind: 'conversion' }>
type CostFact = Extract<Fact, { kind: 'cost' }>

/** What is looked at of each fact. */
export type Measure = {
  /** Whether a report that asks for it has a row for the fact's group. */
  readonly counts: (fact: Fact) => boolean
  /** What such a fact adds, undefined for nothing: to a sum, to the values of a spread. Distinct: what is told apart. */
  readonly adds: (fact: Fact, factorOf: FactorOf) => bigint | string | undefined
  /** Whether it adds micros times a factor. */
  readonly isMoney?: true
}

/** What amounts of a currency and time are multiplied with to be in the report's, in units of 10^-18; undefined: they are left out. */
export type FactorOf = (currency: string, atMs: number) => bigint | undefined
export const FACTOR_ONE: bigint = 10n ** 18n

/** What has come together in a group. */
export type Tally = Map<Measure, { sum: bigint; readonly values: bigint[]; readonly distinct: Set<string> }>

/** A number of a group before it is rounded and written: whole (a count, micros, milliseconds), or a quotient of whole ones; null
 * where there is nothing to divide by or no value.
 */
export type Cell = bigint | Quotient | null
export type Quotient = { readonly part: bigint; readonly whole: bigint }

/** A number in words of its own. */
export type ReferenceMetric = { readonly measures: readonly Measure[]; readonly cell: (tally: Tally) => Cell }

/** Puts a fact into a group. */
export function addToTally(tally: Tally, fact: Fact, measures: Iterable<Measure>, factorOf: FactorOf): void {
  for (const measure of measures) {
    if (!measure.counts(fact)) continue
    const added = measure.adds(fact, factorOf)
    if (added === undefined) continue
    const entry = tally.get(measure) ?? { sum: 0n, values: [], distinct: new Set<string>() }
    tally.set(measure, entry)
    if (typeof added === 'string') entry.distinct.add(added)
    else {
      entry.sum += added
      entry.values.push(added)
    }
  }
}

/** Puts all that one group has into another. */
export function mergeTally(into: Tally, from: Tally): void {
  for (const [measure, { sum: added, values, distinct }] of from) {
    const entry = into.get(measure) ?? { sum: 0n, values: [], distinct: new Set<string>() }
    into.set(measure, entry)
    entry.sum += added
    for (const value of values) entry.values.push(value)
    for (const one of distinct) entry.distinct.add(one)
  }
}

// What is counted.

function converted(micros: bigint, currency: string, atMs: number, factorOf: FactorOf): bigint | undefined {
  const factor = factorOf(currency, atMs)
  return factor === undefined ? undefined : micros * factor
}

/** Visitors sent on; requests of programs and links that lead nowhere are none. */
const isClick = (fact: Fact): fact is ClickFact =>
  fact.kind === 'click' && fact.click.class === 'click' && fact.click.outcome !== 'not_found'
const isConversion = (fact: Fact): fact is ConversionFact => fact.kind === 'conversion'
const isAccepted = (fact: Fact): fact is EventFact => fact.kind === 'event' && fact.refusal === undefined

const clicksWhere = (isAdded: (fact: ClickFact) => boolean): Measure => ({
  counts: isClick,
  adds: (fact) => (isAdded(fact as ClickFact) ? 1n : undefined),
})
const every = (counts: (fact: Fact) => boolean): Measure => ({ counts, adds: () => 1n })
const eventsOfType = (type: string): Measure => every((fact) => isAccepted(fact) && fact.event.type === type)

type Conversion = ConversionFact['conversion']
const conversionsWhere = (isAdded: (conversion: Conversion) => boolean): Measure => ({
  counts: isConversion,
  adds: (fact) => (isAdded((fact as ConversionFact).conversion) ? 1n : undefined),
})
const amountsWhere = (
  amount: 'revenueMicros' | 'payoutMicros' | 'saleAmountMicros',
  isAdded: (conversion: Conversion) => boolean,
): Measure => ({
  counts: isConversion,
  isMoney: true,
  adds(fact, factorOf) {
    const { conversion } = fact as ConversionFact
    return isAdded(conversion) ? converted(conversion[amount], conversion.currency, fact.at, factorOf) : undefined
  },
})

const clicks = clicksWhere(() => true)
const uniques = clicksWhere(({ click, seen }) =>
  click.campaign_id === undefined ? seen.isUniqueInOffer : seen.isUniqueInCampaign,
)
/** What clicks said themselves, and what imports say of them. */
const clickCost: Measure = {
  counts: isClick,
  isMoney: true,
  adds(fact, factorOf) {
    const { cost_micros = 0, currency = '' } = (fact as ClickFact).click
    return converted(BigInt(cost_micros), currency, fact.at, factorOf)
  },
}
const importedCost: Measure = {
  counts: (fact) => fact.kind === 'cost',
  isMoney: true,
  adds(fact, factorOf) {
    const { micros, currency } = (fact as CostFact).cost
    return converted(micros, currency, fact.at, factorOf)
  },
}
const opens = eventsOfType('open')
const lpClicks = eventsOfType('lp_click')

const isStanding = ({ status }: Conversion): boolean => status !== 'rejected'
const is = (status: Conversion['status']) => (conversion: Conversion) => conversion.status === status
const leads = conversionsWhere((one) => one.type === 'lead' && isStanding(one))
const sales = conversionsWhere((one) => one.type === 'sale' && isStanding(one))
const pending = conversionsWhere(is('pending'))
const approved = conversionsWhere(is('approved'))
const rejected = conversionsWhere(is('rejected'))
const revenue = amountsWhere('revenueMicros', is('approved'))
const payout = amountsWhere('payoutMicros', is('approved'))

const isApprovedSale = (one: Conversion): boolean => one.type === 'sale' && one.status === 'approved'
const saleAmount = amountsWhere('saleAmountMicros', isApprovedSale)
const salesWithAmount: Measure = {
  counts: isConversion,
  adds(fact, factorOf) {
    const { conversion } = fact as ConversionFact
    const hasAmount = conversion.saleAmountMicros !== 0n && factorOf(conversion.currency, fact.at) !== undefined
    return isApprovedSale(conversion) && hasAmount ? 1n : undefined
  },
}

/** Milliseconds from the click to the conversion. */
const timeToConversion: Measure = {
  counts: isConversion,
  adds(fact) {
    const { conversion, click } = fact as ConversionFact
    return isStanding(conversion) ? BigInt(conversion.at - click.at) : undefined
  },
}

/** Milliseconds on a page, where one that was left tells them. */
const timeOnPage: Measure = {
  counts: (fact) => isAccepted(fact) && (fact.event.time_on_page_ms ?? 0) > 0,
  adds: (fact) => BigInt((fact as EventFact).event.time_on_page_ms!),
}

// What is made of it.

type Sum = { readonly measures: readonly Measure[]; readonly of: (tally: Tally) => bigint }

/** Amounts are added up as exactly as they are multiplied, and rounded once, half away from zero. */
const sum = (measure: Measure): Sum => ({
  measures: [measure],
  of(tally) {
    const found = tally.get(measure)?.sum ?? 0n
    if (measure.isMoney !== true) return found
    const half = found < 0n ? -FACTOR_ONE : FACTOR_ONE
    return (2n * found + half) / (2n * FACTOR_ONE)
  },
})
const number = (measure: Measure): Sum => ({
  measures: [measure],
  of: (tally) => BigInt(tally.get(measure)?.values.length ?? 0),
})
const plus = (...sums: readonly Sum[]): Sum => ({
  measures: sums.flatMap(({ measures }) => measures),
  of: (tally) => sums.reduce((total, one) => total + one.of(tally), 0n),
})
const minus = (from: Sum, ...sums: readonly Sum[]): Sum => ({
  measures: [from, ...sums].flatMap(({ measures }) => measures),
  of: (tally) => from.of(tally) - plus(...sums).of(tally),
})

const total = ({ measures, of }: Sum): ReferenceMetric => ({ measures, cell: of })
const totalOf = (measure: Measure): ReferenceMetric => total(sum(measure))
const over = (part: Sum, whole: Sum): ReferenceMetric => ({
  measures: [...part.measures, ...whole.measures],
  cell(tally) {
    const divisor = whole.of(tally)
    return divisor === 0n ? null : { part: part.of(tally), whole: divisor }
  },
})
const different = (measure: Measure): ReferenceMetric => ({
  measures: [measure],
  cell: (tally) => BigInt(tally.get(measure)?.distinct.size ?? 0),
})

/** The smallest value that so many of a hundred values do not exceed. */
const percentile = (measure: Measure, percent: number): ReferenceMetric => ({
  measures: [measure],
  cell(tally) {
    const values = (tally.get(measure)?.values ?? []).toSorted((a, b) => Number(a - b))
    return values[Math.max(1, Math.ceil((values.length * percent) / 100)) - 1] ?? null
  },
})

const cost = plus(sum(clickCost), sum(importedCost))
const profit = minus(sum(revenue), sum(payout), cost)
const conversions = plus(sum(leads), sum(sales))

const listed: Readonly<Record<string, ReferenceMetric | ((role: Role) => ReferenceMetric)>> = {
  clicks: totalOf(clicks),
  uniques: totalOf(uniques),
  uniques_campaign: totalOf(clicksWhere(({ seen }) => seen.isUniqueInCampaign)),
  uniques_offer: totalOf(clicksWhere(({ seen }) => seen.isUniqueInOffer)),
  uniques_global: totalOf(clicksWhere(({ seen }) => seen.isUniqueAnywhere)),
  bots: totalOf(clicksWhere(({ click }) => click.bot !== undefined)),
  refused_clicks: totalOf(
    every((fact) => fact.kind === 'click' && fact.click.class === 'click' && fact.click.refusal !== undefined),
  ),
  opens: totalOf(opens),
  lp_clicks: totalOf(lpClicks),
  ctr: over(sum(lpClicks), sum(clicks)),
  lp_ctr: over(sum(lpClicks), sum(opens)),
  refused_events: totalOf(every((fact) => fact.kind === 'event' && fact.refusal !== undefined)),
  leads: totalOf(leads),
  sales: totalOf(sales),
  deposits: totalOf(conversionsWhere((one) => one.goal === 'deposit' && isStanding(one))),
  conversions: total(conversions),
  pending: totalOf(pending),
  approved: totalOf(approved),
  rejected: totalOf(rejected),
  approval_rate: over(sum(approved), plus(sum(approved), sum(pending), sum(rejected))),
  approval_rate_decided: over(sum(approved), plus(sum(approved), sum(rejected))),
  cr: over(conversions, sum(clicks)),
  cr_leads: over(sum(leads), sum(clicks)),
  cr_sales: over(sum(sales), sum(clicks)),
  cr_uniques: over(conversions, sum(uniques)),
  cr_lp_clicks: over(conversions, sum(lpClicks)),
  epc: (role) => over(sum(role === 'affiliate' ? payout : revenue), sum(clicks)),
  epl: (role) => over(sum(role === 'affiliate' ? payout : revenue), sum(leads)),
  revenue: totalOf(revenue),
  revenue_pending: totalOf(amountsWhere('revenueMicros', is('pending'))),
  payout: totalOf(payout),
  payout_pending: totalOf(amountsWhere('payoutMicros', is('pending'))),
  cost: total(cost),
  click_cost: totalOf(clickCost),
  imported_cost: totalOf(importedCost),
  cpc: over(cost, sum(clicks)),
  cpa: over(cost, conversions),
  profit: total(profit),
  roi: over(profit, plus(sum(payout), cost)),
  roas: over(sum(revenue), cost),
  margin: over(profit, sum(revenue)),
  sale_amount: totalOf(saleAmount),
  aov: over(sum(saleAmount), sum(salesWithAmount)),
  ttc_avg: over(sum(timeToConversion), number(timeToConversion)),
  ttc_p50: percentile(timeToConversion, 50),
  ttc_p90: percentile(timeToConversion, 90),
  ttc_p95: percentile(timeToConversion, 95),
  time_on_page_avg: over(sum(timeOnPage), number(timeOnPage)),
  time_on_page_p50: percentile(timeOnPage, 50),
  time_on_page_p90: percentile(timeOnPage, 90),
  time_on_page_p95: percentile(timeOnPage, 95),
}

const eventMetrics = new Map<string, ReferenceMetric>()

/** `event.kyc`: how many; `event_uniques.kyc`: clicks with one. */
function eventMetric(name: string): ReferenceMetric | undefined {
  const [, family, type] = /^(event|event_uniques)\.(.+)$/.exec(name) ?? []
  if (type === undefined) return undefined
  const known = eventMetrics.get(name)
  if (known !== undefined) return known
  const events = eventsOfType(type)
  const adds: Measure['adds'] = (fact) => (fact as EventFact).event.click_id
  const made = family === 'event' ? totalOf(events) : different({ ...events, adds })
  eventMetrics.set(name, made)
  return made
}

/** The definition of a metric; undefined where there is none. */
export function referenceMetric(name: string, role: Role): ReferenceMetric | undefined {
  const found = Object.hasOwn(listed, name) ? listed[name] : eventMetric(name)
  return typeof found === 'function' ? found(role) : found
}
