import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import type { FastifyReply } from 'fastify'

import { QUERY_SECONDS_MAX, streamReport, type StreamedReport } from '#reports'
import { writeCsv, writeJsonLines, writeXlsx, type HeaderKind } from '#reports/formats'

/** How a report can be answered; `json` is the answer with totals, the others are a table without them. */
export const reportFormats = ['json', 'csv', 'jsonl', 'xlsx', 'parquet'] as const
export type ReportFormat = (typeof reportFormats)[number]

/** Media types of files. */
export const fileTypes: Readonly<Record<Exclude<ReportFormat, 'json'>, string>> = {
  csv: 'text/csv; charset=utf-8',
  jsonl: 'application/x-ndjson',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  parquet: 'application/vnd.apache.parquet',
}

/** The format that a request means: that of its parameter, else the first of its Accept header that there is. */
export function chooseFormat(asked: ReportFormat | undefined, accept: string | undefined): ReportFormat {
  if (asked !== undefined) return asked
  for (const part of (accept ?? '').split(',')) {
    const type = part.split(';')[0]!.trim().toLowerCase()
    if (type === 'application/json' || type === '*/*') return 'json'
    const found = reportFormats.find((format) => format !== 'json' && fileTypes[format].split(';')[0] === type)
    if (found !== undefined) return found
  }
  return 'json'
}

export type TableOptions = { readonly headers: HeaderKind; readonly isMarked: boolean }

/** The bytes of a report's table in a format of text or XLSX. */
export function writeTable(
  { columns, rows }: Pick<StreamedReport, 'columns' | 'rows'>,
  format: Exclude<ReportFormat, 'json' | 'parquet'>,
  options: TableOptions,
): AsyncIterable<Uint8Array> {
  switch (format) {
    case 'csv':
      return writeCsv(columns, rows, options)
    case 'jsonl':
      return writeJsonLines(columns, rows)
    case 'xlsx':
      return writeXlsx(columns, rows, options)
    default:
      return format satisfies never
  }
}

/** Sends a report as a file. It is written whole before anything is sent: what goes wrong, however late, is an answer with its code, and a
 * client that reads slowly does not keep the engine. A table has no place for its currency and those that it leaves out: headers name
 * them.
 * @throws {WaypostError} facts_unavailable, query_too_expensive, export_too_large
 */
export async function sendReport(
  reply: FastifyReply,
  format: Exclude<ReportFormat, 'json'>,
  fileName: string,
  asked: Parameters<typeof streamReport>,
  options: TableOptions,
): Promise<FastifyReply> {
  const table = await streamReport(...asked)
  const { bytes, content } = await written(table, format, options)
  return reply
    .type(fileTypes[format])
    .header('Content-Disposition', `attachment; filename="${fileName}.${format}"`)
    .header('Content-Length', bytes)
    .header('X-Waypost-Currency', table.currency)
    .header('X-Waypost-Other-Currencies', table.other_currencies.join(', '))
    .send(content)
}

/** What somebody who waits may take of the engine. */
export const waitedFor = { secondsMax: QUERY_SECONDS_MAX, threads: 2 } as const

/** A file that is gone as soon as it is open. */
async function written(
  table: StreamedReport,
  format: Exclude<ReportFormat, 'json'>,
  options: TableOptions,
): Promise<{ readonly bytes: number; readonly content: Readable }> {
  const file = join(tmpdir(), `waypost-report-${randomUUID()}.${format}`)
  try {
    if (format === 'parquet') await table.writeParquet(file)
    else await pipeline(writeTable(table, format, options), createWriteStream(file, { flags: 'wx', mode: 0o600 }))
    const handle = await open(file)
    const { size } = await handle.stat()
    return { bytes: size, content: handle.createReadStream() }
  } finally {
    await rm(file, { force: true })
  }
}
