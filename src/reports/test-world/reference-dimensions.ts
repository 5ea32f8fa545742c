import { hostOfUrl } from '#rules'
import { subNames, type ClickRecord } from '#records'

import type { Fact } from './facts-of-world.ts'

/** When a fact counts: its own time or its click's, in the zone of the report, and the calendar days that it is moved by where its
 * period is compared with a later one.
 */
type When = { readonly atMs: number; readonly zone: string; readonly shiftDays: number }

/** The value of a fact in a dimension; empty where it is not known. */
type ReferenceDimension = (fact: Fact, when: When) => string

/** What is known of the visitor and the link: that of the click, also for its events and conversions. An event without a click has
 * only what its own request tells.
 */
const recordOf = (fact: Fact): Readonly<Record<string, unknown>> =>
  fact.kind === 'event' ? (fact.click ?? fact.event) : fact.click

const ofClick =
  (name: keyof ClickRecord): ReferenceDimension =>
  (fact) => {
    const value = recordOf(fact)[name]
    return value === undefined ? '' : String(value)
  }

/** Only some kinds of facts know it: the others stand under the empty value. */
const ofKind =
  <Kind extends Fact['kind']>(
    kind: Kind,
    read: (fact: Extract<Fact, { kind: Kind }>) => string | undefined,
  ): ReferenceDimension =>
  (fact) =>
    fact.kind === kind ? (read(fact as Extract<Fact, { kind: Kind }>) ?? '') : ''

/** Clicks know it, and what was paid for them. */
const ofClickAlone =
  (read: (click: ClickRecord) => string | undefined): ReferenceDimension =>
  (fact) =>
    fact.kind === 'click' || fact.kind === 'cost' ? (read(fact.click) ?? '') : ''

const OF_CLICK = [
  ...(['advertiser_id', 'campaign_id', 'flow_id', 'offer_id', 'landing_id', 'affiliate_id', 'click_id'] as const),
  ...(['source_id', 'ad_campaign_id', 'creative_id', 'external_click_id'] as const),
  ...(['country', 'region', 'city', 'isp', 'asn', 'device_type', 'device_brand', 'device_model'] as const),
  ...(['os', 'os_version', 'browser', 'browser_version', 'language', 'connection', 'bot', 'fraud_reason'] as const),
  ...(['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'] as const),
  ...subNames,
] satisfies readonly (keyof ClickRecord)[]

const listed: Readonly<Record<string, ReferenceDimension>> = {
  ...Object.fromEntries(OF_CLICK.map((name) => [name, ofClick(name)])),
  date: (_, when) => localTime(when).date,
  hour: (_, when) => localTime(when).hour,
  hour_of_day: (_, when) => localTime(when).hourOfDay,
  weekday: (_, when) => localTime(when).weekday,
  week: (_, when) => localTime(when).week,
  month: (_, when) => localTime(when).date.slice(0, 'YYYY-MM'.length),
  referrer_host: ({ click }) => (click?.referrer === undefined ? '' : hostOfUrl(click.referrer)),
  visitor_code: (fact) =>
    (fact.kind === 'event' ? fact.event.visitor_code : undefined) ?? fact.click?.visitor_code ?? '',
  domain: ofClickAlone(({ domain }) => domain),
  link_code: ofClickAlone(({ link_code }) => link_code),
  outcome: ofClickAlone(({ outcome }) => outcome),
  refusal: (fact) =>
    (fact.kind === 'event' ? fact.refusal : fact.kind === 'conversion' ? undefined : fact.click.refusal) ?? '',
  event_type: ofKind('event', ({ event }) => event.type),
  conversion_type: ofKind('conversion', ({ conversion }) => conversion.type),
  goal: ofKind('conversion', ({ conversion }) => conversion.goal),
  status: ofKind('conversion', ({ conversion }) => conversion.status),
  raw_status: ofKind('conversion', ({ conversion }) => conversion.rawStatus),
}

/** The dimension of a name, also of a key of sub2; undefined: there is no definition. */
export function referenceDimension(name: string): ReferenceDimension | undefined {
  if (!name.startsWith('sub2.')) return Object.hasOwn(listed, name) ? listed[name] : undefined
  const key = name.slice('sub2.'.length)
  return (fact) => {
    const own = fact.kind === 'event' ? fact.event.sub2_keys : undefined
    return (own ?? fact.click?.sub2_keys)?.[key] ?? ''
  }
}

type LocalTime = {
  readonly date: string
  readonly hour: string
  readonly hourOfDay: string
  readonly weekday: string
  readonly week: string
}

const QUARTER_MS = 900_000
/** Clocks change at quarters of an hour: within one, day and hour are the same. */
const known = new Map<string, LocalTime>()

function localTime({ atMs, zone, shiftDays }: When): LocalTime {
  const quarter = Math.floor(atMs / QUARTER_MS)
  const key = `${zone} ${quarter} ${shiftDays}`
  const found = known.get(key) ?? readLocalTime(quarter * QUARTER_MS, zone, shiftDays)
  known.set(key, found)
  return found
}

/** Days, weeks and months are those it is moved to, as is the hour of a day; hours and weekdays by themselves stay its own. */
function readLocalTime(ms: number, zone: string, shiftDays: number): LocalTime {
  const own = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone)
  const moved = own.add({ days: shiftDays })
  const year = String(moved.yearOfWeek).padStart(4, '0')
  return {
    hourOfDay: String(own.hour),
    weekday: String(own.dayOfWeek),
    week: `${year}-W${String(moved.weekOfYear).padStart(2, '0')}`,
    date: moved.toPlainDate().toString(),
    hour: moved.subtract({ minutes: moved.minute }).toString({ smallestUnit: 'second', timeZoneName: 'never' }),
  }
}
