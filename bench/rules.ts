import { parseArgs } from 'node:util'
import { compileRule, RuleFacts, RuleLists, type CompiledRule, type Rule, type RuleFactsGiven } from '#rules'
import { createSeededRandom } from '../src/demo/seeded-random.ts'
import { median } from './statistics.ts'

/** Measures what rules cost: a rule of 100 conditions that all hold, single conditions of each sort, and a list of 100,000
 * blocks of addresses. Prints one JSON object, nanoseconds an evaluation. `node bench/rules.ts --rounds 15`
 */
const { values: settings } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } })

const SEED = 20_260_901
const PREFIXES = 100_000
const EVALUATIONS = 50_000
const WARM_UP_ROUNDS = 3

const { next: random } = createSeededRandom(SEED)
const below = (limit: number): number => Math.floor(random() * limit)
const ipv4 = (): string => [1 + below(223), below(256), below(256), below(256)].join('.')
const ipv6 = (): string =>
  `2${below(4096).toString(16).padStart(3, '0')}:${below(65_536).toString(16)}:${below(65_536).toString(16)}::1`

const lists = new RuleLists({
  prefixes_v4: Array.from({ length: PREFIXES }, () => `${ipv4()}/${20 + below(13)}`),
  prefixes_v6: Array.from({ length: PREFIXES }, () => `${ipv6()}/${32 + below(33)}`),
  words: Array.from({ length: PREFIXES }, (_, index) => `sub-${index}`),
  hosts: Array.from({ length: 10_000 }, (_, index) => `*.site-${index}.example`),
})

/** Facts of a thousand clicks, made afresh for each evaluation: texts and addresses of a click are read once. */
const clicks = Array.from({ length: 1_000 }, (_, index): RuleFactsGiven => {
  const os = ['Android', 'iOS', 'Windows'][below(3)]!
  return {
    at: 1_800_000_000_000 + index,
    visitor: {
      country: ['DE', 'US', 'BR', 'IN'][below(4)]!,
      region: 'Bavaria', city: 'München', asn: 3320, isp: 'Deutsche Telekom AG', os, os_version: '16.4.1',
      browser: 'Chrome', browser_version: '120.0.6099.71', device_type: 'mobile', device_brand: 'Samsung',
      device_model: 'SM-G991B', language: 'de-de', ip: below(2) === 0 ? ipv4() : ipv6(),
      user_agent: 'Mozilla/5.0 (Linux; Android 14; SM-G991B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36',
    },
    parameters: {
      sub1: `Sub-${below(200_000)}`, sub2: 'geo-TR|dev-mobile', sub3: 'Promo-7', sub4: 'adset 12', sub5: '1700000000',
      utm_source: 'facebook', utm_campaign: 'Summer_2026', source_id: 'fb', sub2_keys: { geo: 'TR' },
      referrer: `https://m.site-${below(20_000)}.example/path/page?x=1`, cost_micros: 120_000, currency: 'USD',
    },
    assigned: { campaign_id: 'summer', affiliate_id: 'ann' },
    query: (name) => (name === 'fbclid' ? 'IwAR0' : undefined),
    isUnique: () => true,
  }
}) // prettier-ignore

/** Ten conditions that hold for every click, of the sorts that people write most. */
const usual: readonly Rule[] = [
  { field: 'country', op: 'in', value: ['DE', 'AT', 'CH', 'US', 'BR', 'IN'] },
  { field: 'device_type', op: 'is', value: 'mobile' },
  { field: 'os', op: 'not_in', value: ['Linux', 'macOS'] },
  { field: 'browser', op: 'is', value: 'chrome' },
  { field: 'sub3', op: 'starts_with', value: 'promo' },
  { field: 'utm_campaign', op: 'contains', value: '2026' },
  { field: 'language', op: 'is', value: 'de' },
  { field: 'asn', op: 'in', value: [3320, 3209, 6805] },
  { field: 'is_proxy', op: 'is', value: false },
  { field: 'bot', op: 'is', value: false },
]
const hundred: Rule = { all: Array.from({ length: 10 }, () => usual).flat() }

const rules: Readonly<Record<string, Rule>> = {
  hundred_conditions: hundred,
  no_condition: { all: [] },
  country_in: usual[0]!,
  language_is: usual[6]!,
  version_between: { field: 'browser_version', op: 'between', value: ['100', '120'] },
  time_table: { field: 'time', op: 'in', value: ['Mon-Fri 09:00-18:00 Europe/Berlin'] },
  pattern: { field: 'sub3', op: 'matches', value: '^promo-\\d+$' },
  pattern_user_agent: { field: 'user_agent', op: 'matches', value: '(bot|crawl|spider)' },
  query: { field: 'query.fbclid', op: 'exists', value: true },
  words_100k: { field: 'sub1', op: 'in', value: ['@words'] },
  hosts_10k: { field: 'referrer_host', op: 'in', value: ['@hosts'] },
  addresses_100k_v4: { field: 'ip', op: 'in', value: ['@prefixes_v4'] },
  addresses_100k_v6: { field: 'ip', op: 'in', value: ['@prefixes_v6'] },
}

/** Keeps what is measured from being optimised away. */
let met = 0

function measure(rule: CompiledRule): number {
  const startedAt = process.hrtime.bigint()
  for (let index = 0; index < EVALUATIONS; index += 1)
    if (rule(new RuleFacts(clicks[index % clicks.length]!)) === -1) met += 1
  return Number(process.hrtime.bigint() - startedAt) / EVALUATIONS
}

function measureMedian(rule: CompiledRule): number {
  const rounds: number[] = []
  for (let round = -WARM_UP_ROUNDS; round < Number(settings.rounds); round += 1) {
    const nanoseconds = measure(rule)
    if (round >= 0) rounds.push(nanoseconds)
  }
  return Math.round(median(rounds))
}

const compiled = Object.entries(rules).map(([name, rule]) => {
  const startedAt = process.hrtime.bigint()
  const evaluate = compileRule(rule, lists)
  return { name, evaluate, compileMs: Number(process.hrtime.bigint() - startedAt) / 1e6 }
})
const figures = compiled.map(({ name, evaluate }) => [name, measureMedian(evaluate)] as const)
const compileMs = Object.fromEntries(compiled.map(({ name, compileMs }) => [name, Number(compileMs.toFixed(1))]))
console.log(JSON.stringify({ nanoseconds: Object.fromEntries(figures), compile_ms: compileMs, met }, null, 2))
