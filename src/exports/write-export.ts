import { stat } from 'node:fs/promises'

import type { Tenant } from '#accounts'
import { linesOf, streamFacts, writeFactsFile, type FactsClient } from '#platform/clickhouse'
import { WaypostError } from '#platform/errors'
import { askFacts, factsError, refuseMissing, streamReport, type ReportDefaults, type ReportQuery } from '#reports'
import { csvHead, writeCsv, writeJsonLines, writeXlsx, type Cell, type TableColumn } from '#reports/formats'
import { compileLogCount, compileLogExport, findMissingLog, logTable, parseLog, type LogQuery } from '#reports/logs'

import type { ExportInput, ListedRows, LogInput } from './export-job.ts'
import { writeParts, type ExportFiles } from './files.ts'
import type { ExportLimits } from './limits.ts'

export type Writing = {
  readonly facts: FactsClient
  readonly input: ExportInput
  readonly tenant: Tenant
  readonly file: string
  readonly files: ExportFiles
  readonly signal: AbortSignal
  readonly progress: (done: number, total?: number) => void
  readonly limits: ExportLimits
}

/** One thread of the engine is as fast as the disk, and leaves the others to what comes in. Parts are small, because a row of a log is
 * wide. An export may take hours, but never more memory than a report.
 */
const SETTINGS = { max_threads: 1, max_block_size: 8_192, max_memory_usage: 1_000_000_000 } as const
const TEXT_SETTINGS = {
  ...SETTINGS,
  output_format_csv_crlf_end_of_line: 1,
  format_csv_null_representation: '',
  output_format_json_quote_64bit_integers: 0,
} as const

/** Writes a log into a file.
 * @returns rows
 * @throws {WaypostError} request_invalid, forbidden: the question does not fit any more; conflict: rows of its range were retired;
 * disk_full, export_too_large, facts_unavailable, query_too_expensive
 */
export async function writeLog(writing: Writing, { log, asked }: LogInput, defaults: ReportDefaults): Promise<number> {
  const parsed = parseLog(log, asked, writing.tenant, defaults)
  if (parsed.kind !== 'asked')
    throw new WaypostError(parsed.kind === 'forbidden' ? 'forbidden' : 'request_invalid', parsed.detail)
  refuseMissing('A file', await findMissingLog(writing.facts, writing.tenant, parsed.query))
  const [counted] = await askFacts<{ rows: string }>(writing.facts, compileLogCount(parsed.query))
  const total = Number(counted?.rows ?? 0)
  writing.progress(0, total)
  if (writing.input.format === 'xlsx') refuseLongSheet(total, writing.limits)
  try {
    return await logWriters[writing.input.format](writing, parsed.query)
  } catch (error) {
    writing.signal.throwIfAborted()
    throw factsError(error)
  }
}

function refuseLongSheet(rows: number, { xlsxRowsMax }: ExportLimits): void {
  if (rows > xlsxRowsMax)
    throw new WaypostError(
      'export_too_large',
      `It has ${rows} rows, and a sheet at most ${xlsxRowsMax}: take CSV or Parquet.`,
    )
}

/** ClickHouse formats the rows itself: they are bytes here, and nothing else. */
const formatted =
  (format: 'CSV' | 'JSONEachRow') =>
  async (writing: Writing, query: LogQuery): Promise<number> => {
    const { facts, input, signal } = writing
    const head = format === 'CSV' ? csvHead(logTable(query.columns), input) : ''
    const asked = { ...compileLogExport(query, format), format, settings: TEXT_SETTINGS, signal }
    return writeBytes(writing, streamFacts(facts, asked), head)
  }

async function writeBytes(
  { file, files, signal, progress, input }: Writing,
  parts: Parameters<typeof writeParts>[0],
  head: string,
): Promise<number> {
  let rows = 0
  const onRows = (done: number): void => progress((rows = done))
  await writeParts(parts, { ...{ file, head, files, signal, onRows }, isZipped: input.isZipped })
  return rows
}

const logWriters: Readonly<Record<ExportInput['format'], (writing: Writing, query: LogQuery) => Promise<number>>> = {
  csv: formatted('CSV'),
  jsonl: formatted('JSONEachRow'),
  xlsx: async (writing, query) => {
    const { facts, signal } = writing
    const format = 'JSONCompactEachRow'
    const asked = { ...compileLogExport(query, format), format, settings: TEXT_SETTINGS, signal } as const
    return writeTable(writing, logTable(query.columns), cellsOf(linesOf(streamFacts(facts, asked))))
  },
  parquet: async (writing, query) =>
    watchingSpace(writing, (signal, onProgress) =>
      writeFactsFile(writing.facts, {
        ...{ ...compileLogExport(query, 'Parquet'), format: 'Parquet', file: writing.file, settings: SETTINGS },
        ...{ signal, onProgress },
      }),
    ),
}

async function* cellsOf(lines: AsyncIterable<string>): AsyncIterable<readonly Cell[]> {
  for await (const line of lines) yield JSON.parse(line) as readonly Cell[]
}

/** Writes a log that PostgreSQL holds into a file; not as Parquet, which ClickHouse writes.
 * @returns rows
 * @throws {WaypostError} conflict, disk_full, export_too_large
 */
export const writeList = (writing: Writing, { columns, rows }: ListedRows): Promise<number> =>
  writeTable(writing, columns, rows)

/** What was written, and of a report the currency of its money and those of amounts that are not in it, or not all of them. */
export type WrittenTable = {
  readonly rows: number
  readonly currency?: string
  readonly other_currencies?: readonly string[]
}

/** Writes a report into a file.
 * @returns rows
 * @throws {WaypostError} disk_full, export_too_large, facts_unavailable, query_too_expensive
 */
export async function writeReport(writing: Writing, query: ReportQuery): Promise<WrittenTable> {
  const { facts, tenant, signal, limits, input } = writing
  const within = { secondsMax: limits.reportSecondsMax, threads: 1, signal }
  const report = await streamReport(facts, tenant, query, within)
  const { currency, other_currencies } = report
  const rows =
    input.format === 'parquet'
      ? await watchingSpace(writing, (_, onProgress) => report.writeParquet(writing.file, onProgress))
      : await writeTable(writing, report.columns, report.rows)
  return { rows, currency, other_currencies }
}

/** Writes rows that came out of the engine one by one. */
async function writeTable(
  writing: Writing,
  columns: readonly TableColumn[],
  rows: AsyncIterable<readonly Cell[]>,
): Promise<number> {
  const { input, progress, signal } = writing
  let count = 0
  const counted = async function* (): AsyncIterable<readonly Cell[]> {
    for await (const row of rows) {
      signal.throwIfAborted()
      yield row
      count++
    }
  }
  const bytes = tableBytes(input, columns, counted())
  const parts = async function* () {
    for await (const part of bytes) {
      yield { bytes: part, rows: 0 }
      progress(count)
    }
  }
  await writeBytes({ ...writing, progress: () => undefined }, parts(), '')
  progress(count)
  return count
}

function tableBytes(
  { format, headers, isMarked }: ExportInput,
  columns: readonly TableColumn[],
  rows: AsyncIterable<readonly Cell[]>,
): AsyncIterable<Uint8Array> {
  if (format === 'csv') return writeCsv(columns, rows, { headers, isMarked })
  return format === 'jsonl' ? writeJsonLines(columns, rows) : writeXlsx(columns, rows, { headers })
}

/** Looks at the disk while the engine writes the file by itself. */
async function watchingSpace(
  { file, files, signal, progress }: Writing,
  write: (signal: AbortSignal, onProgress: (rows: number) => void) => Promise<number | undefined>,
): Promise<number> {
  const full = new AbortController()
  let lastRows = 0
  const look = async (): Promise<void> => files.checkSpace(await stat(file).then(({ size }) => size, () => 0)) // prettier-ignore
  const rows = await write(AbortSignal.any([signal, full.signal]), (read) => {
    progress((lastRows = read))
    look().catch((error: unknown) => full.abort(error))
  })
  progress(rows ?? lastRows)
  return rows ?? lastRows
}
