import { parse, stringify } from 'yaml'

/** A configuration as large as a network's: 1,000 offers, 1,000 campaigns with 10,000 flows. Every campaign begins with a flow whose
 * rule has 100 conditions, all of which a usual visitor is asked for and none of which they meet; then eight flows for countries of
 * their own are drawn by weight, and one takes the rest.
 */
const OFFERS = 1_000
export const LARGE_CAMPAIGNS = 1_000
const REGULAR_FLOWS = 8
const CONDITIONS = 100

const COUNTRIES = [
  'US GB DE FR BR MX IN ID TR ES IT PL', 'NL BE SE NO DK FI PT GR RO HU CZ AT', 'CH IE IL SA AE EG ZA NG KE MA DZ TN',
  'AR CL CO PE VE EC UY BO PY CR PA DO', 'JP KR CN TW HK SG MY TH VN PH KH LA', 'AU NZ FJ PG LK BD PK NP MM KZ UZ KG',
  'UA BY MD LT LV EE BG RS HR SI SK BA', 'CA GT HN SV NI CU JM TT BS BB IS LU',
] as const // prettier-ignore

const words = ['promo', 'trial', 'bonus', 'retarget', 'lookalike', 'video', 'native', 'push', 'pop', 'inapp'] as const

/** 100 conditions over ten fields, joined by "or". */
function longRule(campaign: number): string {
  const conditions = Array.from({ length: CONDITIONS }, (_, index) => {
    const value = `${words[index % words.length]}-${campaign}-${index}`
    switch (index % 5) {
      case 0:
        return `sub${(index % 9) + 1} is "${value}"`
      case 1:
        return `utm_campaign starts_with "${value}"`
      case 2:
        return `referrer contains "${value}"`
      case 3:
        return `isp is "${value}"`
      default:
        return `creative_id in ("${value}", "${value}b", "${value}c")`
    }
  })
  return conditions.join(' or ')
}

const LANDING = 'https://shop.example.com/landing?cid={clickid}&geo={country}&s1={sub1}'

/** @param others the configuration that it stands beside: its objects have other names, but for the advertiser and the affiliate */
export function largeConfiguration(others: string): string {
  const lines = [
    'advertisers:',
    '  bench: { name: Bench, currency: USD, domains: [shop.example.com, 127.0.0.1] }',
    'affiliates:',
    '  pat: { name: Pat, advertiser_ids: [bench] }',
    'offers:',
    ...Array.from(
      { length: OFFERS },
      (_, index) =>
        `  o${index}: { advertiser_id: bench, model: cpl, prices: [{ type: lead, payout: '3.00', revenue: '5.00' }], landing_url: '${LANDING}' }`,
    ),
    'campaigns:',
    ...Array.from({ length: LARGE_CAMPAIGNS }, (_, index) => campaignLines(index)).flat(),
  ]
  return stringify(mergeSections(parse(others) as Sections, parse(lines.join('\n')) as Sections))
}

type Sections = Readonly<Record<string, Readonly<Record<string, unknown>>>>

const mergeSections = (left: Sections, right: Sections): Sections =>
  Object.fromEntries(
    [...new Set([...Object.keys(left), ...Object.keys(right)])].map((name) => [
      name,
      { ...left[name], ...right[name] },
    ]),
  )

function campaignLines(index: number): readonly string[] {
  const offer = (shift: number): string => `o${(index * 7 + shift) % OFFERS}`
  const regular = Array.from(
    { length: REGULAR_FLOWS },
    (_, flow) =>
      `      - { flow_id: c${index}-${flow}, weight: ${10 + flow}, rule: 'country in (${COUNTRIES[flow]!.replaceAll(' ', ', ')}) and not bot is user_agent', offers: [{ offer_id: ${offer(flow)}, weight: 70 }, { offer_id: ${offer(flow + 100)}, weight: 30 }] }`,
  )
  return [
    `  c${index}:`,
    '    advertiser_id: bench',
    '    affiliate_id: pat',
    '    flows:',
    `      - { flow_id: c${index}-long, kind: forced, rule: '${longRule(index)}', offer_id: ${offer(0)} }`,
    ...regular,
    `      - { flow_id: c${index}-rest, kind: default, offer_id: ${offer(1)} }`,
  ]
}
