import type { FactsClient } from '#platform/clickhouse'

import type { BookedAmount } from './store.ts'
import { NO_CLICK } from './unallocated.ts'

export type Shares = {
  /** By import and currency; an import that is not listed is there with version 0. */
  readonly sums: readonly BookedAmount[]
  /** Shares that a click bears more than once of the same row and version. */
  readonly repeated: string
}

const SUMS = `
  SELECT toString(import_id) AS import_id, import_version AS version, currency, toString(sum(cost_micros)) AS micros FROM costs
  GROUP BY import_id, import_version, currency`
const REPEATED = `
  SELECT toString(count()) AS repeated FROM (
    SELECT 1 FROM costs WHERE click_id != {no_click:UUID}
    GROUP BY import_id, import_version, import_row, is_reversal, click_id HAVING count() > 1)`

/** What stands in the facts of imports, up to the versions that are listed. */
export async function sumShares(facts: FactsClient, booked: readonly BookedAmount[]): Promise<Shares> {
  const versions = new Map(booked.map((one) => [one.import_id, one.version]))
  const answer = await facts.query({ query: SUMS, format: 'JSONEachRow' })
  const sums = new Map<string, BookedAmount>()
  for (const { import_id, version, currency, micros } of await answer.json<BookedAmount>()) {
    const last = versions.get(import_id)
    if (last !== undefined && version > last) continue
    const key = `${import_id} ${currency}`
    const sum = BigInt(sums.get(key)?.micros ?? 0) + BigInt(micros)
    sums.set(key, { import_id, version: last ?? 0, currency, micros: String(sum) })
  }
  const repeated = await facts.query({ query: REPEATED, query_params: { no_click: NO_CLICK }, format: 'JSONEachRow' })
  return { sums: [...sums.values()], repeated: (await repeated.json<{ repeated: string }>())[0]!.repeated }
}
