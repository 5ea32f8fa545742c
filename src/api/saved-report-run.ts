import { randomUUID } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { findActiveKeys, type Principal, type Tenant } from '#accounts'
import { isTimezone } from '#platform/clock'
import { WaypostError } from '#platform/errors'
import { LIMIT_MAX, streamReport, type StreamedReport } from '#reports'
import {
  daysOf,
  isSameTenant,
  narrowTenant,
  tenantOf,
  type RelativeRange,
  type SavedReport,
  type WriteReport,
  type WrittenReport,
} from '#saved-reports'

import type { Api } from './api.ts'
import { answerReport, readReport, zoneOfReport, type AskedQuery } from './routes/reports.ts'
import { fileTypes, waitedFor, writeTable } from './send-report.ts'

/** Whose rows and columns somebody sees of a saved report: what both it and whoever saved it may see, as of now.
 * @throws {WaypostError} forbidden: the key that saved it was ended; not_found: they have nothing in common
 */
export async function viewerOf(api: Pick<Api, 'pool'>, report: SavedReport, viewer: Principal): Promise<Tenant> {
  const saver = tenantOf(report)
  if (isSameTenant(viewer, saver)) return viewer
  if (viewer.role !== 'owner' && !(await findActiveKeys(api.pool, [report.api_key_id])).has(report.api_key_id))
    throw new WaypostError('forbidden', 'The key that shared this report was ended, and its rights with it.')
  const both = narrowTenant(viewer, saver)
  if (both === undefined) throw new WaypostError('not_found')
  return both
}

/** The query of a saved report with the days that its range means at the moment. */
export function queryOfSaved(
  api: Pick<Api, 'snapshots' | 'clock'>,
  tenant: Tenant,
  saved: { readonly query: object; readonly range: RelativeRange | null },
  nowMs: number = api.clock.now(),
): AskedQuery {
  const query = saved.query as AskedQuery
  if (saved.range === null) return query
  const zone = zoneOfReport(api, tenant, query)
  // A zone that does not exist is refused with the rest of the query.
  return { ...query, ...daysOf(saved.range, isTimezone(zone) ? zone : 'UTC', nowMs) }
}

/** Answers a saved report as the tenant, checked as if it was asked now: what its query names may be gone. Metrics by formula are those of
 * whoever saved it: to everybody the same name means the same.
 * @param atMs the moment that its range is meant from, milliseconds since the epoch; now unless given
 * @throws {RequestError} request_invalid, forbidden, with the path inside the query
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export const answerSavedReport = (
  api: Pick<Api, 'snapshots' | 'clock' | 'pool' | 'facts'>,
  tenant: Tenant,
  report: SavedReport,
  atMs?: number,
) => answerReport(api, tenant, queryOfSaved(api, tenant, report, atMs), tenantOf(report))

/** Writes saved reports as files, for schedules. A file has the rows that the query limits it to, else all; JSON as many as an answer can
 * have, and it says whether there are more.
 */
export function savedReportWriter(api: Pick<Api, 'snapshots' | 'clock' | 'pool' | 'facts'>): WriteReport {
  return async (tenant, report, { atMs, format, bytesMax }) => {
    const query = queryOfSaved(api, tenant, report, atMs)
    if (format === 'json') {
      const answer = await answerReport(api, tenant, { limit: LIMIT_MAX, ...query }, tenantOf(report))
      const content = Buffer.from(`${JSON.stringify(answer)}\n`)
      refuseLarge(content.length, bytesMax)
      const { currency, other_currencies } = answer
      return {
        content,
        rows: answer.rows.length,
        contentType: 'application/json; charset=utf-8',
        currency,
        other_currencies,
      }
    }
    const asked = { ...(await readReport(api, tenant, query, tenantOf(report))), limit: query.limit }
    const table = await streamReport(api.facts, tenant, asked, waitedFor)
    const { currency, other_currencies } = table
    if (format === 'parquet') return { ...(await writeParquet(table, bytesMax)), currency, other_currencies }
    let rows = 0
    const counted = async function* () {
      for await (const row of table.rows) {
        rows++
        yield row
      }
    }
    const parts = writeTable({ columns: table.columns, rows: counted() }, format, { headers: 'name', isMarked: true })
    const content = await gather(parts, bytesMax)
    return { content, rows, contentType: fileTypes[format], currency, other_currencies }
  }
}

async function gather(parts: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Buffer> {
  const gathered: Uint8Array[] = []
  let bytes = 0
  for await (const part of parts) {
    refuseLarge((bytes += part.length), bytesMax)
    gathered.push(part)
  }
  return Buffer.concat(gathered)
}

/** The engine writes Parquet into a file only. */
async function writeParquet(
  table: StreamedReport,
  bytesMax: number,
): Promise<Pick<WrittenReport, 'content' | 'rows' | 'contentType'>> {
  const file = join(tmpdir(), `waypost-report-${randomUUID()}.parquet`)
  try {
    const rows = (await table.writeParquet(file)) ?? 0
    const content = await readFile(file)
    refuseLarge(content.length, bytesMax)
    return { content, rows, contentType: fileTypes.parquet }
  } finally {
    await rm(file, { force: true })
  }
}

function refuseLarge(bytes: number, bytesMax: number): void {
  if (bytes > bytesMax)
    throw new WaypostError('query_too_expensive', `The file has more than ${bytesMax} bytes: narrow it, or export it.`)
}
