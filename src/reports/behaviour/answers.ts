import { QUERY_MEMORY_BYTES_MAX } from '../ask-facts.ts'
import { dimensionValue } from '../dimensions.ts'
import type { Scope } from './steps.ts'

export type GroupValue = string

/** Part of a whole with up to six decimals; null where there is no whole. */
export const share = (part: number, whole: number): number | null =>
  whole === 0 ? null : Math.round((part / whole) * 1_000_000) / 1_000_000

/** The values of a row's groups by the names of their dimensions. */
export const groupValues = (
  row: Readonly<Record<string, unknown>>,
  { groupBy, timezone }: Pick<Scope, 'groupBy' | 'timezone'>,
): Readonly<Record<string, GroupValue>> =>
  Object.fromEntries(
    groupBy.map((dimension, index) => [
      dimension.name,
      dimensionValue(dimension, String(row[`g${index}`] ?? ''), timezone),
    ]),
  )

/** From here on clicks or visitors are put together on the disk: slower, and in less memory than a report may take. Stands after a
 * query's LIMIT.
 */
export const SPILLING = `SETTINGS max_bytes_before_external_group_by = ${Math.round(QUERY_MEMORY_BYTES_MAX / 2)}`
