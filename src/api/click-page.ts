import { asTenant, type Tenant } from '#accounts'
import { formatAmount } from '#platform/money'
import { uuidV7Time, type ClickId } from '#platform/ids'
import { deliveriesOfClick } from '#postbacks'
import { clickOfRow, refusalReasons, type ClickRecord } from '#records'
import { findClickFacts, findMissingDays, listEventsOfClick, type FactsRow, type MissingDays } from '#reports'
import { describeTrace } from '#routing'

import type { Api } from './api.ts'
import type { ConfigVersions } from './config-versions.ts'
import { conversionJson, listBookings, listConversions, listRevisions } from './conversions-store.ts'
import { archiveOf } from './archive-of.ts'
import { attemptJson, deliveryJson, whyNotJson } from './deliveries-json.ts'
import { missingDaysJson } from './missing-days.ts'
import { inboundJson, listInbound } from './inbound-store.ts'
import { verdictJson } from './verdict-json.ts'
import { waitingJson, waitingOf } from './waiting-json.ts'
import { findClickRecord } from './routes/inbound-postbacks.ts'

type Json = Readonly<Record<string, unknown>>

/** Everything about one click on one page: the answer to "why did it go there?" and "why was my postback not sent?". */
export type ClickPage = {
  readonly click: Json
  /** The decision in sentences. Not for affiliates: it tells how the advertiser's traffic is split. */
  readonly decision?: readonly string[]
  readonly events: readonly Json[]
  readonly conversions: readonly Json[]
  readonly revisions: readonly Json[]
  readonly bookings: readonly Json[]
  readonly inbound_postbacks?: readonly Json[]
  readonly deliveries: readonly Json[]
  readonly not_sent: readonly Json[]
  /** Whether the reports count it already. */
  readonly is_in_reports: boolean
  /** Days whose retired rows are not on the page. */
  readonly missing_days: readonly MissingDays[]
}

/** Rows of one kind on the page. */
const ROWS_MAX = 200

/** @returns undefined for a click that is unknown, or not the tenant's own */
export async function readClickPage(
  api: Api,
  versions: ConfigVersions,
  tenant: Tenant,
  clickId: ClickId,
): Promise<ClickPage | undefined> {
  const logged = findClickRecord(api, clickId)
  if (logged !== undefined && !isOwn(logged, tenant)) return undefined
  const inFacts = await findClickFacts(api.facts, tenant, clickId, logged?.at)
  const click = logged ?? (inFacts && clickOfRow(inFacts))
  if (click === undefined) return undefined
  const place = {
    clickId,
    atMs: click.at,
    advertiserId: click.advertiser_id ?? '',
    campaignId: click.campaign_id ?? '',
  }
  const [events, missing_days, rest, decision] = await Promise.all([
    listEventsOfClick(api.facts, tenant, place),
    findMissingDays(api.facts, tenant, [
      { table: 'events', range: { fromMs: click.at, toMs: api.clock.now() }, column: 'click_id' },
    ]),
    readObligations(api, tenant, clickId),
    tenant.role === 'affiliate' ? undefined : describeDecision(click, versions),
  ])
  return {
    click: clickJson(click, inFacts, tenant),
    ...(decision && { decision }),
    events: events.map(eventJson),
    ...rest,
    is_in_reports: inFacts !== undefined,
    missing_days: missingDaysJson(missing_days),
  }
}

/** Why a click that is nowhere may have been there: the day of its id was retired. Undefined: it was not. */
export async function whyNoClick(
  { facts }: Pick<Api, 'facts'>,
  tenant: Tenant,
  clickId: ClickId,
): Promise<string | undefined> {
  const atMs = uuidV7Time(clickId)
  if (atMs === undefined) return undefined
  const range = { fromMs: atMs, toMs: atMs + 1 }
  const [day] = await findMissingDays(facts, tenant, [{ table: 'clicks', range, column: 'click_id' }])
  return (
    day && `No such click now; those of ${day.from} were retired: waypost retention restore ${day.from} puts them back.`
  )
}

/** Whether a click is one of the tenant's. */
export function isOwn(click: ClickRecord, tenant: Tenant): boolean {
  if (tenant.role === 'owner') return true
  if (tenant.advertiserId !== undefined && click.advertiser_id !== tenant.advertiserId) return false
  return tenant.role === 'advertiser' || click.affiliate_id === tenant.affiliateId
}

/** What PostgreSQL knows of the click, read at one moment. */
async function readObligations(api: Api, tenant: Tenant, clickId: ClickId) {
  const { deliveries, ...rest } = await asTenant(api.pool, tenant, async (tx) => {
    const conversions = await listConversions(tx, { click_id: clickId }, undefined, ROWS_MAX)
    const conversionIds = conversions.map(({ conversion_id }) => conversion_id)
    const { deliveries, whyNot } = await deliveriesOfClick(tx, archiveOf(api), clickId)
    const inbound =
      tenant.role === 'affiliate' ? undefined : await listInbound(tx, { click_id: clickId }, undefined, ROWS_MAX)
    return {
      conversions: conversions.map((row) => conversionJson(row, tenant)),
      revisions: await listRevisions(tx, conversionIds, tenant),
      bookings: await listBookings(tx, conversionIds),
      ...(inbound && { inbound_postbacks: inbound.map(inboundJson) }),
      deliveries,
      not_sent: whyNot.map(whyNotJson),
    }
  })
  const waiting = await waitingOf(api, deliveries)
  return {
    ...rest,
    deliveries: deliveries.map(({ tries, ...row }) => ({
      ...{ ...deliveryJson(row), ...waitingJson(row, waiting) },
      tries: tries.map(attemptJson),
    })),
  }
}

/** The configuration that decided may be an old one: positions in the trace are positions in it. */
async function describeDecision(click: ClickRecord, versions: ConfigVersions): Promise<readonly string[]> {
  const snapshot = await versions.find(click.config_version)
  return snapshot === undefined
    ? [`Version ${click.config_version} of the configuration is not there any more.`]
    : describeTrace(click.trace, snapshot, click.affiliate_id)
}

/** Affiliates see neither what the traffic cost nor how it was judged. */
function clickJson(click: ClickRecord, inFacts: FactsRow | undefined, { role }: Tenant): Json {
  const {
    kind: _kind,
    trace: _trace,
    fraud,
    fraud_score: _score,
    fraud_reason: _reason,
    at,
    cost_micros,
    ...rest
  } = click
  return {
    ...rest,
    at: new Date(at).toISOString(),
    ...(fraud === undefined || role === 'affiliate' ? {} : { fraud: verdictJson(fraud) }),
    ...(cost_micros === undefined || role === 'affiliate' ? {} : { cost: formatAmount(BigInt(cost_micros), 2) }),
    ...(click.refusal === undefined ? {} : { refusal_meaning: refusalReasons[click.refusal] }),
    ...(inFacts && { is_unique_campaign: inFacts['is_unique_campaign'], is_unique_offer: inFacts['is_unique_offer'] }),
  }
}

function eventJson({ amount_micros, at, ...rest }: FactsRow): Json {
  const amount = BigInt((amount_micros as string | undefined) ?? 0)
  const refusal = rest['refusal'] as keyof typeof refusalReasons | ''
  return {
    ...withoutEmpty(rest),
    at: toIso(at),
    ...(amount === 0n ? {} : { amount: formatAmount(amount, 2) }),
    ...(refusal === '' ? {} : { refusal_meaning: refusalReasons[refusal] }),
  }
}

/** ClickHouse writes UTC without saying so. */
const toIso = (value: unknown): string => `${String(value).replace(' ', 'T')}Z`

const isEmpty = (value: unknown): boolean =>
  value === '' ||
  value === null ||
  value === 0 ||
  value === '0' ||
  (typeof value === 'object' && Object.keys(value).length === 0)

const withoutEmpty = (row: FactsRow): FactsRow =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => !isEmpty(value)))
