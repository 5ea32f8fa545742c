import type { Tenant } from '#accounts'
import { compileRule, MET, parseRule, RuleFacts, type CompiledRule } from '#rules'

import { findMetric } from '../metrics.ts'
import { factsOf, isOwn, type Fact } from './facts-of-world.ts'
import type { Happened } from './read-log.ts'
import { referenceDimension } from './reference-dimensions.ts'
import { FACTOR_ONE, addToTally, mergeTally, referenceMetric, type Cell, type Measure, type ReferenceMetric, type Tally } from './reference-metrics.ts' // prettier-ignore

/** A report as it is asked for. */
export type Question = {
  /** First and last day, both included, in the zone. */
  readonly from: string
  readonly to: string
  readonly tz: string
  readonly currency: string
  readonly group_by: readonly string[]
  readonly metrics: readonly string[]
  readonly only: Readonly<Record<string, readonly string[]>>
  readonly not: Readonly<Record<string, readonly string[]>>
  /** Of the row that is opened; what does not know a dimension stands under its empty value. */
  readonly parent: Readonly<Record<string, readonly string[]>>
  /** A rule in its text form. */
  readonly filter?: string | undefined
  /** Whether things count when they happened or when their click did. */
  readonly time: 'event' | 'click'
  readonly having?: Having | undefined
  /** First and last day of a period to compare with, under the days of the report. */
  readonly compare?: { readonly from: string; readonly to: string } | undefined
  /** Factors by currency and day (UTC), as `USD 2026-11-01`; undefined: other currencies are left out. */
  readonly rates?: ReadonlyMap<string, bigint> | undefined
}

/** Which groups there are. Amounts in units of the currency, times in seconds. */
export type Having = {
  readonly word: 'and' | 'or'
  readonly conditions: readonly {
    readonly metric: string
    readonly op: '<' | '>=' | '='
    /** Thousandths. */
    readonly thousandths: bigint
    readonly isNegated: boolean
  }[]
}

export type Cells = Readonly<Record<string, Cell>>
/** The cells of a group, and those of the compared period. */
export type ExpectedRow = { readonly now: Cells; readonly before: Cells | undefined }

export type Expected = {
  /** By the values of group_by, as JSON. */
  readonly groups: ReadonlyMap<string, ExpectedRow>
  /** Of all groups that are there. */
  readonly totals: ExpectedRow
}

/** Answers a report by looking at every fact once, without a database. */
export function answerSlowly(happened: Happened, tenant: Tenant, question: Question): Expected {
  const slow = new SlowReport(tenant, question)
  for (const fact of factsOf(happened)) slow.add(fact)
  return slow.answer()
}

type Group = { readonly now: Tally; readonly before: Tally }

/** A report that facts are shown to one after the other. */
export class SlowReport {
  readonly #tenant: Tenant
  readonly #question: Question
  readonly #metrics: ReadonlyMap<string, ReferenceMetric>
  readonly #measures: ReadonlySet<Measure>
  readonly #groups = new Map<string, Group>()
  /** Days that the compared period is moved by. */
  readonly #shiftDays: number

  constructor(tenant: Tenant, question: Question) {
    this.#tenant = tenant
    this.#question = question
    const names = [...question.metrics, ...(question.having?.conditions.map(({ metric }) => metric) ?? [])]
    this.#metrics = new Map(names.map((name) => [name, metricOf(name, tenant)]))
    this.#measures = new Set([...this.#metrics.values()].flatMap(({ measures }) => measures))
    this.#shiftDays = question.compare === undefined ? 0 : daysBetween(question.compare.from, question.from)
  }

  add(fact: Fact): void {
    const isOfClick = this.#question.time === 'click' && (fact.kind === 'event' || fact.kind === 'conversion')
    const atMs = isOfClick ? fact.click?.at : fact.at
    if (atMs === undefined || !isOwn(fact, this.#tenant) || !this.#isCounted(fact)) return
    const { compare } = this.#question
    this.#addTo('now', fact, atMs, this.#question, 0)
    if (compare !== undefined) this.#addTo('before', fact, atMs, compare, this.#shiftDays)
  }

  #addTo(period: keyof Group, fact: Fact, atMs: number, days: Pick<Question, 'from' | 'to'>, shiftDays: number): void {
    const { tz, group_by } = this.#question
    const day = valueOf(fact, atMs, 'date', tz, 0)
    if (day < days.from || day > days.to || !isAskedFor(fact, atMs, this.#question, shiftDays)) return
    const key = JSON.stringify(group_by.map((name) => valueOf(fact, atMs, name, tz, shiftDays)))
    const group = this.#groups.get(key) ?? { now: new Map(), before: new Map() }
    this.#groups.set(key, group)
    addToTally(group[period], fact, this.#measures, (currency, ms) => this.#factorOf(currency, ms))
  }

  answer(): Expected {
    const groups = [...this.#groups].filter(([, { now }]) => this.#isHad(now))
    const all: Group = { now: new Map(), before: new Map() }
    for (const [, group] of groups)
      for (const period of ['now', 'before'] as const) mergeTally(all[period], group[period])
    return {
      groups: new Map(groups.map(([key, group]) => [key, this.#row(group)])),
      totals: this.#row(all),
    }
  }

  #factorOf(currency: string, atMs: number): bigint | undefined {
    if (currency === this.#question.currency) return FACTOR_ONE
    return this.#question.rates?.get(`${currency} ${new Date(atMs).toISOString().slice(0, 10)}`)
  }

  #isCounted(fact: Fact): boolean {
    for (const measure of this.#measures) if (measure.counts(fact)) return true
    return false
  }

  #row({ now, before }: Group): ExpectedRow {
    return { now: this.#cells(now), before: this.#question.compare && this.#cells(before) }
  }

  #cells(tally: Tally): Cells {
    return Object.fromEntries([...this.#metrics].map(([name, metric]) => [name, metric.cell(tally)]))
  }

  #isHad(tally: Tally): boolean {
    const { having } = this.#question
    if (having === undefined) return true
    const answers = having.conditions.map(({ metric, op, thousandths, isNegated }) => {
      const compared = compareCell(metric, this.#metrics.get(metric)!.cell(tally), thousandths)
      if (compared === undefined) return undefined
      const isMet = op === '<' ? compared < 0n : op === '=' ? compared === 0n : compared >= 0n
      return isMet !== isNegated
    })
    // What is unknown is neither met nor not met.
    return having.word === 'and' ? answers.every((answer) => answer === true) : answers.includes(true)
  }
}

/** Whole parts of one: micros of an amount, milliseconds of a second. */
const partsOfOne = (metric: string): bigint => {
  const unit = findMetric(metric)!.unit
  return unit === 'money' ? 1_000_000n : unit === 'seconds' ? 1_000n : 1n
}

/** @returns below 0, 0 or above it, as the cell is less, equal or more; undefined where it is not known */
function compareCell(metric: string, cell: Cell, thousandths: bigint): bigint | undefined {
  if (cell === null) return undefined
  const { part, whole } = typeof cell === 'bigint' ? { part: cell, whole: 1n } : cell
  const difference = part * 1_000n - thousandths * partsOfOne(metric) * whole
  return whole < 0n ? -difference : difference
}

const daysBetween = (from: string, to: string): number =>
  Temporal.PlainDate.from(from).until(Temporal.PlainDate.from(to), { largestUnit: 'days' }).days

function metricOf(name: string, { role }: Tenant): ReferenceMetric {
  const metric = referenceMetric(name, role)
  if (metric === undefined) throw new Error(`there is no definition of ${name}`)
  return metric
}

function valueOf(fact: Fact, atMs: number, name: string, zone: string, shiftDays: number): string {
  const dimension = referenceDimension(name)
  if (dimension === undefined) throw new Error(`there is no definition of ${name}`)
  return dimension(fact, { atMs, zone, shiftDays })
}

function isAskedFor(fact: Fact, atMs: number, { tz, only, not, parent, filter }: Question, shiftDays: number): boolean {
  for (const [name, values] of [...Object.entries(only), ...Object.entries(parent)])
    if (!values.includes(valueOf(fact, atMs, name, tz, shiftDays))) return false
  for (const [name, values] of Object.entries(not))
    if (values.includes(valueOf(fact, atMs, name, tz, shiftDays))) return false
  return filter === undefined || ruleOf(filter)(ruleFactsOf(fact)) === MET
}

const rules = new Map<string, CompiledRule>()

/** The rule language, judged as the edge judges a visitor. */
function ruleOf(text: string): CompiledRule {
  const known = rules.get(text)
  if (known !== undefined) return known
  const parsed = parseRule(text, { context: 'report' })
  if (parsed.kind !== 'parsed') throw new Error(`${text}: ${JSON.stringify(parsed)}`)
  const compiled = compileRule(parsed.rule)
  rules.set(text, compiled)
  return compiled
}

function ruleFactsOf(fact: Fact): RuleFacts {
  const click = fact.click ?? {}
  const shared = { at: fact.at, visitor: click, parameters: click, assigned: click }
  switch (fact.kind) {
    case 'click': {
      const { isUniqueInCampaign, isUniqueInOffer, isUniqueAnywhere } = fact.seen
      const unique = { campaign: isUniqueInCampaign, offer: isUniqueInOffer, global: isUniqueAnywhere }
      return new RuleFacts({ ...shared, isUnique: (scope) => unique[scope] })
    }
    case 'cost':
      return new RuleFacts(shared)
    case 'event':
      return new RuleFacts({ ...shared, conversion: { at: fact.at, type: fact.event.type } })
    case 'conversion': {
      const { type, goal, status, currency } = fact.conversion
      const conversion = { at: fact.at, click_at: fact.click.at, type, goal, status, currency }
      return new RuleFacts({ ...shared, conversion })
    }
    default:
      return fact satisfies never
  }
}
