import { LineBuffer } from '#facts'
import { insertLines, type FactsClient } from '#platform/clickhouse'

import { sub2KeyOf, type CostRow } from './cost-row.ts'
import type { Booking } from './spread.ts'

/** Of a share that no click bears. */
export const NO_CLICK = '00000000-0000-0000-0000-000000000000'

/** Shares that no click bears, by their day (UTC): what was paid stands in reports for the values that the row names.
 * A row of several days of its zone is spread over them evenly.
 */
export type Unallocated = {
  readonly chunk: string
  readonly rows: readonly { readonly row: CostRow; readonly atMs: number; readonly amountMicros: bigint }[]
}

/** Cuts rows without clicks into their days. */
export function cutIntoDays(rows: readonly CostRow[], timezone: string): readonly Unallocated[] {
  const days = new Map<string, { row: CostRow; atMs: number; amountMicros: bigint }[]>()
  for (const row of rows) {
    const starts = startsOfDays(row, timezone)
    for (const [index, atMs] of starts.entries()) {
      const count = BigInt(starts.length)
      const amountMicros = (row.amountMicros * BigInt(index + 1)) / count - (row.amountMicros * BigInt(index)) / count
      const chunk = `u${Math.floor(atMs / DAY_MS)}`
      days.set(chunk, [...(days.get(chunk) ?? []), { row, atMs, amountMicros }])
    }
  }
  return [...days].map(([chunk, inDay]) => ({ chunk, rows: inDay }))
}

const DAY_MS = 86_400_000

/** The row's start, and every midnight of the zone after it. */
function startsOfDays({ startsMs, endsMs }: CostRow, timezone: string): readonly number[] {
  const starts: number[] = []
  let at = Temporal.Instant.fromEpochMilliseconds(startsMs).toZonedDateTimeISO(timezone)
  while (at.epochMilliseconds < endsMs) {
    starts.push(at.epochMilliseconds)
    at = at.toPlainDate().add({ days: 1 }).toZonedDateTime({ timeZone: timezone })
  }
  return starts
}

/** Inserts a day of them; sent again, the table drops it by its token. */
export async function insertUnallocated(
  facts: FactsClient,
  { chunk, rows }: Unallocated,
  { importId, version }: Booking,
  advertiserId: string,
): Promise<void> {
  const lines = new LineBuffer()
  for (const { row, atMs, amountMicros } of rows)
    lines.addText(
      JSON.stringify({
        ...columnsOf(row),
        ...{ at: atMs, import_id: importId, import_version: version, import_row: row.rowNo, chunk, is_reversal: false },
        ...{ click_id: NO_CLICK, cost_micros: String(amountMicros), currency: row.currency },
        advertiser_id: advertiserId,
      }),
    )
  const token = `cost:${importId}:${version}:${chunk}`
  await insertLines(facts, { table: 'costs', lines: lines.toBuffer(), token })
}

function columnsOf({ dimensions }: CostRow): Record<string, unknown> {
  const columns: Record<string, unknown> = {}
  const sub2_keys: Record<string, string> = {}
  for (const [name, value] of Object.entries(dimensions)) {
    const key = sub2KeyOf(name)
    if (key === undefined) columns[name] = value
    else sub2_keys[key] = value
  }
  return { ...columns, sub2_keys }
}
