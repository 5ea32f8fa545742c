import { createSeededRandom, type SeededRandom, type Visit } from '#demo'
import { openEnricher, prepareGeoFiles, type Enricher } from '#enrichment'
import type { LogWriter } from '#log'
import { newClickId, newUuidV7, parseClickId } from '#platform/ids'
import { parseAmount } from '#platform/money'
import { encodeRecord, subNames, type ClickRecord, type EventRecord } from '#records'
import { chooseTarget, compileSnapshot, type ClickParameters, type CompiledSnapshot, type Snapshot } from '#routing'
import { createBenchVisits } from './bench-site.ts'

/** What a backlog is made of; the rest are clicks. */
export type BacklogMix = {
  /** Part of the records that are plain events, 0–1. */
  readonly eventShare: number
  /** Part of the records that are events which convert, 0–1. */
  readonly convertingShare: number
  /** sub1 … sub<subCount> of every click are filled, 1–30. */
  readonly subCount: number
}

/** How many clicks back an event's click may lie. */
const CLICKS_REMEMBERED = 20_000
const RECORDS_PER_FLUSH = 5_000
const LABELS = [
  ...(['source_id', 'ad_campaign_id', 'creative_id'] as const),
  ...(['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'] as const),
  ...subNames,
]

/** Fills a log with the demo's traffic as the edge would have written it: visits from all over the world, described, decided by
 * the real rules, with everything that their links carry; and events of those clicks.
 * @returns records written
 */
export async function writeBacklog(
  writer: LogWriter,
  snapshot: Snapshot,
  count: number,
  mix: BacklogMix,
  geoDirectory: string,
): Promise<number> {
  const random = createSeededRandom(7)
  const nextVisit = await createBenchVisits(7, mix.subCount)
  const enricher = openEnricher(prepareGeoFiles(geoDirectory))
  const compiled = compileSnapshot(snapshot)
  const clicks: ClickRecord[] = []
  let at = Date.now() - count
  for (let written = 0; written < count;) {
    const payloads = Array.from({ length: Math.min(RECORDS_PER_FLUSH, count - written) }, () => {
      // About a thousand records a second.
      at += random.integer(0, 2)
      const draw = clicks.length === 0 ? 1 : random.next()
      if (draw < mix.convertingShare) return encodeRecord(converting(random, random.pick(clicks), at))
      if (draw < mix.convertingShare + mix.eventShare) return encodeRecord(plain(random, random.pick(clicks), at))
      const click = clickOf(nextVisit(), enricher, compiled, at)
      clicks[random.integer(0, Math.min(clicks.length, CLICKS_REMEMBERED - 1))] = click
      return encodeRecord(click)
    })
    await Promise.all(payloads.map((payload) => writer.append(payload)))
    written += payloads.length
  }
  return count
}

function clickOf(
  { path, headers, visitor }: Visit,
  enricher: Enricher,
  compiled: CompiledSnapshot,
  at: number,
): ClickRecord {
  const query = new URLSearchParams(path.slice(path.indexOf('?')))
  const clickId = parseClickId(query.get('clickid') ?? undefined) ?? newClickId(at)
  const described = enricher.describeVisitor({
    ip: visitor.ip,
    userAgent: headers['user-agent'],
    clientHints: headers,
    acceptLanguage: headers['accept-language'],
  })
  const parameters = parametersOf(query, headers, at)
  const asked = path.startsWith('/world') ? { linkCode: 'world' } : { campaignId: 'world', affiliateId: 'pat' }
  const decision = chooseTarget({ clickId, at, asked, visitor: described, parameters }, compiled)
  return {
    kind: 'click',
    click_id: clickId,
    at,
    ...described,
    class: 'click',
    outcome: decision.outcome,
    config_version: compiled.version,
    trace: decision.trace,
    ...parameters,
    ...decision.assignment,
    ...(decision.refusal === undefined ? {} : { refusal: decision.refusal }),
    ...('linkCode' in asked ? { link_code: asked.linkCode } : {}),
  }
}

function parametersOf(query: URLSearchParams, headers: Visit['headers'], at: number): ClickParameters {
  const labels = LABELS.flatMap((name) => {
    const value = query.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  const cost = parseAmount(query.get('cost') ?? '0')
  return {
    ...Object.fromEntries(labels),
    visitor_code: newUuidV7(at),
    external_click_id: query.get('external_id') ?? '',
    sub2_keys: { geo: headers['accept-language']?.slice(3, 5) ?? '', src: query.get('utm_source') ?? '' },
    cost_micros: Number(cost ?? 0n),
    currency: 'USD',
    referrer: headers['referer'] ?? '',
    domain: 'go.example.com',
  }
}

const eventOf = (click: ClickRecord, at: number, type: string): EventRecord => ({
  kind: 'event',
  event_id: newUuidV7(at),
  at,
  click_id: click.click_id,
  type,
  ip: click.ip,
  ...(click.user_agent === undefined ? {} : { user_agent: click.user_agent }),
  ...(click.country === undefined ? {} : { country: click.country }),
  ...(click.visitor_code === undefined ? {} : { visitor_code: click.visitor_code }),
  tz: 'Europe/Berlin',
  screen: '412x915',
  site: 'shop.example.com',
})

const plain = (random: SeededRandom, click: ClickRecord, at: number): EventRecord => ({
  ...eventOf(click, at, random.pick(['open', 'lp_click', 'lp_leave'])),
  time_on_page_ms: random.integer(500, 90_000),
})

const converting = (random: SeededRandom, click: ClickRecord, at: number): EventRecord => ({
  ...eventOf(click, at, random.pick(['reg', 'deposit'])),
  txid: random.text(12),
  amount_micros: random.integer(10, 200) * 1_000_000,
  currency: 'USD',
})
