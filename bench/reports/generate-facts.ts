import type { FactsClient } from '#platform/clickhouse'

/** The world of the bench, the same for each size: facts of 60 days, made inside ClickHouse from the number of a click by
 * hashes, so that every run has the same rows. What is popular is popular as in real traffic: a few campaigns, affiliates and
 * countries have most of the clicks. Nothing depends on another value that need not: campaign and affiliate are drawn apart, which
 * makes more groups than a network has.
 */
export const WORLD_DAYS = 60
export const WORLD_FROM_MS = Date.UTC(2026, 8, 1)
const DAY_MS = 86_400_000
export const WORLD_TO_MS = WORLD_FROM_MS + WORLD_DAYS * DAY_MS

/** Of 1,000 clicks: conversions that they bring. */
const CONVERSIONS_PER_1000 = 10

const CAMPAIGNS = 40
const ADVERTISERS = 8
const AFFILIATES = 300
/** The most visited first. */
const COUNTRIES =
  'US DE BR IN GB FR TR ID MX IT ES PL RU UA NL CA AU JP KR TH VN PH MY SG ZA NG KE EG MA DZ TN SA AE QA KW IL JO LB IQ IR ' +
  'PK BD LK NP MM KH LA TW HK CN MN KZ UZ KG TJ TM AZ GE AM BY LT LV EE FI SE NO DK IS IE PT CH AT CZ SK HU RO BG GR CY MT ' +
  'HR SI RS BA ME MK AL MD BE LU AR CL CO PE EC BO PY UY VE CR PA GT HN SV NI DO CU JM TT HT GH CI SN CM UG TZ ET ZM ZW AO'
const SUB1_VALUES = 1_000_000

/** Evenly from 0 (included) to 1; each `salt` draws anew. */
const draw = (salt: number): string => `cityHash64(n, ${salt}) / 18446744073709551616`
/** A whole number below `count`, small ones more often the larger the power. */
const skewed = (salt: number, count: number, power: number): string =>
  `toUInt32(least(${count - 1}, floor(${count} * pow(${draw(salt)}, ${power}))))`
const below = (salt: number, count: number): string => `toUInt32(cityHash64(n, ${salt}) % ${count})`
const oneOf = (index: string, values: readonly string[]): string =>
  `arrayElement([${values.map((value) => `'${value}'`).join(', ')}], 1 + ${index})`
/** One of the values, by weights that add up to 100. */
const weighted = (salt: number, values: Readonly<Record<string, number>>): string => {
  let reached = 0
  const cases = Object.entries(values).map(
    ([value, weight]) => `cityHash64(n, ${salt}) % 100 < ${(reached += weight)}, '${value}'`,
  )
  return `multiIf(${cases.join(', ')}, '')`
}

/** Days have a night: three clicks of ten fall evenly, the others around 19 h. */
const TIME_OF_DAY_MS = `toInt64(${DAY_MS - 1} * if(cityHash64(n, 1) % 10 < 3, ${draw(2)},
  (0.79 + (${draw(3)} + ${draw(4)} + ${draw(5)} - 1.5) * 0.5 + 1) - floor(0.79 + (${draw(3)} + ${draw(4)} + ${draw(5)} - 1.5) * 0.5 + 1)))`

const COUNTRY = `splitByChar(' ', '${COUNTRIES}')[1 + country_no]`

/** Columns that clicks, events and conversions have alike, over the numbers of DRAWN. */
const DIMENSIONS: Readonly<Record<string, string>> = {
  click_id: `reinterpretAsUUID(bitShiftLeft(toUInt128(click_ms), 64) + cityHash64(n, 90))`,
  advertiser_id: `concat('advertiser-', toString(campaign_no % ${ADVERTISERS}))`,
  campaign_id: `concat('campaign-', toString(campaign_no))`,
  flow_id: `concat('flow-', toString(campaign_no), '-', toString(${below(11, 3)}))`,
  landing_id: `concat('landing-', toString(campaign_no), '-', toString(${below(12, 2)}))`,
  offer_id: `concat('offer-', toString(campaign_no), '-', toString(${below(13, 2)}))`,
  affiliate_id: `concat('affiliate-', toString(affiliate_no))`,
  source_id: `concat('source-', toString(source_no))`,
  ad_campaign_id: `concat('ad-', toString(source_no), '-', toString(${skewed(14, 20, 2)}))`,
  creative_id: `concat('creative-', toString(source_no), '-', toString(${skewed(14, 20, 2)}), '-', toString(${below(15, 3)}))`,
  external_click_id: `lower(hex(cityHash64(n, 16)))`,
  sub1: `concat('s', toString(${skewed(17, SUB1_VALUES, 2)}))`,
  sub2: `concat('geo-', ${COUNTRY}, '|dev-', toString(${below(18, 3)}))`,
  sub3: `concat('zone-', toString(${skewed(19, 5_000, 2)}))`,
  sub4: `toString(${below(20, 100)})`,
  sub5: `concat('k', toString(${skewed(21, 20_000, 2)}))`,
  sub2_keys: `map('geo', ${COUNTRY}, 'dev', toString(${below(18, 3)}))`,
  utm_source: `concat('source-', toString(source_no))`,
  utm_medium: weighted(22, { cpc: 70, email: 10, social: 20 }),
  utm_campaign: `concat('utm-', toString(campaign_no))`,
  country: COUNTRY,
  region: `concat('region-', toString(country_no), '-', toString(${below(23, 5)}))`,
  city: `concat('city-', toString(country_no), '-', toString(${skewed(24, 30, 2)}))`,
  asn: `1000 + country_no * 5 + ${below(25, 5)}`,
  isp: `concat('isp-', toString(country_no), '-', toString(${below(25, 5)}))`,
  os: weighted(26, { Android: 48, iOS: 22, Windows: 22, macOS: 6, Linux: 2 }),
  os_version: `toString(${skewed(27, 20, 2)})`,
  browser: weighted(28, { Chrome: 55, Safari: 25, 'Samsung Internet': 8, Firefox: 6, Edge: 6 }),
  browser_version: `toString(100 + ${skewed(29, 40, 2)})`,
  device_type: weighted(26, { mobile: 70, desktop: 26, tablet: 4 }),
  device_brand: `concat('brand-', toString(${skewed(30, 30, 3)}))`,
  device_model: `concat('model-', toString(${skewed(31, 400, 2)}))`,
  language: `lower(${COUNTRY})`,
  connection: weighted(32, { '4g': 60, wifi: 30, '5g': 10 }),
  bot: `if(cityHash64(n, 33) % 100 < 6, ${oneOf('cityHash64(n, 34) % 3', ['user_agent', 'datacentre', 'repeat'])}, '')`,
  fraud_score: `toUInt8(if(cityHash64(n, 35) % 20 = 0, cityHash64(n, 36) % 100, 0))`,
  fraud_reason: `if(cityHash64(n, 35) % 20 = 0, ${oneOf('cityHash64(n, 37) % 4', ['ip_rate', 'proxy', 'hosting', 'visitor_rate'])}, '')`,
  referrer_host: `concat('site-', toString(${skewed(38, 2_000, 2)}), '.example')`,
  visitor_code: `concat('v', lower(hex(cityHash64(visitor_no))))`,
}

const CLICKS: Readonly<Record<string, string>> = {
  at: `fromUnixTimestamp64Milli(click_ms, 'UTC')`,
  ...DIMENSIONS,
  class: weighted(40, { click: 97, head: 2, prefetch: 1 }),
  outcome: weighted(41, { redirected: 92, shown: 4, fallback: 3, not_found: 1 }),
  refusal: weighted(41, { '': 96, cap_full: 3, link_unknown: 1 }),
  is_unique_campaign: `cityHash64(n, 42) % 100 < 78`,
  is_unique_offer: `cityHash64(n, 42) % 100 < 74`,
  is_unique_global: `cityHash64(n, 42) % 100 < 70`,
  link_code: `concat('link-', toString(campaign_no))`,
  cost_micros: `toInt64(if(source_no < 9, 4000 + cityHash64(n, 43) % 90000, 0))`,
  currency: `if(campaign_no % ${ADVERTISERS} = 7, 'EUR', 'USD')`,
  ip: `toIPv6(concat('::ffff:', IPv4NumToString(toUInt32(cityHash64(n, 44)))))`,
  user_agent: `concat('Mozilla/5.0 (bench; ', toString(${skewed(45, 2_000, 2)}), ') AppleWebKit/537.36 (KHTML, like Gecko)')`,
  referrer: `concat('https://site-', toString(${skewed(38, 2_000, 2)}), '.example/page/', toString(${skewed(46, 100, 2)}))`,
  domain: `concat('go', toString(${below(47, 4)}), '.example')`,
  config_version: `toUInt32(17)`,
  trace: `concat('c', toString(campaign_no), ';f', toString(${below(11, 3)}), ':', toString(${below(48, 100)}), ';o', toString(${below(13, 2)}))`,
  log_partition: `concat('edge-', toString(n % 2))`,
  log_offset: 'n',
}

/** Events of a click come one after the other: the k-th step is reached by ever fewer, each some seconds after the last. */
const FUNNEL_STEPS = ['open', 'lp_click', 'add_to_cart', 'checkout', 'purchase'] as const
/** Of 1,000 clicks; 100 in all. */
const REACHED: readonly number[] = [58, 24, 10, 5, 3]

const EVENTS: Readonly<Record<string, string>> = {
  ...DIMENSIONS,
  at: `fromUnixTimestamp64Milli(click_ms + step_no * (2000 + toInt64(cityHash64(n, 50) % 60000)), 'UTC')`,
  event_id: `concat(lower(hex(cityHash64(n, 51))), '-', toString(step_no))`,
  click_at: `fromUnixTimestamp64Milli(click_ms, 'UTC')`,
  type: oneOf('(step_no - 1)', FUNNEL_STEPS),
  amount_micros: `toInt64(if(step_no = 5, 5000000 + cityHash64(n, 52) % 90000000, 0))`,
  currency: `if(campaign_no % ${ADVERTISERS} = 7, 'EUR', 'USD')`,
  time_on_page_ms: `toUInt32(cityHash64(n, 53) % 120000)`,
  log_partition: `concat('edge-', toString(n % 2))`,
  log_offset: `n * 8 + step_no`,
}

/** A conversion is pending at first; four of five are decided later, which takes the first row back and brings another. */
const CONVERSIONS: Readonly<Record<string, string>> = {
  ...DIMENSIONS,
  at: `fromUnixTimestamp64Milli(click_ms + toInt64(5000 + 7200000 * pow(${draw(60)}, 3)), 'UTC')`,
  conversion_id: `reinterpretAsUUID(bitShiftLeft(toUInt128(click_ms), 64) + cityHash64(n, 61))`,
  revision: `toUInt32(if(row_no = 1, 1, 2))`,
  sign: `toInt8(if(row_no = 2, -1, 1))`,
  seq: `n * 4 + row_no`,
  revised_at: `fromUnixTimestamp64Milli(click_ms + 86400000, 'UTC')`,
  click_at: `fromUnixTimestamp64Milli(click_ms, 'UTC')`,
  type: weighted(62, { lead: 70, sale: 30 }),
  goal: weighted(62, { registration: 70, deposit: 30 }),
  status: `if(row_no < 3, 'pending', ${weighted(64, { approved: 85, rejected: 15 })})`,
  txid: `lower(hex(cityHash64(n, 65)))`,
  payout_micros: `toInt64(1000000 + cityHash64(n, 66) % 30000000)`,
  revenue_micros: `toInt64(1500000 + cityHash64(n, 66) % 45000000)`,
  sale_amount_micros: `toInt64(if(cityHash64(n, 62) % 100 >= 70, 5000000 + cityHash64(n, 67) % 90000000, 0))`,
  currency: `if(campaign_no % ${ADVERTISERS} = 7, 'EUR', 'USD')`,
}

const drawn = (day: number, clicks: number): string => `SELECT number AS n,
  ${skewed(70, CAMPAIGNS, 2)} AS campaign_no, ${skewed(71, AFFILIATES, 2)} AS affiliate_no, ${skewed(72, COUNTRIES.split(' ').length, 2.5)} AS country_no,
  ${skewed(73, 12, 1.5)} AS source_no, toUInt64(cityHash64(n, 74) % ${Math.max(1, Math.round(clicks * 0.6))}) AS visitor_no,
  toInt64(${WORLD_FROM_MS + day * DAY_MS}) + ${TIME_OF_DAY_MS} AS click_ms
  FROM numbers(${Math.round((day * clicks) / WORLD_DAYS)}, ${Math.round(((day + 1) * clicks) / WORLD_DAYS) - Math.round((day * clicks) / WORLD_DAYS)})`

/** Events of a click are a run from the first step: clicks that reach the fifth have all five. */
const STEPS = `arrayJoin(range(1, 1 + ${REACHED.map((share) => `(cityHash64(n, 54) % 1000 < ${share})`).join(' + ')}))`
const REVISIONS = `arrayJoin(if(cityHash64(n, 63) % 10 < 8, [1, 2, 3], [1]))`

/** Parts of the last day, which are not merged yet. */
const ROWS_OF_PART = 131_072

const insertOf = (table: string, columns: Readonly<Record<string, string>>, from: string, rows: number): string =>
  `INSERT INTO ${table} (${Object.keys(columns).join(', ')})
  SELECT ${Object.values(columns).join(', ')} FROM (${from})
  SETTINGS max_insert_threads = 1, max_block_size = 65536, min_insert_block_size_rows = ${rows}, min_insert_block_size_bytes = 0,
    max_partitions_per_insert_block = 0`

/** Fills the empty, migrated tables with this many clicks and what they bring.
 *
 * Days that are over stand in one part with its sums, as an installation merges them hours later; made so at once, because to
 * insert and to merge would take three times as long. The last day is in several parts without sums.
 */
export async function generateFacts(facts: FactsClient, clicks: number): Promise<void> {
  await facts.command({ query: 'ALTER TABLE clicks MODIFY SETTING materialize_projections_on_insert = 1' })
  for (let day = 0; day < WORLD_DAYS - 1; day++) await generateDay(facts, clicks, day, clicks)
  await facts.command({ query: 'ALTER TABLE clicks MODIFY SETTING materialize_projections_on_insert = 0' })
  await mergeDays(facts)
  await generateDay(facts, clicks, WORLD_DAYS - 1, ROWS_OF_PART)
}

/** What follows a click after midnight is of the next day, and came to it as a part of its own. */
async function mergeDays(facts: FactsClient): Promise<void> {
  for (const table of ['events', 'conversions'])
    for (let day = 0; day < WORLD_DAYS - 1; day++) {
      const partition = new Date(WORLD_FROM_MS + day * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '')
      await facts.command({ query: `OPTIMIZE TABLE ${table} PARTITION ID '${partition}' FINAL` })
    }
}

async function generateDay(facts: FactsClient, clicks: number, day: number, rowsOfPart: number): Promise<void> {
  const numbers = drawn(day, clicks)
  const ofEvents = `SELECT *, ${STEPS} AS step_no FROM (${numbers}) WHERE cityHash64(n, 54) % 1000 < ${REACHED[0]}`
  const ofConversions = `SELECT *, ${REVISIONS} AS row_no FROM (${numbers}) WHERE cityHash64(n, 55) % 1000 < ${CONVERSIONS_PER_1000}`
  await facts.command({ query: insertOf('clicks', CLICKS, numbers, rowsOfPart) })
  await facts.command({ query: insertOf('events', EVENTS, ofEvents, rowsOfPart) })
  await facts.command({ query: insertOf('conversions', CONVERSIONS, ofConversions, rowsOfPart) })
}
