import { formatAmount } from '#platform/money'
import { metrics as allMetrics, runReport, type ReportAnswer, type ReportRow } from '#reports'

import type { Figure, RowName } from '../rows.ts'
import type { BenchSettings } from '../run.ts'
import { median, roundTo } from '../statistics.ts'
import { measureFunnel, measureRetention } from './measure-behaviour.ts'
import { measureBusy } from './measure-busy.ts'
import { measureExport } from './measure-export.ts'
import { openReportSite, sizeOf, type ReportSite } from './report-site.ts'
import { parseAsked, reportBySub1, typicalReports, type TypicalReport } from './typical-reports.ts'

const OWNER = { role: 'owner' } as const

/** PostgreSQL takes seconds for what it is asked here: so many rounds say what it can do. */
const POSTGRES_ROUNDS_MAX = 3

/** The rows of reports: the same facts in our engine and in PostgreSQL, asked in turns. */
export async function measureReports(
  settings: BenchSettings,
  isWanted: (name: RowName) => boolean,
  keep: (name: RowName, figure: Figure) => void,
): Promise<void> {
  await using site = await openReportSite(settings.clicks)
  if (isWanted('reports_slowest') || isWanted('reports_speedup')) {
    const { slowest, speedup } = await compareTypical(site, settings)
    keep('reports_slowest', slowest)
    keep('reports_speedup', speedup)
  }
  if (isWanted('report_sub1')) keep('report_sub1', await measureSub1(site, settings))
  if (isWanted('report_funnel')) keep('report_funnel', await measureFunnel(site, settings))
  if (isWanted('report_retention')) keep('report_retention', await measureRetention(site, settings))
  if (isWanted('reports_export') || isWanted('reports_export_memory')) {
    const { rate, memory } = await measureExport(site)
    keep('reports_export', rate)
    keep('reports_export_memory', memory)
  }
  // Last, because it adds events that PostgreSQL does not have.
  if (isWanted('reports_busy') || isWanted('reports_ingestion')) {
    const { reports, ingestion } = await measureBusy(site, settings)
    keep('reports_busy', reports)
    keep('reports_ingestion', ingestion)
  }
}

type Times = {
  readonly name: string
  readonly ours_ms: number
  readonly postgres_ms: number
  /** Processor time of ours: steadier than the clock where the machine does other things as well. */
  readonly ours_cpu_ms: number
}

async function compareTypical(
  site: ReportSite,
  settings: BenchSettings,
): Promise<{ readonly slowest: Figure; readonly speedup: Figure }> {
  const times: Times[] = []
  for (const report of typicalReports) {
    const both = await compareReport(site, report, settings.rounds)
    console.error(
      `  ${both.name}: ${both.ours_ms} ms (${both.ours_cpu_ms} of processor), PostgreSQL ${both.postgres_ms} ms`,
    )
    times.push(both)
  }
  const slowest = times.reduce((worst, one) => (one.ours_ms > worst.ours_ms ? one : worst))
  const ratios = times.map(({ ours_ms, postgres_ms }) => postgres_ms / ours_ms)
  const postgres = await site.postgres()
  const details = { times, size: site.size, postgres_bytes: postgres.bytes }
  return {
    slowest: {
      value: slowest.ours_ms,
      note: `${slowest.name}; all: ${times.map(({ ours_ms }) => ours_ms).join(', ')} ms; ${sizeOf(site)}`,
      details,
    },
    speedup: {
      value: median(ratios),
      note: `${ratios.map((ratio) => roundTo(ratio, 2)).join(', ')} times; PostgreSQL ${times.map(({ postgres_ms }) => postgres_ms).join(', ')} ms`,
      details,
    },
  }
}

/** Medians of rounds in turns, after one of each that is not counted; both must say the same.
 * @throws {Error} they do not
 */
async function compareReport(site: ReportSite, report: TypicalReport, rounds: number): Promise<Times> {
  const { pool } = await site.postgres()
  const askOurs = (): Promise<ReportAnswer> => askReport(site, report)
  const askPostgres = async (): Promise<readonly PostgresRow[]> => (await pool.query<PostgresRow>(report.sql)).rows
  assertSame(report, await askOurs(), await askPostgres())
  const ours: number[] = []
  const theirs: number[] = []
  const cpu: number[] = []
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage()
    ours.push(await timeMs(askOurs))
    const { user, system } = process.cpuUsage(before)
    cpu.push((user + system) / 1000)
    if (round < POSTGRES_ROUNDS_MAX) theirs.push(await timeMs(askPostgres))
  }
  return {
    ...{ name: report.name, ours_ms: Math.round(median(ours)), postgres_ms: Math.round(median(theirs)) },
    ours_cpu_ms: Math.round(median(cpu)),
  }
}

const askReport = (site: ReportSite, { asked }: TypicalReport): Promise<ReportAnswer> =>
  runReport(site.reader, OWNER, { ...parseAsked(asked), defaultCurrency: 'USD' })

async function timeMs(run: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await run()
  return performance.now() - startedAt
}

async function measureSub1(site: ReportSite, settings: BenchSettings): Promise<Figure> {
  const { ours_ms, ours_cpu_ms, postgres_ms } = await compareReport(site, reportBySub1, settings.rounds)
  return {
    value: ours_ms,
    note: `PostgreSQL ${postgres_ms} ms; ${sizeOf(site)}`,
    details: { ours_ms, ours_cpu_ms, postgres_ms, size: site.size },
  }
}

type PostgresRow = Readonly<Record<string, string | bigint | null>> & { readonly is_total: boolean }

/** Every group and every sum that PostgreSQL found is in our answer, and no other; so are the totals.
 * @throws {Error} naming the first difference
 */
function assertSame({ name, asked }: TypicalReport, answer: ReportAnswer, rows: readonly PostgresRow[]): void {
  const groupBy = asked.group_by ?? []
  const keyOf = (row: ReportRow): string => JSON.stringify(groupBy.map((group) => String(row[group])))
  const ours = new Map(answer.rows.map((row) => [keyOf(row), row]))
  const fail = (what: string): never => {
    throw new Error(`"${name}" differs from PostgreSQL: ${what}`)
  }
  const total = rows.find(({ is_total }) => is_total) ?? fail('it has no totals')
  compareSums(answer.totals, total, (what) => fail(`totals, ${what}`))
  const theirs = groupBy.length === 0 ? [total] : rows.filter(({ is_total }) => !is_total).slice(0, asked.limit)
  if (theirs.length !== answer.rows.length) fail(`${answer.rows.length} rows, ${theirs.length} in PostgreSQL`)
  for (const row of theirs) {
    const key = JSON.stringify(groupBy.map((_, index) => String(row[`g${index}`])))
    compareSums(ours.get(key) ?? fail(`no row ${key}`), row, (what) => fail(`${key}, ${what}`))
  }
}

function compareSums(ours: ReportRow, theirs: PostgresRow, fail: (what: string) => never): void {
  for (const [name, value] of Object.entries(theirs)) {
    const metric = allMetrics.get(name)
    // Of a ratio only its parts are there, and a part need not be shown.
    if (metric === undefined || !(name in ours)) continue
    const expected = metric.unit === 'money' ? formatAmount(BigInt(value!), 2) : String(value)
    if (String(ours[name]) !== expected) fail(`${name}: ${ours[name]}, ${expected} in PostgreSQL`)
  }
}
