/** Clicks that were retired bear nothing: what would be spread over the rest of its days, or taken off clicks that are gone, is refused. */
import type { FactsClient } from '#platform/clickhouse'
import { WaypostError } from '#platform/errors'
import { findMissingDays } from '#reports'

import type { CostRow } from './cost-row.ts'
import { timesOf } from './spread.ts'

const DAY_MS = 86_400_000

/** Whole days (UTC), the end excluded. */
type Retired = { readonly fromMs: number; readonly toMs: number }

/** Days (UTC) in the range of the rows whose clicks were retired. */
async function findRetired(
  facts: FactsClient,
  advertiserId: string,
  rows: readonly CostRow[],
): Promise<readonly Retired[]> {
  if (rows.length === 0) return []
  const range = timesOf(rows)
  const tenant = { role: 'advertiser', advertiserId } as const
  const missing = await findMissingDays(facts, tenant, [{ table: 'clicks', range, column: 'click_id' }])
  return joined(missing.map(({ from, to }) => ({ fromMs: Date.parse(from), toMs: Date.parse(to) + DAY_MS })))
}

/** A day stands there twice when its rows were retired in two runs and only those of one are in the archive. */
export function joined(ranges: readonly Retired[]): readonly Retired[] {
  const apart: Retired[] = []
  for (const range of ranges.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const last = apart.at(-1)
    if (last === undefined || range.fromMs > last.toMs) apart.push(range)
    else apart[apart.length - 1] = { fromMs: last.fromMs, toMs: Math.max(last.toMs, range.toMs) }
  }
  return apart
}

const shared = (row: CostRow, { fromMs, toMs }: Retired): number =>
  Math.max(0, Math.min(row.endsMs, toMs) - Math.max(row.startsMs, fromMs))

/** A row all of whose days were retired is borne by no click; one of which some were would be borne by the others alone.
 * @throws {WaypostError} conflict
 */
export async function refusePartlyRetired(
  facts: FactsClient,
  advertiserId: string,
  rows: readonly CostRow[],
): Promise<void> {
  const retired = await findRetired(facts, advertiserId, rows)
  for (const row of rows) {
    const parts = retired.filter((one) => shared(row, one) > 0)
    const gone = parts.reduce((sum, one) => sum + shared(row, one), 0)
    if (gone > 0 && gone < row.endsMs - row.startsMs)
      throw new WaypostError(
        'conflict',
        `Row ${row.rowNo}: the clicks of ${daysOf(parts)} were retired, and the others would bear all of it. Put them back (waypost retention restore), or give a row for each day.`,
      )
  }
}

/** What is borne by clicks that are gone would be taken off them and put on others.
 * @throws {WaypostError} conflict
 */
export async function refuseRetiredShares(
  facts: FactsClient,
  advertiserId: string,
  rows: readonly (CostRow & { readonly clicks?: number | undefined })[],
): Promise<void> {
  const borne = rows.filter(({ clicks }) => clicks !== 0)
  const retired = await findRetired(facts, advertiserId, borne)
  const parts = retired.filter((one) => borne.some((row) => shared(row, one) > 0))
  if (parts.length > 0)
    throw new WaypostError(
      'conflict',
      `Clicks of ${daysOf(parts)} that bear a part of it were retired. Put them back (waypost retention restore) and try again, or delete the import and import it anew.`,
    )
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

const daysOf = (parts: readonly Retired[]): string =>
  parts
    .map(({ fromMs, toMs }) => [dayOf(fromMs), dayOf(toMs - DAY_MS)])
    .map(([first, last]) => (first === last ? first : `${first} to ${last}`))
    .join(', ')
