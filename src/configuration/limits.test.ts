/** Limits of other modules that a file meets first. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { capLimits } from '#caps'
import { fraudLimits } from '#fraud'

import { checkConfiguration } from './index.ts'

const offersWith = (more: string, others = ''): string => `
advertisers: { acme: {} }
offers:
  lamp: { advertiser_id: acme, landing_url: "https://acme.example/", prices: [{ type: sale, payout: 1 }], ${more} }
${others}`
const cap = (more = '', id = 'a'): string => `{ cap_id: ${id}, metric: conversions, period: day, limit: 1${more} }`
const list = (count: number, item: (index: number) => string): string =>
  `[${Array.from({ length: count }, (_, index) => item(index)).join(', ')}]`
const others = (count: number): string =>
  Array.from({ length: count }, (_, index) => `  o${index}: { advertiser_id: acme, landing_url: "https://acme.example/", prices: [{ type: sale, payout: 1 }] }`).join('\n') // prettier-ignore

/** A file whose one value is as large as said. */
const files: Readonly<Record<string, readonly [number, (size: number) => string]>> = {
  'capsOfOfferMax of caps': [
    capLimits.capsOfOfferMax,
    (count) => offersWith(`caps: ${list(count, (index) => cap('', `c${index}`))}`),
  ],
  'fallbacksMax of caps': [
    capLimits.fallbacksMax,
    (count) => offersWith(`caps: [${cap()}], cap_fallbacks: ${list(count, (index) => `o${index}`)}`, others(count)),
  ],
  'dimensionsMax of caps': [
    capLimits.dimensionsMax,
    (count) => offersWith(`caps: [${cap(`, per: ${list(count, (index) => `sub${index + 1}`)}`)}]`),
  ],
  'capIdCharactersMax of caps': [
    capLimits.capIdCharactersMax,
    (count) => offersWith(`caps: [${cap('', 'x'.repeat(count))}]`),
  ],
  'holdMinutesMax of caps': [
    capLimits.holdMinutesMax,
    (minutes) => offersWith(`caps: [${cap(`, hold_minutes: ${minutes}`)}]`),
  ],
  'referrersMax of fraud': [
    fraudLimits.referrersMax,
    (count) => `fraud: { referrers: { deny: ${list(count, (index) => `h${index}.example`)} } }`,
  ],
  'ownRulesMax of fraud': [
    fraudLimits.ownRulesMax,
    (count) => `fraud: { own_rules: ${list(count, (index) => `{ name: r${index}, score: 1, rule: bot }`)} }`,
  ],
  'windowSecondsMax of fraud': [fraudLimits.windowSecondsMax, (seconds) => `fraud: { duplicate_seconds: ${seconds} }`],
  'clicksOfWindowMax of fraud': [
    fraudLimits.clicksOfWindowMax,
    (limit) => `fraud: { rates: { ip: { limit: ${limit}, window_seconds: 60 } } }`,
  ],
  'ctitSecondsMinMax of fraud': [fraudLimits.ctitSecondsMinMax, (seconds) => `fraud: { ctit: { seconds_min: ${seconds} } }`], // prettier-ignore
  'ctitSecondsMaxMax of fraud': [fraudLimits.ctitSecondsMaxMax, (seconds) => `fraud: { ctit: { seconds_max: ${seconds} } }`], // prettier-ignore
  'conversionsLimitMax of fraud': [fraudLimits.conversionsLimitMax, (limit) => `fraud: { conversions: { per_ip: ${limit} } }`], // prettier-ignore
  'conversionHoursMax of fraud': [fraudLimits.conversionHoursMax, (hours) => `fraud: { conversions: { window_hours: ${hours} } }`], // prettier-ignore
  'named lists': [1_000, (count) => `lists: { ${Array.from({ length: count }, (_, index) => `l${index}: [x]`).join(', ')} }`], // prettier-ignore
}

describe('a limit', () => {
  for (const [name, [max, fileOf]] of Object.entries(files))
    test(`${name}: a file at it is taken, one past it refused`, () => {
      assert.deepEqual(checkConfiguration(fileOf(max)), [])
      assert.notDeepEqual(checkConfiguration(fileOf(max + 1)), [])
    })
})
