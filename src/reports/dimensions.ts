import type { Role } from '#accounts'
import { factsMoment } from '#platform/clock'

import { factsTables, type FactsTable } from './measures.ts'
import { formatHour } from './time-range.ts'
import { everyone, notAffiliates } from './visibility.ts'

/** What a report can be grouped and filtered by. Most are columns that clicks, events and conversions all have. */
export type Dimension = {
  readonly name: string
  /** For people: the head of a column. */
  readonly title: string
  readonly description: string
  readonly section: Section
  /** Those of time are made of the time of the report; `key` of sub2's pairs; the others are a column. */
  readonly kind: DimensionKind
  /** Column or key. */
  readonly of: string
  /** Tables that know it. Rows of the others stand under the empty value. */
  readonly tables: readonly FactsTable[]
  readonly visibleTo: readonly Role[]
  /** Column of clicks with a 64-bit hash of it (cityHash64), by which very many values are told apart quickly. */
  readonly hashColumn?: string
}

export type TimeKind = 'date' | 'hour' | 'hour_of_day' | 'weekday' | 'week' | 'month'
export type DimensionKind = TimeKind | 'column' | 'number' | 'uuid' | 'sub2_key'

/** Groups of dimensions, for who chooses among them. */
export type Section = 'time' | 'who' | 'traffic' | 'place' | 'device' | 'sub ids' | 'quality' | 'outcome'

type More = Partial<Pick<Dimension, 'kind' | 'of' | 'tables' | 'visibleTo' | 'hashColumn'>>

const inSection =
  (section: Section) =>
  (name: string, title: string, description: string, more: More = {}): Dimension => ({
    ...{ name, title, description, section, kind: 'column', of: name, tables: factsTables, visibleTo: everyone },
    ...more,
  })

const time = (name: TimeKind, title: string, description: string): Dimension =>
  inSection('time')(name, title, description, { kind: name, of: 'at' })
const who = inSection('who')
const traffic = inSection('traffic')
const place = inSection('place')
const device = inSection('device')
const sub = inSection('sub ids')
const quality = inSection('quality')
const outcome = inSection('outcome')

const ofClicks: More = { tables: ['clicks', 'costs'] }
const ofEvents: More = { tables: ['events'] }
const ofConversions: More = { tables: ['conversions'] }

const listed: readonly Dimension[] = [
  time('date', 'Date', 'Day in the zone of the report, YYYY-MM-DD'),
  time('hour', 'Hour', 'Hour in the zone of the report, ISO 8601 with offset'),
  time('hour_of_day', 'Hour of day', 'Hour of the day in the zone of the report, 0 to 23'),
  time('weekday', 'Weekday', 'Day of the week in the zone of the report, 1 (Monday) to 7'),
  time('week', 'Week', 'ISO week in the zone of the report, YYYY-Www'),
  time('month', 'Month', 'Month in the zone of the report, YYYY-MM'),
  who('advertiser_id', 'Advertiser', 'Advertiser'),
  who('affiliate_id', 'Affiliate', 'Affiliate'),
  who('campaign_id', 'Campaign', 'Campaign'),
  who('flow_id', 'Flow', 'Flow'),
  who('landing_id', 'Landing page', 'Landing page'),
  who('offer_id', 'Offer', 'Offer'),
  traffic('source_id', 'Traffic source', 'Traffic source'),
  traffic('ad_campaign_id', 'Ad campaign', "Traffic source's campaign"),
  traffic('creative_id', 'Creative', 'Creative'),
  traffic('external_click_id', 'External click id', "Traffic source's id of the click"),
  traffic('referrer_host', 'Referrer', 'Host that the click came from'),
  traffic('utm_source', 'utm_source', 'utm_source'),
  traffic('utm_medium', 'utm_medium', 'utm_medium'),
  traffic('utm_campaign', 'utm_campaign', 'utm_campaign'),
  traffic('utm_term', 'utm_term', 'utm_term'),
  traffic('utm_content', 'utm_content', 'utm_content'),
  traffic('domain', 'Domain', 'Host of ours that the click came to', ofClicks),
  traffic('link_code', 'Link', 'Code of the link', ofClicks),
  traffic('click_id', 'Click', 'Id of the click', { kind: 'uuid' }),
  traffic('visitor_code', 'Visitor', 'Id of the visitor', { visibleTo: notAffiliates }),
  place('country', 'Country', 'Country, ISO 3166-1 alpha-2'),
  place('region', 'Region', 'Region'),
  place('city', 'City', 'City'),
  place('isp', 'Provider', 'Internet provider'),
  place('asn', 'ASN', 'Number of the network', { kind: 'number' }),
  place('connection', 'Connection', 'Kind of connection'),
  device('device_type', 'Device', 'Kind of device'),
  device('device_brand', 'Brand', 'Brand of the device'),
  device('device_model', 'Model', 'Model of the device'),
  device('os', 'OS', 'Operating system'),
  device('os_version', 'OS version', 'Version of the operating system'),
  device('browser', 'Browser', 'Browser'),
  device('browser_version', 'Browser version', 'Version of the browser'),
  device('language', 'Language', 'First language of the browser'),
  quality('bot', 'Bot', 'Why it is taken for a bot; empty: it is not'),
  // Whoever knows by what they are judged learns how to stay below it.
  quality('fraud_reason', 'Fraud', 'Rule that gave the click most points of fraud; empty: no rule did', { visibleTo: notAffiliates }),
  quality('refusal', 'Refusal', 'Why a click or event was refused; empty: it was not', {
    ...{ tables: ['clicks', 'events', 'costs'], visibleTo: notAffiliates },
  }),
  outcome('outcome', 'Outcome', 'What the click was answered with: redirected, shown, fallback, not_found', ofClicks),
  outcome('event_type', 'Event', 'Type of the event', { ...ofEvents, of: 'type' }),
  outcome('conversion_type', 'Conversion', 'Type of the conversion: lead, sale', { ...ofConversions, of: 'type' }),
  outcome('goal', 'Goal', 'Event that the conversion is for', ofConversions),
  outcome('status', 'Status', 'Status of the conversion: pending, approved, rejected', ofConversions),
  outcome('raw_status', 'Raw status', "Status of the conversion in the partner's own word", ofConversions),
  sub('sub1', 'Sub 1', 'Sub id 1', { hashColumn: 'sub1_hash' }),
  ...Array.from({ length: 29 }, (_, index) => sub(`sub${index + 2}`, `Sub ${index + 2}`, `Sub id ${index + 2}`)),
] // prettier-ignore

/** Every dimension with a name of its own; besides them there is `sub2.<key>` for each key of sub2. */
export const dimensions: ReadonlyMap<string, Dimension> = new Map(
  listed.map((dimension) => [dimension.name, dimension]),
)

/** `sub2.geo`: the value of one key of `sub2=geo-TR|dev-mobile`. */
export const SUB2_KEY_DIMENSION = /^sub2\.([A-Za-z0-9_]{1,50})$/

/** The dimension of this name; undefined where there is none. */
export function findDimension(name: string): Dimension | undefined {
  const known = dimensions.get(name)
  if (known !== undefined) return known
  const key = SUB2_KEY_DIMENSION.exec(name)?.[1]
  return key === undefined
    ? undefined
    : sub(name, `Sub 2 ${key}`, `Value of the sub2 key ${key}`, { kind: 'sub2_key', of: key })
}

/** The dimensions that somebody of this role may see, in their usual order. */
export const visibleDimensions = (role: Role): readonly Dimension[] =>
  listed.filter(({ visibleTo }) => visibleTo.includes(role))

const timeKinds: ReadonlySet<string> = new Set<TimeKind>(['date', 'hour', 'hour_of_day', 'weekday', 'week', 'month'])

/** Whether it is made of the time. */
export const isOfTime = ({ kind }: Dimension): boolean => timeKinds.has(kind)

/** Which time of a row counts, and where it is moved to: a period that is compared stands under the days of the other. */
export type TimeBasis = {
  /** Column. */
  readonly at: string
  /** Calendar days or years that a row's day is moved by. */
  readonly shift?: { readonly unit: 'days' | 'years'; readonly by: number } | undefined
}

/** A dimension as SQL over one table. `{timezone:String}` is the zone of the report.
 * Columns are grouped as they are stored: made into text they would be hashed as text for every row.
 * @param keyParam parameter that holds the key, for a key of sub2
 */
export function dimensionColumnSql(
  { kind, of, tables }: Dimension,
  table: FactsTable,
  basis: TimeBasis,
  keyParam: string,
): string {
  if (!tables.includes(table)) return emptyDimensionSql()
  switch (kind) {
    case 'date':
      return daySql(basis)
    case 'week':
      return `toMonday(${daySql(basis)})`
    case 'month':
      return `toStartOfMonth(${daySql(basis)})`
    case 'hour':
      return `toUnixTimestamp(toStartOfHour(${hourSql(basis)}, {timezone:String}))`
    case 'hour_of_day':
      return `toHour(${basis.at}, {timezone:String})`
    case 'weekday':
      return `toDayOfWeek(${basis.at}, 0, {timezone:String})`
    case 'sub2_key':
      return `sub2_keys[{${keyParam}:String}]`
    case 'column':
    case 'number':
    case 'uuid':
      return of
    default:
      return kind satisfies never
  }
}

/** Every dimension that some table does not have is a column of words. */
const emptyDimensionSql = (): string => `toLowCardinality('')`

function daySql({ at, shift }: TimeBasis): string {
  const day = `toDate(${at}, {timezone:String})`
  if (shift === undefined || shift.by === 0) return day
  return shift.unit === 'days' ? `${day} + ${shift.by}` : `addYears(${day}, ${shift.by})`
}

function hourSql({ at, shift }: TimeBasis): string {
  if (shift === undefined || shift.by === 0) return at
  return `${shift.unit === 'days' ? 'addDays' : 'addYears'}(toDateTime(${at}, {timezone:String}), ${shift.by})`
}

/** A value of a group as people and filters know it. */
export function dimensionValue({ kind }: Dimension, raw: string | number, timezone: string): string {
  switch (kind) {
    case 'hour':
      return formatHour(Number(raw), timezone)
    case 'week':
      return isoWeek(String(raw))
    case 'month':
      return String(raw).slice(0, 'YYYY-MM'.length)
    case 'number':
      return Number(raw) === 0 ? '' : String(raw)
    default:
      return String(raw)
  }
}

/** @param monday YYYY-MM-DD */
function isoWeek(monday: string): string {
  const { yearOfWeek, weekOfYear } = Temporal.PlainDate.from(monday)
  return `${yearOfWeek}-W${String(weekOfYear).padStart(2, '0')}`
}

/** The values of a filter as ClickHouse compares them with the dimension; a value that no row can have is a refusal's sentence. */
export function filterValues({ kind, name }: Dimension, values: readonly string[]): FilterValues {
  const reader = readers[kind]
  const read = values.map((value) => reader.read(value))
  const wrong = values[read.indexOf(undefined)]
  return wrong === undefined
    ? { type: reader.type, values: read as (string | number)[] }
    : { problem: `"${wrong}" is no value of ${name}, which is ${reader.said}` }
}

export type FilterValues =
  { readonly type: string; readonly values: readonly (string | number)[] } | { readonly problem: string }

type ValueReader = {
  /** Of ClickHouse. */
  readonly type: string
  readonly said: string
  readonly read: (value: string) => string | number | undefined
}

const textReader: ValueReader = { type: 'String', said: 'any text', read: (value) => value }
const dateReader = (said: string, read: (value: string) => string | undefined): ValueReader => ({
  ...{ type: 'Date', said, read },
})
const numberReader = (said: string, type: string, min: number, max: number, ofEmpty?: number): ValueReader => ({
  ...{ type, said },
  read(value) {
    if (value === '') return ofEmpty
    return /^\d{1,10}$/.test(value) && Number(value) >= min && Number(value) <= max ? Number(value) : undefined
  },
})

const readers: Readonly<Record<DimensionKind, ValueReader>> = {
  date: dateReader('a day such as 2026-03-29', (value) => readDay(value)),
  week: dateReader('a week such as 2026-W13', mondayOf),
  month: dateReader('a month such as 2026-03', (value) => readDay(`${value}-01`)),
  hour: { type: 'UInt32', said: 'an hour such as 2026-03-29T03:00:00+02:00', read: readHour },
  hour_of_day: numberReader('0 to 23', 'UInt8', 0, 23),
  weekday: numberReader('1 (Monday) to 7', 'UInt8', 1, 7),
  // A number that is not known is 0.
  number: numberReader('a number', 'UInt32', 0, 2 ** 32 - 1, 0),
  uuid: {
    type: 'UUID',
    said: 'a UUID',
    read: (value) => (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value) ? value : undefined),
  },
  column: textReader,
  sub2_key: textReader,
}

function readDay(text: string): string | undefined {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined
  try {
    const day = Temporal.PlainDate.from(text, { overflow: 'reject' })
    return factsMoment(day.toZonedDateTime('UTC').epochMilliseconds) === undefined ? undefined : day.toString()
  } catch {
    // A day that does not exist, such as 2026-02-30.
    return undefined
  }
}

function mondayOf(text: string): string | undefined {
  const [, year, week] = /^(\d{4})-W(\d{2})$/.exec(text) ?? []
  if (year === undefined || Number(week) < 1 || Number(week) > 53) return undefined
  // The fourth of January always is in the first week.
  const fourth = Temporal.PlainDate.from(`${year}-01-04`)
  const monday = fourth.subtract({ days: fourth.dayOfWeek - 1 }).add({ weeks: Number(week) - 1 })
  return isoWeek(monday.toString()) === text ? monday.toString() : undefined
}

function readHour(text: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})$/.test(text)) return undefined
  try {
    const ms = factsMoment(Temporal.Instant.from(text).epochMilliseconds)
    return ms === undefined ? undefined : ms / 1000
  } catch {
    // An hour that does not exist, such as 25:00.
    return undefined
  }
}
