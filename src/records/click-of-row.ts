import type { ClickRecord } from './records.ts'

/** A row of the facts as JSON: column name → value, 64-bit integers as text. */
type Row = Readonly<Record<string, unknown>>

const isEmpty = (value: unknown): boolean =>
  value === '' ||
  value === null ||
  value === false ||
  value === 0 ||
  value === '0' ||
  (typeof value === 'object' && Object.keys(value).length === 0)

/** ClickHouse writes UTC without saying so. */
const timeOf = (value: unknown): number => Date.parse(`${String(value).replace(' ', 'T')}Z`)

/** The record of a click from its row in the facts: columns have the names of its fields, what is not known is empty there and
 * left out here.
 */
export function clickOfRow(row: Row): ClickRecord {
  const {
    log_partition: _partition,
    log_offset: _offset,
    is_unique_campaign: _campaign,
    is_unique_offer: _offerUnique,
    is_unique_global: _globalUnique,
    referrer_host: _referrerHost,
    ...fields
  } = row
  const cost = Number(fields['cost_micros'] ?? 0)
  return {
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value))),
    kind: 'click',
    at: timeOf(row['at']),
    trace: String(row['trace'] ?? ''),
    config_version: Number(row['config_version']),
    ...(cost === 0 ? {} : { cost_micros: cost }),
  } as unknown as ClickRecord
}
