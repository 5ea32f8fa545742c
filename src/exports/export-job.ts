import { stat } from 'node:fs/promises'

import type { Tenant } from '#accounts'
import { defineJob, type JobKind } from '#jobs'
import type { FactsClient } from '#platform/clickhouse'
import { WaypostError } from '#platform/errors'
import type { ReportDefaults, ReportQuery } from '#reports'
import type { Cell, HeaderKind, TableColumn } from '#reports/formats'
import type { AskedLog, FactsLog } from '#reports/logs'

import { exportFiles } from './files.ts'
import { exportLimits, type ExportLimits } from './limits.ts'
import { writeList, writeLog, writeReport, type WrittenTable } from './write-export.ts'

export const EXPORT_KIND = 'export'

export const exportFormats = ['csv', 'jsonl', 'parquet', 'xlsx'] as const
export type ExportFormat = (typeof exportFormats)[number]

/** A log, with `from` and `to`: what "the last seven days" are is decided when it is asked. */
export type LogInput = { readonly log: FactsLog; readonly asked: AskedLog }
/** A log that PostgreSQL holds, by what somebody asked of it, with `from` and `to`. */
export type ListInput = { readonly list: string; readonly asked: Readonly<Record<string, unknown>> }
/** A report by the parameters of its query, with `from` and `to` and without its limit, which may be any here; undefined: all rows. */
export type ReportInput = { readonly report: Readonly<Record<string, unknown>>; readonly limit: number | undefined }

/** What somebody wants exported, as the job keeps it. */
export type ExportInput = (LogInput | ListInput | ReportInput) & {
  readonly format: ExportFormat
  /** Only CSV and JSON lines. */
  readonly isZipped: boolean
  readonly headers: HeaderKind
  /** CSV begins with a byte order mark. */
  readonly isMarked: boolean
  /** Without ending. */
  readonly fileName: string
}

export type ExportResult = {
  /** In the directory of exports. */
  readonly file: string
  readonly bytes: number
} & WrittenTable

/** Name that a browser gives the file. */
export const downloadName = ({ fileName, format, isZipped }: ExportInput): string =>
  `${fileName}.${format}${isZipped ? '.gz' : ''}`

export type ExportOptions = {
  readonly facts: FactsClient
  /** Of the files; made when it is needed. */
  readonly directory: string
  /** Zone, currency and lists of a question. */
  readonly defaultsFor: (tenant: Tenant, only: AskedLog['only']) => ReportDefaults
  /** Checks the parameters of a report. @throws {WaypostError} request_invalid, forbidden */
  readonly readReport: (tenant: Tenant, query: ReportInput['report']) => Promise<ReportQuery>
  /** Checks a question for a log that PostgreSQL holds. @throws {WaypostError} request_invalid, forbidden */
  readonly openList: (tenant: Tenant, input: ListInput) => ListedRows
  readonly limits?: ExportLimits
}

/** Rows that are read while they are written. */
export type ListedRows = {
  readonly columns: readonly TableColumn[]
  readonly rows: AsyncIterable<readonly Cell[]>
}

const HOUR_MS = 3_600_000

/** Exports as jobs: each run writes a file of its own, and the one that holds the lease at the end makes it the whole one. */
export function exportJob({
  facts,
  directory,
  defaultsFor,
  readReport,
  openList,
  limits = exportLimits,
}: ExportOptions): JobKind<ExportInput, ExportResult> {
  const files = exportFiles(directory, limits)
  return defineJob<ExportInput, ExportResult>({
    kind: EXPORT_KIND,
    attemptsMax: limits.attemptsMax,
    keepResultMs: limits.keepHours * HOUR_MS,
    run: async ({ jobId, input, tenant, attempt, signal, progress, inLease }) => {
      const part = await files.begin(jobId, attempt)
      await files.checkSpace(0)
      const writing = { facts, input, tenant, files, signal, progress, limits, file: part }
      const write = async (): Promise<WrittenTable> => {
        if ('log' in input) return { rows: await writeLog(writing, input, defaultsFor(tenant, input.asked.only)) }
        if ('list' in input) return { rows: await writeList(writing, openList(tenant, input)) }
        return writeReport(writing, { ...(await readReport(tenant, input.report)), limit: input.limit })
      }
      const written = await write()
      const { size } = await stat(part)
      if (size > limits.fileBytesMax) throw new WaypostError('export_too_large')
      const name = `${jobId}.${input.format}${input.isZipped ? '.gz' : ''}`
      await inLease(() => files.finish(part, name))
      return { file: name, bytes: size, ...written }
    },
    discard: ({ jobId }) => files.remove(jobId),
  })
}
