import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { formatAmount } from '#platform/money'

import { askFacts, askFactsTotalled, type FactsRow } from './ask-facts.ts'
import {
  amountsOf,
  compileCurrencies,
  compileReport,
  hasMoney,
  type CompiledQuery,
  type Report,
} from './compile-report.ts'
import { findConversion, type CurrencyDays } from './conversion.ts'
import { factsTables } from './measures.ts'
import type { ReportQuery } from './run-report.ts'

/** What there is no rate for: amounts by metric, as decimal text in their own currency. */
export type Unconverted = CurrencyDays & { readonly amounts: Readonly<Record<string, string>> }

/** A report with its currency, and what becomes of amounts in others. */
export type SettledReport = {
  readonly report: Report
  /** Currencies that are left out, in all or for some days. */
  readonly others: readonly string[]
  readonly converted: readonly string[]
  readonly unconverted: readonly Unconverted[]
}

/** A row that is opened is in the currency of the report that it is a row of: what is below it adds up to it. */
export async function inCurrencyAbove(facts: FactsClient, tenant: Tenant, query: ReportQuery): Promise<ReportQuery> {
  const above = query.filters.filter(({ isParent }) => isParent !== true)
  if (query.currency !== undefined || above.length === query.filters.length) return query
  const { report } = await settleCurrency(facts, tenant, { ...query, filters: above })
  return { ...query, currency: report.currency }
}

/** Chooses the currency of a report, and finds the rates for the others where it converts.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function settleCurrency(facts: FactsClient, tenant: Tenant, query: ReportQuery): Promise<SettledReport> {
  const { rates, defaultCurrency, ...asked } = query
  const { inRange, all: present } = hasMoney(asked, tenant.role)
    ? ((await findOnlyCurrency(facts, tenant, asked, query.currency ?? defaultCurrency)) ??
      (await findCurrencies(facts, tenant, asked, rates !== undefined)))
    : NO_CURRENCIES
  // The compared period says nothing about the currency of the range, unless that has no amounts at all.
  const currencies = (inRange.length > 0 ? inRange : present).map((one) => one.currency)
  const currency =
    query.currency ?? (rates === undefined ? chooseCurrency(currencies, defaultCurrency) : defaultCurrency)
  const report: Report = { ...asked, currency }
  const foreign = present.filter((one) => one.currency !== currency)
  const others = foreign.map((one) => one.currency).sort()
  // One currency is added up as it is.
  if (rates === undefined || foreign.length === 0) return { report, others, converted: [], unconverted: [] }
  const days = foreign.flatMap((one) => one.days).sort()
  const question = { currencies: others, target: currency, from: days[0]!, to: days.at(-1)! }
  const { conversion, missing } = findConversion(foreign, currency, await rates.find(question))
  const unconverted = await Promise.all(missing.map((one) => askUnconverted(facts, tenant, report, one)))
  return {
    report: { ...report, conversion },
    others: missing.map((one) => one.currency).sort(),
    converted: others.filter((one) => conversion.keys.some((key) => key.startsWith(`${one} `))),
    unconverted,
  }
}

type FoundCurrencies = { readonly inRange: readonly CurrencyDays[]; readonly all: readonly CurrencyDays[] }
const NO_CURRENCIES: FoundCurrencies = { inRange: [], all: [] }

/** Asks less than what the report asks: over all rows of the tenant, which kept sums answer, instead of those that it filters.
 * @returns the expected currency or none, where no other occurs at all; undefined: others may be among the rows of the report
 */
async function findOnlyCurrency(
  facts: FactsClient,
  tenant: Tenant,
  query: Omit<Report, 'currency' | 'conversion'>,
  expected: string,
): Promise<FoundCurrencies | undefined> {
  const isNarrowed = query.filters.length > 0 || query.rule !== undefined
  if (!isNarrowed || query.compare !== undefined) return undefined
  const wide = { ...query, filters: [], rule: undefined }
  const found = await askFacts<CurrencyDays>(facts, compileCurrencies(wide, tenant))
  return found.every(({ currency }) => currency === expected) ? { inRange: found, all: found } : undefined
}

/** Currencies of the report, and those with the period that it is compared with. */
async function findCurrencies(
  facts: FactsClient,
  tenant: Tenant,
  query: Omit<Report, 'currency' | 'conversion'>,
  hasDays: boolean,
): Promise<FoundCurrencies> {
  const found = await askFacts<CurrencyDays>(facts, compileCurrencies(query, tenant, hasDays))
  if (query.compare === undefined) return { inRange: found, all: found }
  const { range } = query.compare
  const before = await askFacts<CurrencyDays>(facts, compileCurrencies({ ...query, range }, tenant, hasDays))
  const days = new Map<string, Set<string>>()
  for (const one of [...found, ...before])
    days.set(one.currency, new Set([...(days.get(one.currency) ?? []), ...one.days]))
  return { inRange: found, all: [...days].map(([currency, ofCurrency]) => ({ currency, days: [...ofCurrency] })) }
}

/** What stands in the facts in one currency on some days, of the amounts that the report adds up. */
async function askUnconverted(
  facts: FactsClient,
  tenant: Tenant,
  report: Report,
  { currency, days }: CurrencyDays,
): Promise<Unconverted> {
  const metrics = amountsOf(report, tenant.role)
  const rule = Object.fromEntries(factsTables.map((table) => [table, onDays(report.rule?.[table], days)]))
  const plain = { custom: [], having: undefined, compare: undefined, groupBy: [], order: [], offset: 0, limit: 1 }
  const own = compileReport({ ...report, ...plain, metrics, rule, currency, conversion: undefined }, tenant)
  const [row = {}] = (await askFactsTotalled<FactsRow>(facts, own)).rows
  const amounts = own.columns.map(({ name }, index) => [name, BigInt(row[`v${index}`] ?? 0)] as const)
  const some = amounts.filter(([, micros]) => micros !== 0n)
  return { currency, days, amounts: Object.fromEntries(some.map(([name, micros]) => [name, formatAmount(micros, 2)])) }
}

function onDays(rule: CompiledQuery | undefined, days: readonly string[]): CompiledQuery {
  const condition = `toDate(at, 'UTC') IN {fx_days:Array(Date)}`
  return {
    sql: rule === undefined ? condition : `(${rule.sql}) AND ${condition}`,
    params: { ...rule?.params, fx_days: days },
  }
}

/** Amounts of different currencies are never added: a report has one. */
export function chooseCurrency(present: readonly string[], byDefault: string): string {
  return present.length === 0 || present.includes(byDefault) ? byDefault : present[0]!
}
