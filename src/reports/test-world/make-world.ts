import type { ClickId } from '#platform/ids'
import { createRandom, type Random } from '#platform/random'
import type { ClickRecord, EventRecord, RefusalReason } from '#records'

/** What happened in a made-up installation: the clicks and events of its log in their order, and the revisions of its conversions.
 * One seed gives one world.
 */
export type World = {
  readonly clicks: readonly ClickRecord[]
  readonly events: readonly EventRecord[]
  /** In the order in which they were booked. */
  readonly revisions: readonly Revision[]
  readonly costs: readonly CostShare[]
  /** Days that the clicks lie on, each `YYYY-MM-DD` in UTC. */
  readonly days: readonly string[]
}

/** One state of a conversion. The first of a conversion makes it, each later one takes the place of the one before. */
export type Revision = {
  readonly conversionId: string
  readonly revision: number
  readonly click: ClickRecord
  /** When the conversion happened; the same in all its revisions. Milliseconds since the epoch, as all times here. */
  readonly at: number
  readonly revisedAt: number
  readonly type: 'lead' | 'sale'
  readonly goal: string
  readonly txid: string
  readonly currency: string
  readonly status: 'pending' | 'approved' | 'rejected'
  /** In the partner's own word. */
  readonly rawStatus: string | undefined
  readonly payoutMicros: bigint
  readonly revenueMicros: bigint
  readonly saleAmountMicros: bigint
}

/** What an import says that a click cost, or what it says of no click. Negative: taken back. */
export type CostShare = {
  readonly at: number
  /** The click that bears it, or what the import named and the click id of zeros. */
  readonly click: ClickRecord
  readonly micros: bigint
  readonly currency: string
}

export type WorldSize = {
  readonly seed: number
  /** Requests for links, clicks or not. */
  readonly clicks: number
  /** First day, `YYYY-MM-DD`; left out: one of the nights on which clocks change lies in the world. */
  readonly firstDay?: string
  readonly days?: number
}

/** Three days before a night on which clocks change in Europe or America, forwards and backwards, and a turn of the year. */
const FIRST_DAYS = ['2026-03-06', '2026-03-27', '2026-10-23', '2026-10-30', '2025-12-29'] as const
const DAYS = 6
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** What may stand in a place; the more often a value is named, the more often it comes. Undefined: not known. */
const values = {
  country: ['DE', 'DE', 'TR', 'US', 'BR', undefined],
  region: ['Berlin', 'İstanbul', undefined],
  city: ['Köln', 'Kadıköy', "L'Aquila", undefined],
  isp: ['Telekom', 'Türk "Telekom"', undefined],
  asn: [3320, 9121, undefined],
  os: ['Android', 'iOS', 'Windows', undefined],
  os_version: ['15', '9', '17.1', undefined],
  browser: ['Chrome', 'Safari', undefined],
  browser_version: ['140', '99.0.1', undefined],
  device_type: ['mobile', 'mobile', 'desktop', 'tablet', undefined],
  device_brand: ['Samsung', 'Apple', undefined],
  device_model: ['S24', 'iPhone', undefined],
  language: ['tr-tr', 'de', 'en-us', undefined],
  connection: ['4g', '3g', undefined, undefined],
  bot: ['user_agent', 'datacentre', ...Array.from({ length: 18 }, () => undefined)],
  fraud_reason: ['ip_rate', 'proxy', ...Array.from({ length: 10 }, () => undefined)],
  referrer: ['https://News.example:8080/a?b=1', 'https://m.facebook.com/', 'android-app://org.example', undefined],
  source_id: ['fb', 'google', undefined],
  ad_campaign_id: ['777', '778', undefined],
  creative_id: ['banner', 'video', undefined],
  external_click_id: ['ext-1', 'ext-2', undefined],
  sub1: ['a', 'b', 'c;--', '😀', undefined],
  sub2: ['geo-TR|dev-m', undefined],
  sub7: ['seven', undefined],
  sub30: ['last', undefined],
  utm_source: ['newsletter', undefined],
  utm_medium: ['mail', undefined],
  utm_campaign: ['black friday', undefined],
  utm_term: ['shoes', undefined],
  utm_content: ['top', undefined],
  domain: ['go.example', 'x.example'],
  link_code: ['promo', undefined, undefined],
} as const

const SUB2_KEYS = [{ geo: 'TR', dev: 'm' }, { geo: 'DE' }, undefined, undefined] as const
const CLASSES = [...Array.from({ length: 22 }, () => 'click' as const), 'head', 'prefetch', 'preview'] as const
const CURRENCIES = ['EUR', 'EUR', 'USD', 'TRY'] as const
const EVENT_TYPES = [
  'open',
  'open',
  'open',
  'lp_click',
  'lp_click',
  'lp_leave',
  'reg',
  'deposit',
  'sale',
  'kyc',
] as const
const RAW_STATUSES = ['Approved', 'HOLD', '1']
const GOALS = { lead: ['reg', 'lead', 'kyc'], sale: ['sale', 'deposit', 'deposit'] } as const

/** Where a click can go: advertiser, campaign (none: a link straight to the offer), flow, landing, offer. */
const TARGETS = [
  { advertiser_id: 'acme', campaign_id: 'spring', flow_id: 'f1', landing_id: 'l1', offer_id: 'casino' },
  { advertiser_id: 'acme', campaign_id: 'spring', flow_id: 'f2', landing_id: undefined, offer_id: 'poker' },
  { advertiser_id: 'acme', campaign_id: 'autumn', flow_id: 'f3', landing_id: 'l2', offer_id: 'casino' },
  { advertiser_id: 'acme', campaign_id: undefined, flow_id: undefined, landing_id: undefined, offer_id: 'casino' },
  { advertiser_id: 'brand', campaign_id: 'winter', flow_id: 'f4', landing_id: 'l3', offer_id: 'shop' },
  { advertiser_id: 'brand', campaign_id: undefined, flow_id: undefined, landing_id: 'l3', offer_id: 'shop' },
  { advertiser_id: 'third', campaign_id: 'solo', flow_id: 'f5', landing_id: 'l4', offer_id: 'solo' },
] as const
const AFFILIATES = ['ann', 'bert', 'ann', undefined] as const

/** @returns the same world for the same size, on every machine */
export function makeWorld(size: WorldSize): World {
  const random = createRandom(size.seed)
  const firstDay = size.firstDay ?? pick(random, FIRST_DAYS)
  const dayCount = size.days ?? DAYS
  const fromMs = Date.parse(`${firstDay}T00:00:00Z`)
  const clicks = makeClicks(random, size.clicks, fromMs, dayCount * DAY_MS)
  return {
    clicks,
    events: clicks.flatMap((click) => makeEvents(random, click)).sort((a, b) => a.at - b.at),
    revisions: clicks.flatMap((click) => makeRevisions(random, click)).sort((a, b) => a.revisedAt - b.revisedAt),
    costs: clicks.flatMap((click) => makeCosts(random, click)),
    days: Array.from({ length: dayCount }, (_, day) => new Date(fromMs + day * DAY_MS).toISOString().slice(0, 10)),
  }
}

/** Share of something happening. */
const happens = (random: Random, share: number): boolean => random() < share
const below = (random: Random, count: number): number => Math.floor(random() * count)
const pick = <Value>(random: Random, from: readonly Value[]): Value => from[below(random, from.length)]!

/** A UUIDv7 of a time, from the world's own numbers. */
function uuidAt(random: Random, at: number): ClickId {
  const hex = (digits: number): string =>
    Math.floor(random() * 16 ** digits)
      .toString(16)
      .padStart(digits, '0')
  const time = at.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(3)}-8${hex(3)}-${hex(6)}${hex(6)}` as ClickId
}

type Visitor = { readonly code: string | undefined; readonly ip: string; readonly userAgent: string }

function makeClicks(random: Random, count: number, fromMs: number, spanMs: number): readonly ClickRecord[] {
  const times = Array.from({ length: count }, () => fromMs + below(random, spanMs)).sort((a, b) => a - b)
  const visitors: Visitor[] = []
  const clicks: ClickRecord[] = []
  for (const at of times) {
    const again = clicks.length > 0 && happens(random, 0.01)
    if (again) clicks.push({ ...pick(random, clicks.slice(-50)), at })
    else clicks.push(makeClick(random, at, chooseVisitor(random, at, visitors)))
  }
  return clicks
}

/** New, come again with the cookie, or come again without it. */
function chooseVisitor(random: Random, at: number, visitors: Visitor[]): Visitor {
  if (visitors.length > 0 && happens(random, 0.45)) {
    const known = visitors[Math.max(0, visitors.length - 1 - below(random, 400))]!
    return happens(random, 0.8) ? known : { ...known, code: happens(random, 0.5) ? uuidAt(random, at) : undefined }
  }
  const visitor = {
    code: uuidAt(random, at),
    ip: `198.51.${below(random, 256)}.${below(random, 256)}`,
    userAgent: `agent ${below(random, 9)}`,
  }
  visitors.push(visitor)
  return visitor
}

type Named = { readonly [name in keyof typeof values]?: (typeof values)[name][number] }

function knownValues(random: Random): Named {
  const named: Record<string, unknown> = {}
  for (const [name, from] of Object.entries(values)) {
    const value = pick<unknown>(random, from)
    if (value !== undefined) named[name] = value
  }
  return named as Named
}

function makeClick(random: Random, at: number, visitor: Visitor): ClickRecord {
  const isLost = happens(random, 0.04)
  const target = isLost && happens(random, 0.5) ? undefined : pick(random, TARGETS)
  const sub2_keys = pick(random, SUB2_KEYS)
  const currency = pick(random, CURRENCIES)
  const affiliate_id = pick(random, AFFILIATES)
  const named = knownValues(random)
  const { fraud_reason } = named
  return withoutUndefined({
    kind: 'click',
    // A sender may make ids of its own: those do not hold the click's millisecond.
    click_id: uuidAt(random, happens(random, 0.03) ? at - 5 : at),
    at,
    class: pick(random, CLASSES),
    ...decidedAs(random, isLost),
    ...target,
    affiliate_id: target === undefined ? undefined : affiliate_id,
    ...named,
    fraud_score: fraud_reason === undefined ? undefined : 60,
    sub2_keys,
    cost_micros: happens(random, 0.6) ? below(random, 3_000_000) : undefined,
    currency,
    visitor_code: visitor.code,
    ip: visitor.ip,
    user_agent: visitor.userAgent,
    config_version: 1,
    trace: '1',
  }) as ClickRecord
}

function decidedAs(random: Random, isLost: boolean): Pick<ClickRecord, 'outcome' | 'refusal'> {
  if (!isLost) return { outcome: happens(random, 0.8) ? 'redirected' : 'shown' }
  return {
    outcome: happens(random, 0.5) ? 'fallback' : 'not_found',
    refusal: pick<RefusalReason>(random, ['over_cap', 'offer_paused', 'fraud_refused']),
  }
}

const withoutUndefined = <Fields extends object>(fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields

/** Late more often than not soon: some come after weeks. */
const delayMs = (random: Random): number =>
  1 + Math.floor(random() ** 4 * (happens(random, 0.1) ? 20 * DAY_MS : 6 * HOUR_MS))

const wentSomewhere = (click: ClickRecord): boolean =>
  click.class === 'click' && click.refusal === undefined && click.offer_id !== undefined

function makeEvents(random: Random, click: ClickRecord): readonly EventRecord[] {
  if (!wentSomewhere(click) || !happens(random, 0.5)) return []
  const events: EventRecord[] = []
  for (let count = 1 + below(random, 4); count > 0; count--) {
    const at = click.at + delayMs(random)
    const event = makeEvent(random, click, at)
    events.push(event)
    // The page sends again what it does not know to have arrived.
    if (happens(random, 0.05)) events.push({ ...event, at: at + below(random, 5_000) })
  }
  return events
}

function makeEvent(random: Random, click: ClickRecord, at: number): EventRecord {
  const type = pick(random, EVENT_TYPES)
  const isStray = happens(random, 0.03)
  return withoutUndefined({
    kind: 'event',
    event_id: uuidAt(random, at),
    at,
    click_id: isStray ? uuidAt(random, at) : click.click_id,
    type: happens(random, 0.03) ? 'nobody_knows' : type,
    txid: happens(random, 0.5) ? `t${below(random, 4)}` : undefined,
    refusal: happens(random, 0.02) ? 'field_invalid' : undefined,
    amount_micros: type === 'deposit' ? below(random, 90_000_000) : undefined,
    currency: type === 'deposit' ? 'USD' : undefined,
    time_on_page_ms: type === 'lp_leave' ? below(random, 400_000) : undefined,
    connection: happens(random, 0.3) ? 'wifi' : undefined,
    country: happens(random, 0.5) ? 'FR' : undefined,
    referrer: happens(random, 0.5) ? 'https://landing.example/page' : undefined,
    ip: click.ip,
  }) as EventRecord
}

/** Up to three conversions of a click, each with up to four states. */
function makeRevisions(random: Random, click: ClickRecord): readonly Revision[] {
  if (!wentSomewhere(click) || !happens(random, 0.2)) return []
  return Array.from({ length: 1 + below(random, 3) }, (_, number) => makeConversion(random, click, number)).flat()
}

function makeConversion(random: Random, click: ClickRecord, number: number): readonly Revision[] {
  const at = click.at + delayMs(random)
  const type = happens(random, 0.5) ? 'lead' : 'sale'
  // A sale that earns nobody anything still has its size.
  const isFree = happens(random, 0.1)
  const first: Revision = {
    conversionId: uuidAt(random, at),
    revision: 1,
    click,
    at,
    revisedAt: at,
    type,
    goal: pick(random, GOALS[type]),
    txid: `c${number}`,
    currency: pick(random, CURRENCIES),
    status: pick(random, ['pending', 'approved', 'approved', 'rejected']),
    rawStatus: happens(random, 0.5) ? pick(random, RAW_STATUSES) : undefined,
    payoutMicros: isFree ? 0n : BigInt(below(random, 40_000_000)),
    revenueMicros: isFree ? 0n : BigInt(below(random, 90_000_000)),
    saleAmountMicros: type === 'sale' ? BigInt(below(random, 500_000_000)) : 0n,
  }
  const states = [first]
  while (states.length < 4 && happens(random, 0.35)) states.push(revise(random, states.at(-1)!))
  return states
}

const revise = (random: Random, before: Revision): Revision => ({
  ...before,
  revision: before.revision + 1,
  revisedAt: before.revisedAt + 1 + below(random, DAY_MS),
  status: pick(random, ['pending', 'approved', 'rejected']),
  rawStatus: happens(random, 0.5) ? pick(random, RAW_STATUSES) : before.rawStatus,
  payoutMicros: happens(random, 0.5) ? before.payoutMicros : BigInt(below(random, 40_000_000)),
  revenueMicros: happens(random, 0.7) ? before.revenueMicros : BigInt(below(random, 90_000_000)),
})

const NO_CLICK = '00000000-0000-0000-0000-000000000000' as ClickId

/** A share of a click, sometimes corrected, sometimes of no click at all. */
function makeCosts(random: Random, click: ClickRecord): readonly CostShare[] {
  if (click.class !== 'click' || click.outcome === 'not_found' || !happens(random, 0.15)) return []
  const { at, advertiser_id, campaign_id, country } = click
  const named = withoutUndefined({ click_id: NO_CLICK, advertiser_id, campaign_id, country }) as ClickRecord
  const share: CostShare = {
    at,
    click: happens(random, 0.1) ? named : click,
    micros: BigInt(below(random, 2_000_000)),
    currency: pick(random, CURRENCIES),
  }
  if (happens(random, 0.8)) return [share]
  return [share, { ...share, micros: -share.micros }, { ...share, micros: BigInt(below(random, 2_000_000)) }]
}
