/** A report has one currency, and what that is depends on the amounts that there are. Asking for them first would double the time of most
 * reports: the report is asked in the currency that it will most likely have at the same time, or counts the currencies itself.
 */
import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'

import { askFacts, askFactsTotalled, type FactsRow, type FactsTotalled } from './ask-facts.ts'
import { askHashed, type AskedPage } from './ask-hashed.ts'
import {
  compileCurrencies,
  compileReport,
  hasMoney,
  readsClicksByRow,
  type CompiledQuery,
  type Report,
} from './compile-report.ts'
import type { CurrencyDays } from './conversion.ts'
import { countCurrencies } from './currency-metrics.ts'
import type { ReportQuery } from './run-report.ts'
import { chooseCurrency, inCurrencyAbove, settleCurrency, type SettledReport } from './settle-currency.ts'
import { findSources } from './source.ts'

export type AskedInCurrency = AskedPage & { readonly settled: SettledReport }

/** Engines where a report had amounts in several currencies: what converts there is asked when its rates are known. */
const mixed = new WeakSet<FactsClient>()

/** What became of each default the last time that it was not among the amounts: the next guess. One entry for each currency at most. */
const lastChosen = new WeakMap<FactsClient, Map<string, string>>()

function chosenFor(facts: FactsClient): Map<string, string> {
  const known = lastChosen.get(facts) ?? new Map<string, string>()
  lastChosen.set(facts, known)
  return known
}

const likelyCurrency = (
  facts: FactsClient,
  { currency, defaultCurrency }: Pick<ReportQuery, 'currency' | 'defaultCurrency'>,
): string => currency ?? chosenFor(facts).get(defaultCurrency) ?? defaultCurrency

/** The answer to a report in its currency.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function askInCurrency(facts: FactsClient, tenant: Tenant, given: ReportQuery): Promise<AskedInCurrency> {
  const query = await inCurrencyAbove(facts, tenant, { ...given, sources: await findSources(facts, tenant, given) })
  const counted = await askCounting(facts, tenant, query)
  if (counted !== undefined) return counted
  const { rates, defaultCurrency, ...plain } = query
  if (rates !== undefined && mixed.has(facts)) {
    const settled = await settleCurrency(facts, tenant, query)
    return { settled, ...(await ask(facts, tenant, settled.report)) }
  }
  const currency = likelyCurrency(facts, query)
  const [settled, guessed] = await Promise.all([
    settleCurrency(facts, tenant, query),
    ask(facts, tenant, { ...plain, currency }),
  ])
  if (settled.report.currency === currency && settled.report.conversion === undefined) return { settled, ...guessed }
  if (settled.report.conversion !== undefined) mixed.add(facts)
  else chosenFor(facts).set(defaultCurrency, settled.report.currency)
  return { settled, ...(await ask(facts, tenant, settled.report)) }
}

/** Above, rows would have to be read a second time to know what is left out. */
const COUNTED_MAX = 8

/** Currencies that reports have met. Only to be quick: of one that is not here a report finds out that it is missing. */
const met = new WeakMap<FactsClient, ReadonlySet<string>>()

/** A report that is narrowed and reads clicks by row counts, beside everything else, its rows with amounts by currency: of those that are
 * known, and of all others. @returns undefined: this report is no such
 */
async function askCounting(
  facts: FactsClient,
  tenant: Tenant,
  { rates, defaultCurrency, ...query }: ReportQuery,
): Promise<AskedInCurrency | undefined> {
  const isNarrowed = query.filters.length > 0 || query.rule !== undefined
  if (!isNarrowed || rates !== undefined || query.compare !== undefined || query.having !== undefined) return undefined
  if (!hasMoney(query, tenant.role) || !readsClicksByRow(query, tenant)) return undefined
  const currency = likelyCurrency(facts, { ...query, defaultCurrency })
  const report: Report = { ...query, currency }
  const first = await askWithCounts(facts, tenant, report, [...new Set([...(met.get(facts) ?? []), currency])])
  const counted = first?.hasOthers === true ? await askMet(facts, tenant, report) : first
  if (counted === undefined || counted.hasOthers) return undefined
  const chosen = query.currency ?? chooseCurrency(counted.present, defaultCurrency)
  const others = counted.present.filter((one) => one !== chosen).sort()
  const settled = { report: { ...query, currency: chosen }, others, converted: [], unconverted: [] }
  if (chosen === currency) return { settled, columns: counted.columns, page: counted.page }
  chosenFor(facts).set(defaultCurrency, chosen)
  return { settled, ...(await ask(facts, tenant, settled.report)) }
}

/** Meets the currencies that the tenant's rows of this time have at all, and asks again. */
async function askMet(facts: FactsClient, tenant: Tenant, report: Report): ReturnType<typeof askWithCounts> {
  const wide = { ...report, filters: [], rule: undefined }
  const found = (await askFacts<CurrencyDays>(facts, compileCurrencies(wide, tenant))).map((one) => one.currency)
  met.set(facts, new Set([...(met.get(facts) ?? []), ...found].slice(-COUNTED_MAX)))
  return askWithCounts(facts, tenant, report, [...new Set([...found, report.currency])])
}

type Counted = AskedPage & {
  /** Currencies with amounts, those with the most rows first. */
  readonly present: readonly string[]
  /** Whether there are amounts in a currency that was not asked about. */
  readonly hasOthers: boolean
}

async function askWithCounts(
  facts: FactsClient,
  tenant: Tenant,
  report: Report,
  currencies: readonly string[],
): Promise<Counted | undefined> {
  if (currencies.length > COUNTED_MAX) return undefined
  const counts = countCurrencies(currencies, report, tenant.role)
  const metrics = counts.map(({ metric }) => metric)
  const { columns, page } = await ask(facts, tenant, {
    ...report,
    metrics: [...report.metrics, ...metrics],
    custom: [...report.custom, ...metrics],
  })
  const own = columns.slice(0, columns.length - counts.length)
  const totals = report.groupBy.length > 0 ? page.totals : page.rows[0]
  const rows = new Map<string | undefined, number>()
  for (const [index, { currency }] of counts.entries())
    rows.set(currency, (rows.get(currency) ?? 0) + Number(totals?.[`v${own.length + index}`] ?? 0))
  const rowsIn = (currency: string | undefined): number => rows.get(currency) ?? 0
  const present = currencies.filter((one) => rowsIn(one) > 0)
  return {
    ...{ columns: own, page, hasOthers: rowsIn(undefined) > 0 },
    present: present.sort((a, b) => rowsIn(b) - rowsIn(a) || (a < b ? -1 : 1)),
  }
}

async function ask(facts: FactsClient, tenant: Tenant, report: Report): Promise<AskedPage> {
  const hashed = await askHashed(facts, tenant, report)
  if (hashed !== undefined) return hashed
  const compiled = compileReport(report, tenant)
  return { columns: compiled.columns, page: await askPage(facts, tenant, report, compiled) }
}

/** A page past the last row has no rows, and its totals come with the first page. */
async function askPage(
  facts: FactsClient,
  tenant: Tenant,
  report: Report,
  compiled: CompiledQuery,
): Promise<FactsTotalled<FactsRow>> {
  const page = await askFactsTotalled<FactsRow>(facts, compiled)
  if (page.rows.length > 0 || report.offset === 0) return page
  const first = compileReport({ ...report, offset: 0, limit: 1 }, tenant)
  return { ...(await askFactsTotalled<FactsRow>(facts, first)), rows: [] }
}
