import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSeededRandom, createVisits, defaultCityFile, pickWorldAddresses, type Visit } from '#demo'
import { eventually, startInstallation, type Installation } from '../test/e2e/installation.ts'
import { LARGE_CAMPAIGNS } from './large-configuration.ts'
import type { LoadRequest } from './load.ts'

/** A configured data directory for the bench, with nothing running in it. */
export type BenchSite = {
  readonly dataDir: string
  /** The whole program as `npm start` runs it. */
  readonly start: () => Promise<Installation>
  readonly remove: () => void
}

/** Landing that nobody opens; its macros are filled all the same. */
const LANDING = 'https://shop.example.com/landing?cid={clickid}&geo={country}&s1={sub1}'

/** Rules that really decide: three flows by country and device, two offers by weight, two landings. */
export const CONFIGURATION = `advertisers:
  bench: { name: Bench, currency: USD, domains: [shop.example.com, 127.0.0.1] }
affiliates:
  pat: { name: Pat, advertiser_ids: [bench] }
offers:
  lamp:
    advertiser_id: bench
    model: cpa
    prices:
      - { type: lead, payout: '2.50', revenue: '4.00' }
      - { type: sale, payout: '30.00', revenue: '45.00' }
    landings:
      - { landing_id: lamp-a, url: '${LANDING}', weight: 60 }
      - { landing_id: lamp-b, url: '${LANDING}', weight: 40 }
  moon:
    advertiser_id: bench
    model: cpl
    prices: [{ type: lead, payout: '3.00', revenue: '5.00' }]
    landing_url: '${LANDING}'
campaigns:
  world:
    advertiser_id: bench
    affiliate_id: pat
    flows:
      - { flow_id: world-tv, kind: forced, rule: { device_type: tv }, offer_id: moon }
      - flow_id: world-mobile
        weight: 60
        rule: { country: [US, GB, DE, FR, BR, MX, IN, ID, TR], device_type: [mobile, tablet] }
        offers: [{ offer_id: lamp, weight: 70 }, { offer_id: moon, weight: 30 }]
      - { flow_id: world-desktop, weight: 40, rule: { device_type: desktop }, offer_id: lamp }
      - { flow_id: world-rest, kind: default, offer_id: moon }
links:
  world: { campaign_id: world }
`

/** Makes a data directory with the bench's configuration; the installation has run once and is stopped again. */
export async function prepareBenchSite(configuration = CONFIGURATION): Promise<BenchSite> {
  const directory = mkdtempSync(join(tmpdir(), 'waypost-bench-'))
  const dataDir = join(directory, 'data')
  const start = (): Promise<Installation> => startInstallation({ dataDir, env: { WAYPOST_LOG_LEVEL: 'warn' } })
  const remove = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  const installation = await start()
  try {
    await configure(installation, join(directory, 'waypost.yaml'), configuration)
  } catch (error) {
    await installation.stop()
    remove()
    throw error
  }
  await installation.stop()
  return { dataDir, start, remove }
}

async function configure(installation: Installation, file: string, configuration: string): Promise<void> {
  writeFileSync(file, configuration)
  const applied = await installation.waypost('apply', file)
  if (applied.code !== 0) throw new Error(`the configuration was refused: ${applied.stdout}${applied.stderr}`)
  await eventually(
    () => clickStatus(installation.edgeUrl),
    (status) => status === 302,
    10_000,
  )
}

async function clickStatus(edgeUrl: string): Promise<number> {
  const response = await fetch(`${edgeUrl}/world`, { redirect: 'manual' })
  await response.arrayBuffer()
  return response.status
}

const REQUESTS = 20_000

/** Sub ids that a link of real traffic carries; all thirty only where the disk is measured. */
export const SUB_COUNT_TYPICAL = 10

/** Visits of the bench, as varied as the demo's: people, addresses, browsers, sub ids. */
export async function createBenchVisits(seed: number, subCount = SUB_COUNT_TYPICAL): Promise<() => Visit> {
  const random = createSeededRandom(seed)
  const addresses = await pickWorldAddresses(defaultCityFile(), random)
  const targets = [
    { path: '/world', weight: 60 },
    { path: '/click?campaign_id=world&affiliate_id=pat', weight: 40 },
  ]
  return createVisits({ random, addresses, targets, subCount, returningShare: 0.2 })
}

/** Click requests to go round and round through. */
export async function clickRequests(seed: number): Promise<readonly LoadRequest[]> {
  const nextVisit = await createBenchVisits(seed)
  return Array.from({ length: REQUESTS }, () => {
    const { path, headers } = nextVisit()
    return { method: 'GET', path, headers }
  })
}

/** How visits spread over campaigns: the n-th most visited one gets 1/n of the first (Zipf), as campaigns of a network do about; or
 * each the same, so that hardly anything of a campaign is in a cache of the processor when its turn comes.
 */
export type Spread = 'zipf' | 'even'

/** The same visits to the campaigns of the large configuration. */
export async function largeClickRequests(seed: number, spread: Spread): Promise<readonly LoadRequest[]> {
  const random = createSeededRandom(seed)
  const nextCampaign = spread === 'zipf' ? drawByZipf(random) : undefined
  return (await clickRequests(seed)).map((request, index) => {
    const [, query = ''] = request.path.split('?', 2)
    const others = query.split('&').filter((pair) => !/^(campaign_id|affiliate_id)=/.test(pair))
    const campaign = nextCampaign === undefined ? index % LARGE_CAMPAIGNS : nextCampaign()
    return { ...request, path: `/click?campaign_id=c${campaign}&affiliate_id=pat&${others.join('&')}` }
  })
}

function drawByZipf(random: ReturnType<typeof createSeededRandom>): () => number {
  const shares = Array.from({ length: LARGE_CAMPAIGNS }, (_, index) => 1 / (index + 1))
  const total = shares.reduce((sum, share) => sum + share)
  return () => {
    let left = random.next() * total
    const found = shares.findIndex((share) => (left -= share) < 0)
    return found === -1 ? LARGE_CAMPAIGNS - 1 : found
  }
}

/** What a link of a small campaign carries: where to, who sent it, two sub ids, the source and its click id. */
const SHORT_LINK_PARAMETERS = new Set(['campaign_id', 'affiliate_id', 'external_id', 'sub1', 'sub2', 'utm_source'])

/** The same visits with links of at most six parameters. */
export async function shortClickRequests(seed: number): Promise<readonly LoadRequest[]> {
  return (await clickRequests(seed)).map((request) => ({ ...request, path: shortened(request.path) }))
}

function shortened(path: string): string {
  const [place, query = ''] = path.split('?', 2)
  const kept = query.split('&').filter((pair) => SHORT_LINK_PARAMETERS.has(pair.slice(0, pair.indexOf('='))))
  return `${place}?${kept.join('&')}`
}

const EVENT_BODY_BYTES = 600

/** Event posts of exactly 600 bytes for clicks that exist, each with ids of its own. */
export async function eventRequests(seed: number, clickIds: readonly string[]): Promise<readonly LoadRequest[]> {
  const random = createSeededRandom(seed)
  const nextVisit = await createBenchVisits(seed)
  return Array.from({ length: REQUESTS }, () => {
    const { headers } = nextVisit()
    const event = {
      type: random.pick(['open', 'lp_click', 'reg', 'lp_leave']),
      clickid: random.pick(clickIds),
      event_id: random.uuid(),
      txid: random.text(16),
      visitor_code: random.uuid(),
      lang: 'en-US',
      tz: 'Europe/Istanbul',
      screen: '390x844',
      connection: '4g',
      device_type: 'mobile',
      site: 'shop.example.com',
      ts_client: 1_790_000_000_000 + random.integer(0, 86_400_000),
      time_on_page_ms: random.integer(1_000, 90_000),
      sub2: `geo-TR|dev-mobile|abtest-${random.pick(['A', 'B'])}`,
      referrer: 'https://l.facebook.com/?u=',
    }
    const missing = EVENT_BODY_BYTES - Buffer.byteLength(JSON.stringify(event))
    const body = JSON.stringify({ ...event, referrer: event.referrer + random.text(missing) })
    return {
      method: 'POST',
      path: '/event',
      headers: { ...headers, origin: 'https://shop.example.com', 'content-type': 'application/json' },
      body,
    }
  })
}
