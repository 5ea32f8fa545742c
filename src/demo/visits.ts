import type { SeededRandom } from './seeded-random.ts'
import { demoUserAgents, type DemoUserAgent } from './user-agents.ts'
import type { WorldAddresses } from './world-addresses.ts'

/** A person (or bot) with a browser somewhere in the world. */
export type Visitor = {
  readonly ip: string
  readonly country: string
  readonly browser: DemoUserAgent
  readonly acceptLanguage: string
  /** Client hints of a Chromium browser; they say what its user agent hides. */
  readonly clientHints: Readonly<Record<string, string>>
  /** Set-Cookie pairs that the edge gave this visitor, sent back at the next visit. */
  cookie: string
}

/** One request for a link: where it goes and what it carries. */
export type Visit = {
  readonly visitor: Visitor
  /** Path and query, e.g. `/spring?sub1=…`. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** What the visits ask for. */
export type LinkTarget = {
  /** `/code` or `/click?campaign_id=…`; parameters are appended. */
  readonly path: string
  readonly weight: number
}

export type VisitOptions = {
  readonly random: SeededRandom
  readonly addresses: WorldAddresses
  readonly targets: readonly LinkTarget[]
  /** sub1 … sub<subCount> are filled, 1–30. */
  readonly subCount: number
  /** Part of the visits that comes from someone who was here before, 0–1. */
  readonly returningShare: number
}

/** An endless supply of visits; the same options give the same visits.
 * @example const next = createVisits({ random, addresses, targets: [{ path: '/spring', weight: 1 }], subCount: 10, returningShare: 0.2 })
 */
export function createVisits(options: VisitOptions): () => Visit {
  const { random, targets, subCount } = options
  const createVisitor = createVisitors(options.random, options.addresses)
  const known: Visitor[] = []
  return () => {
    const isReturning = known.length > 0 && random.chance(options.returningShare)
    const visitor = isReturning ? random.pick(known) : createVisitor()
    if (!isReturning) remember(known, visitor, random)
    return createVisit(random, visitor, random.pickWeighted(targets).path, subCount)
  }
}

const KNOWN_VISITORS_MAX = 5_000

function remember(known: Visitor[], visitor: Visitor, random: SeededRandom): void {
  if (known.length < KNOWN_VISITORS_MAX) known.push(visitor)
  else known[random.integer(0, KNOWN_VISITORS_MAX - 1)] = visitor
}

/** How much of the traffic comes from a country; all others have weight 1. */
const COUNTRY_WEIGHTS: Readonly<Record<string, number>> = {
  US: 160, BR: 90, IN: 90, ID: 60, MX: 55, TR: 55, DE: 50, GB: 50, PH: 40, TH: 40, VN: 40, NG: 35, ZA: 30, AR: 30,
  CO: 30, FR: 30, ES: 30, IT: 30, PL: 30, CA: 30, AU: 25, KZ: 25, UZ: 12, RU: 40, EG: 25, PK: 25, BD: 25, PE: 20,
  CL: 20, RO: 15, PT: 15, NL: 15, JP: 15, KR: 12, MY: 20, SA: 12, AE: 12, KE: 20, GH: 12, CI: 8, SN: 8, MA: 12,
} // prettier-ignore

const LANGUAGES: Readonly<Record<string, string>> = {
  US: 'en-US,en;q=0.9', GB: 'en-GB,en;q=0.9', BR: 'pt-BR,pt;q=0.9,en;q=0.6', PT: 'pt-PT,pt;q=0.9', MX: 'es-MX,es;q=0.9',
  AR: 'es-AR,es;q=0.9', CO: 'es-CO,es;q=0.9', ES: 'es-ES,es;q=0.9,en;q=0.5', PE: 'es-PE,es;q=0.9', CL: 'es-CL,es;q=0.9',
  DE: 'de-DE,de;q=0.9,en;q=0.7', FR: 'fr-FR,fr;q=0.9', IT: 'it-IT,it;q=0.9', PL: 'pl-PL,pl;q=0.9', TR: 'tr-TR,tr;q=0.9',
  RU: 'ru-RU,ru;q=0.9,en;q=0.6', KZ: 'ru-KZ,ru;q=0.9,kk;q=0.8', IN: 'en-IN,hi;q=0.8', ID: 'id-ID,id;q=0.9', TH: 'th-TH,th;q=0.9',
  VN: 'vi-VN,vi;q=0.9', JP: 'ja-JP,ja;q=0.9', KR: 'ko-KR,ko;q=0.9', SA: 'ar-SA,ar;q=0.9', EG: 'ar-EG,ar;q=0.9', NL: 'nl-NL,nl;q=0.9',
} // prettier-ignore

function createVisitors(random: SeededRandom, addresses: WorldAddresses): () => Visitor {
  const countries = [...addresses].map(([country, list]) => ({
    country,
    list,
    weight: COUNTRY_WEIGHTS[country] ?? 1,
  }))
  return () => {
    const { country, list } = random.pickWeighted(countries)
    const browser = random.pickWeighted(demoUserAgents)
    return {
      ip: random.pick(list),
      country,
      browser,
      acceptLanguage: LANGUAGES[country] ?? 'en-US,en;q=0.8',
      clientHints: createClientHints(random, browser),
      cookie: '',
    }
  }
}

/** Phones that Chrome reports in its hints while its user agent says "K". */
const MODELS = [
  { model: 'SM-A155F', version: '14.0.0' }, { model: 'SM-A546B', version: '15.0.0' }, { model: 'SM-S921B', version: '15.0.0' },
  { model: 'SM-G991B', version: '14.0.0' }, { model: '23129RAA4G', version: '14.0.0' }, { model: '2201117TG', version: '13.0.0' },
  { model: 'Redmi Note 8 Pro', version: '11.0.0' }, { model: 'M2101K6G', version: '13.0.0' }, { model: 'CPH2591', version: '14.0.0' },
  { model: 'RMX3834', version: '14.0.0' }, { model: 'V2247', version: '14.0.0' }, { model: 'TECNO KL4', version: '14.0.0' },
  { model: 'Infinix X6531', version: '14.0.0' }, { model: 'moto g54 5G', version: '14.0.0' }, { model: 'Pixel 8', version: '15.0.0' },
] // prettier-ignore

/** The hints that a server may ask for and Chromium sends over https; other browsers send none. */
function createClientHints(random: SeededRandom, { userAgent }: DemoUserAgent): Readonly<Record<string, string>> {
  const chrome = /Chrome\/(\d+)\.0\.0\.0 (Mobile )?Safari\/537\.36$/.exec(userAgent)
  if (chrome === null) return {}
  const [, version, isMobile] = chrome
  const common = {
    'sec-ch-ua': `"Google Chrome";v="${version}", "Chromium";v="${version}", "Not/A)Brand";v="24"`,
    'sec-ch-ua-mobile': isMobile === undefined ? '?0' : '?1',
  }
  if (isMobile === undefined) {
    const platform = userAgent.includes('Windows') ? 'Windows' : userAgent.includes('Mac OS') ? 'macOS' : 'Linux'
    return { ...common, 'sec-ch-ua-platform': `"${platform}"` }
  }
  const phone = random.pick(MODELS)
  return {
    ...common,
    'sec-ch-ua-platform': '"Android"',
    'sec-ch-ua-platform-version': `"${phone.version}"`,
    'sec-ch-ua-model': `"${phone.model}"`,
  }
}

/** Traffic sources, with ids of the shape that each really sends. */
const SOURCES = [
  { name: 'facebook', medium: 'paid_social', referrer: 'https://l.facebook.com/', weight: 30, clickId: (r: SeededRandom) => `IwY2xjawK${r.text(52)}`, costs: [40, 320] },
  { name: 'google', medium: 'cpc', referrer: 'https://www.google.com/', weight: 18, clickId: (r: SeededRandom) => `Cj0KCQjw${r.text(48)}`, costs: [120, 900] },
  { name: 'tiktok', medium: 'paid_social', referrer: 'https://www.tiktok.com/', weight: 18, clickId: (r: SeededRandom) => `E.C.P.${r.text(40)}`, costs: [20, 180] },
  { name: 'propellerads', medium: 'push', referrer: 'https://propeller-tracking.com/', weight: 20, clickId: (r: SeededRandom) => r.text(18, '0123456789'), costs: [2, 40] },
  { name: 'yandex', medium: 'cpc', referrer: 'https://yandex.ru/', weight: 8, clickId: (r: SeededRandom) => r.text(19, '0123456789'), costs: [30, 240] },
  { name: 'telegram', medium: 'messenger', referrer: 'https://t.me/', weight: 6, clickId: (r: SeededRandom) => r.text(12), costs: [10, 90] },
] as const // prettier-ignore

const PLACEMENTS = Array.from({ length: 240 }, (_, index) => `pl-${1000 + index * 7}`)
const KEYWORDS = ['slots', 'free spins', 'crypto card', 'vpn', 'weight loss', 'dating', 'loan online', 'football odds', 'puzzle', 'antivirus'] // prettier-ignore
const FORMATS = ['feed', 'stories', 'reels', 'search', 'push', 'inpage', 'popunder', 'native']
const BUYERS = ['anna', 'boris', 'chen', 'dmitri', 'elif', 'farid']

function createVisit(random: SeededRandom, visitor: Visitor, target: string, subCount: number): Visit {
  const source = random.pickWeighted(SOURCES)
  const query = new URLSearchParams({
    source_id: source.name,
    external_id: source.clickId(random),
    // Cents and tenths of them, as sources report the cost of a click.
    cost: (random.integer(source.costs[0], source.costs[1]) / 1000).toFixed(3),
    currency: 'USD',
    ad_campaign_id: `23850${random.integer(100, 140)}4410`,
    creative_id: `cr-${random.integer(1, 90)}`,
    utm_source: source.name,
    utm_medium: source.medium,
    utm_campaign: `${visitor.country.toLowerCase()}-${random.pick(FORMATS)}`,
    utm_term: random.pick(KEYWORDS),
    utm_content: `banner-${random.integer(1, 24)}`,
  })
  fillSubs(query, random, visitor, subCount)
  return {
    visitor,
    path: `${target}${target.includes('?') ? '&' : '?'}${query.toString()}`,
    headers: {
      'user-agent': visitor.browser.userAgent,
      'accept-language': visitor.acceptLanguage,
      'x-forwarded-for': visitor.ip,
      referer: source.referrer,
      accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
      ...visitor.clientHints,
      ...(visitor.cookie === '' ? {} : { cookie: visitor.cookie }),
    },
  }
}

function fillSubs(query: URLSearchParams, random: SeededRandom, visitor: Visitor, subCount: number): void {
  const named = [
    random.pick(PLACEMENTS),
    `geo-${visitor.country}|dev-${visitor.browser.device}|abtest-${random.pick(['A', 'B'])}`,
    random.pick(KEYWORDS),
    `adset-${random.integer(1, 60)}`,
    random.pick(FORMATS),
    `lp-${random.integer(1, 6)}`,
    random.pick(['broad', 'lookalike', 'retarget']),
    random.pick(['wifi', '4g', '5g']),
    `h${random.integer(0, 23)}`,
    random.pick(BUYERS),
  ]
  for (let number = 1; number <= subCount; number++) {
    query.set(`sub${number}`, named[number - 1] ?? `v${random.integer(1, 12)}`)
  }
}
