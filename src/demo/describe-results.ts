import type { DemoSites } from './demo-sites.ts'
import type { RunningInstallation } from './running-installation.ts'
import type { Traffic } from './traffic.ts'

export type DemoResults = {
  readonly text: string
  /** Whether every click is in the reports and every postback that arrived was signed right. */
  readonly isRight: boolean
}

type Row = Readonly<Record<string, string | number | null>>
type Report = { readonly currency: string; readonly rows: readonly Row[]; readonly totals: Row }

/** What the demo has made, asked through the API as anybody would: the report, one click explained, what partners got. */
export async function describeResults(
  installation: RunningInstallation,
  sites: DemoSites,
  traffic: Traffic,
): Promise<DemoResults> {
  const missing = await untilSettled(installation, sites, traffic)
  const byOffer = await installation.ask<Report>(
    `${REPORT}&group_by=offer_id,affiliate_id&metrics=clicks,uniques,leads,sales,cr,epc,revenue,payout,profit`,
  )
  const byCountry = await installation.ask<Report>(
    `${REPORT}&group_by=country&metrics=clicks,leads,sales,revenue&limit=8`,
  )
  const { received, verified, turned_away } = sites.counts()
  const clickId = traffic.payingClickIds().at(-1)
  const text = [
    `\nThe demo advertiser's last seven days in ${byOffer.currency}, as GET /v1/reports tells it:\n`,
    formatTable(byOffer.rows),
    '',
    formatTable(byCountry.rows),
    ...(clickId === undefined ? [] : await explainClick(installation, clickId)),
    ...(await describeInbound(installation)),
    `\nPostbacks to partners: ${received} arrived, ${verified} of ${received} signatures verified, ${turned_away} were asked to come again and did.`,
    ...(missing === undefined ? [] : [`\n${missing} See \`npm run waypost -- doctor\`.`]),
    `\nTry it yourself (the key is ${installation.keyPlace}; the API is described at ${installation.apiUrl}/openapi.json):`,
    `  curl -H "Authorization: Bearer $KEY" "${installation.apiUrl}${REPORT}&group_by=country,device_type"`,
    ...(clickId === undefined
      ? []
      : [`  curl -H "Authorization: Bearer $KEY" "${installation.apiUrl}/v1/clicks/${clickId}"`]),
  ]
  return { text: text.join('\n'), isRight: missing === undefined && received === verified && received > 0 }
}

const REPORT = '/v1/reports?advertiser_id=demo-lumen'
const SETTLED_MS_MAX = 30_000
const LOOK_EVERY_MS = 250
/** Those that were turned away come again after five seconds. */
const QUIET_MS = 6_500

/** Waits until the reports show every click that was answered and partners have got what waits for them.
 * @returns what is missing still when the time is over, in a sentence
 */
async function untilSettled(
  { ask }: RunningInstallation,
  sites: DemoSites,
  traffic: Traffic,
): Promise<string | undefined> {
  const startedAt = performance.now()
  const { redirected_to_offer: clicks } = traffic.counts()
  let receivedBefore = -1
  let changedAt = startedAt
  for (;;) {
    const { totals } = await ask<Report>(`${REPORT}&metrics=clicks`)
    const { received } = sites.counts()
    const now = performance.now()
    if (received !== receivedBefore) changedAt = now
    receivedBefore = received
    const arrival = { clicks, shown: Number(totals['clicks']), received, quietMs: now - changedAt }
    const missing = describeMissing(arrival)
    if (missing === undefined) return undefined
    if (now - startedAt >= SETTLED_MS_MAX)
      return `Not everything had arrived after ${seconds(now - startedAt)}: ${missing}.`
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

/** How far clicks and postbacks have come. */
export type Arrival = {
  /** Sent to an offer. */
  readonly clicks: number
  /** In the report. */
  readonly shown: number
  /** Postbacks that partners have. */
  readonly received: number
  /** How long no postback has come. */
  readonly quietMs: number
}

/** @returns what is missing, in words; undefined: everything is there */
export function describeMissing({ clicks, shown, received, quietMs }: Arrival): string | undefined {
  const missing: string[] = []
  if (shown < clicks) missing.push(`the report shows ${shown} of ${clicks} clicks that went to an offer`)
  if (received === 0) missing.push('no postback has come to a partner')
  else if (quietMs < QUIET_MS) missing.push(`postbacks to partners still come, the last ${seconds(quietMs)} ago`)
  return missing.length === 0 ? undefined : missing.join('; ')
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** Columns as wide as their longest value. */
export function formatTable(rows: readonly Row[]): string {
  const names = Object.keys(rows[0] ?? {})
  const cells = [names, ...rows.map((row) => names.map((name) => String(row[name] ?? '') || '-'))]
  const widths = names.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)))
  const isNumber = (column: number): boolean =>
    rows.every((row) => /^-?[\d.]*$/.test(String(row[names[column]!] ?? '')))
  return cells
    .map((line) =>
      line
        .map((cell, column) => (isNumber(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join('\n')
}

type Inbound = { readonly items: readonly { readonly outcome: string; readonly reason: string | null }[] }

async function describeInbound({ ask }: RunningInstallation): Promise<readonly string[]> {
  const { items } = await ask<Inbound>('/v1/inbound-postbacks?outcome=refused&limit=100')
  const byReason = Map.groupBy(items, ({ reason }) => reason ?? '')
  if (byReason.size === 0) return []
  const reasons = [...byReason].map(([reason, list]) => `${list.length} × ${reason}`)
  return [`\nPostbacks of the advertiser that were refused, each kept with its reason: ${reasons.join(', ')}.`]
}

type ClickPage = {
  readonly click: Row
  readonly decision: readonly string[]
  readonly conversions: readonly Row[]
  readonly bookings: readonly Row[]
  readonly deliveries: readonly { readonly endpoint_id: string; readonly state: string }[]
}

/** One click that led to money, as GET /v1/clicks/:id tells it. */
async function explainClick({ ask }: RunningInstallation, clickId: string): Promise<readonly string[]> {
  const { click, decision, conversions, bookings, deliveries } = await ask<ClickPage>(`/v1/clicks/${clickId}`)
  const names = ['country', 'city', 'os', 'browser', 'device_type', 'device_model', 'isp', 'source_id']
  return [
    `\nOne click, explained (${clickId}):\n`,
    `  visitor    ${names.flatMap((name) => (click[name] === undefined ? [] : [String(click[name])])).join(', ')}`,
    ...decision.map((sentence, index) => `  ${index === 0 ? 'decision ' : '         '}  ${sentence}`),
    ...conversions.map(
      ({ type, goal, status, payout, revenue, currency }) =>
        `  conversion ${type} by ${goal}: ${status}, ${payout} ${currency} to the affiliate, ${revenue} ${currency} from the advertiser`,
    ),
    `  ledger     ${bookings.length} entries`,
    ...deliveries.map(({ endpoint_id, state }) => `  delivery   to ${endpoint_id}: ${state}`),
  ]
}
