import { Agent, request } from 'undici'
import { demoOffers, type DemoOffer } from './demo-configuration.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { Visit } from './visits.ts'

/** What the demo's visitors and partners have sent so far. */
export type TrafficCounts = {
  readonly clicks: number
  readonly redirected_to_offer: number
  readonly refused: number
  readonly events: number
  readonly events_refused: number
  readonly postbacks: number
  readonly postbacks_refused: number
  readonly unanswered: number
}

export type Traffic = {
  readonly counts: () => TrafficCounts
  /** No new visits; visitors on a page finish what they do. */
  readonly stop: () => Promise<void>
  /** Click ids of visitors who paid, newest last, at most 50. */
  readonly payingClickIds: () => readonly string[]
}

export type TrafficOptions = {
  readonly edgeUrl: string
  /** Origin of the landing pages: only visitors who are led there act. */
  readonly sitesUrl: string
  readonly random: SeededRandom
  readonly nextVisit: () => Visit
  readonly clicksPerSecond: number
  /** What the advertiser's server sends as `secret` with its postbacks. */
  readonly inboundSecret: string
}

type MutableCounts = { -readonly [Name in keyof TrafficCounts]: number }

const TICK_MS = 25
const VISITS_AT_ONCE_MAX = 500
/** Between two acts of a visitor. Real ones take minutes; a demo has seconds. */
const PAUSE_MS = { min: 50, max: 900 }

const SCREENS = ['390x844', '412x915', '360x800', '1920x1080', '1536x864', '2560x1440', '820x1180']
const CONNECTIONS = ['4g', '4g', '4g', '3g', '2g']
const ZONES: Readonly<Record<string, string>> = {
  US: 'America/New_York', BR: 'America/Sao_Paulo', MX: 'America/Mexico_City', GB: 'Europe/London', DE: 'Europe/Berlin',
  TR: 'Europe/Istanbul', IN: 'Asia/Kolkata', ID: 'Asia/Jakarta', TH: 'Asia/Bangkok', JP: 'Asia/Tokyo', NG: 'Africa/Lagos',
} // prettier-ignore

/** Sends visits at a steady rate; what a visitor does next depends on where the edge leads it. */
export function startTraffic(options: TrafficOptions): Traffic {
  const sender = createSender(options)
  const running = new Set<Promise<void>>()
  const startedAt = performance.now()
  let due = 0
  const ticks = setInterval(() => {
    const dueNow = ((performance.now() - startedAt) / 1000) * options.clicksPerSecond
    for (; due < dueNow; due++) {
      if (running.size >= VISITS_AT_ONCE_MAX) continue
      const visit = playVisit(sender, options.nextVisit()).finally(() => running.delete(visit))
      running.add(visit)
    }
  }, TICK_MS)
  return {
    counts: () => ({ ...sender.counts }),
    payingClickIds: () => sender.payingClickIds,
    stop: async () => {
      clearInterval(ticks)
      await Promise.all(running)
      await sender.agent.close()
    },
  }
}

type Sender = TrafficOptions & {
  readonly agent: Agent
  readonly counts: MutableCounts
  readonly payingClickIds: string[]
}

const createSender = (options: TrafficOptions): Sender => ({
  ...options,
  agent: new Agent({ connections: 32, headersTimeout: 10_000, bodyTimeout: 10_000 }),
  counts: {
    clicks: 0,
    redirected_to_offer: 0,
    refused: 0,
    events: 0,
    events_refused: 0,
    postbacks: 0,
    postbacks_refused: 0,
    unanswered: 0,
  },
  payingClickIds: [],
})

type Answer = { readonly status: number; readonly location: string; readonly cookies: readonly string[] }

async function send(
  sender: Sender,
  method: 'GET' | 'HEAD' | 'POST',
  path: string,
  headers: Record<string, string>,
  body?: string,
): Promise<Answer> {
  try {
    const response = await request(`${sender.edgeUrl}${path}`, {
      method,
      headers,
      dispatcher: sender.agent,
      ...(body === undefined ? {} : { body }),
    })
    await response.body.dump()
    const cookies = response.headers['set-cookie'] ?? []
    return {
      status: response.statusCode,
      location: String(response.headers['location'] ?? ''),
      cookies: typeof cookies === 'string' ? [cookies] : cookies,
    }
  } catch {
    // The edge is away for a moment: a visitor sees an error page, the demo counts it.
    sender.counts.unanswered += 1
    return { status: 0, location: '', cookies: [] }
  }
}

async function playVisit(sender: Sender, visit: Visit): Promise<void> {
  const { random, counts } = sender
  const headers = { ...visit.headers }
  // Messengers and browsers look ahead; a link is not clicked by that.
  if (random.chance(0.015)) await send(sender, 'HEAD', visit.path, headers)
  if (random.chance(0.01)) await send(sender, 'GET', visit.path, { ...headers, 'sec-purpose': 'prefetch' })
  const answer = await send(sender, 'GET', visit.path, headers)
  if (answer.status === 0) return
  counts.clicks += 1
  if (answer.cookies.length > 0) visit.visitor.cookie = answer.cookies.map((cookie) => cookie.split(';')[0]).join('; ')
  const landing = URL.parse(answer.location)
  const offerId = landing?.origin === sender.sitesUrl ? /^\/landing\/([a-z-]+)$/.exec(landing.pathname)?.[1] : undefined
  const offer = offerId === undefined ? undefined : demoOffers[offerId]
  const clickId = landing?.searchParams.get('clickid')
  if (offer === undefined || clickId === null || clickId === undefined) {
    counts.refused += 1
    return
  }
  counts.redirected_to_offer += 1
  if (visit.visitor.browser.device !== 'bot') await playLanding(sender, visit, offer, clickId)
}

/** The funnel of a landing page: open, call to action, registration, money, leaving. */
async function playLanding(sender: Sender, visit: Visit, offer: DemoOffer, clickId: string): Promise<void> {
  const { random } = sender
  const event = (type: string, more: object = {}): Promise<void> => sendEvent(sender, visit, clickId, type, more)
  const draw = random.next()
  const arrivedAt = performance.now()
  if (random.chance(0.06)) return
  await event('open')
  if (draw < offer.rates.ctaShare) {
    await pause(random)
    await event('lp_click')
  }
  if (draw < offer.rates.regShare) {
    await pause(random)
    await event('reg', { txid: `acc-${random.text(10)}` })
  }
  if (offer.payEvent !== undefined && draw < offer.rates.payShare) {
    await pause(random)
    await pay(sender, visit, offer, clickId)
  }
  if (random.chance(0.7))
    await event('lp_leave', { time_on_page_ms: Math.round((performance.now() - arrivedAt) * random.integer(10, 60)) })
}

async function pay(sender: Sender, visit: Visit, offer: DemoOffer, clickId: string): Promise<void> {
  const { random } = sender
  const txid = `pay-${random.text(12)}`
  const amount = (random.pick(offer.page.amounts) + random.integer(0, 99) / 100).toFixed(2)
  await sendEvent(sender, visit, clickId, offer.payEvent!, { txid, amount, currency: offer.currency })
  sender.payingClickIds.push(clickId)
  if (sender.payingClickIds.length > 50) sender.payingClickIds.shift()
  // Shop orders wait for the shop's server to confirm or cancel them.
  if (offer.payEvent === 'sale') {
    await pause(random)
    await sendPostback(sender, {
      clickid: clickId,
      txid,
      goal: 'sale',
      status: random.chance(0.82) ? 'approved' : 'rejected',
    })
  }
  if (random.chance(0.15)) await sendMistakenPostback(sender, clickId)
}

async function sendEvent(sender: Sender, visit: Visit, clickId: string, type: string, more: object): Promise<void> {
  const { random, counts } = sender
  const { visitor } = visit
  const body = JSON.stringify({
    type,
    clickid: clickId,
    event_id: random.uuid(),
    lang: visitor.acceptLanguage.split(',')[0],
    tz: ZONES[visitor.country] ?? 'UTC',
    screen: random.pick(SCREENS),
    connection: random.pick(CONNECTIONS),
    device_type: visitor.browser.device,
    site: new URL(sender.sitesUrl).hostname,
    referrer: visit.headers['referer'],
    ts_client: Date.now(),
    // Some pages have their sub2 wrong: such an event is refused with its reason, its neighbours are not.
    sub2:
      type === 'lp_click' && random.chance(0.02)
        ? 'geo:TR;dev:mobile'
        : `geo-${visitor.country}|dev-${visitor.browser.device}`,
    ...more,
  })
  const headers = { ...visit.headers, origin: sender.sitesUrl, 'content-type': 'application/json' }
  const answer = await send(sender, 'POST', '/event', headers, body)
  if (answer.status === 204) counts.events += 1
  else counts.events_refused += 1
  // A page that was reloaded sends the same again; it counts once.
  if (random.chance(0.01)) await send(sender, 'POST', '/event', headers, body)
}

async function sendPostback(sender: Sender, parameters: Readonly<Record<string, string>>): Promise<void> {
  const query = new URLSearchParams({ secret: sender.inboundSecret, ...parameters })
  const answer = await send(sender, 'GET', `/postback?${query.toString()}`, { 'user-agent': 'lumen-shop-server/2.1' })
  if (answer.status >= 200 && answer.status < 300) sender.counts.postbacks += 1
  else sender.counts.postbacks_refused += 1
}

/** What partners get wrong every day. Each is kept with its own reason. */
async function sendMistakenPostback(sender: Sender, clickId: string): Promise<void> {
  const { random } = sender
  const txid = `oops-${random.text(8)}`
  const mistakes: readonly Readonly<Record<string, string>>[] = [
    { clickid: clickId, txid, status: 'approved', payout: '{payout}' },
    { clickid: clickId, txid, status: 'approved', secret: 'not-the-secret' },
    { clickid: clickId, txid, status: 'in_review_by_bank' },
    { clickid: random.uuid(), txid, status: 'approved' },
  ]
  await sendPostback(sender, random.pick(mistakes))
}

const pause = (random: SeededRandom): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, random.integer(PAUSE_MS.min, PAUSE_MS.max)))
