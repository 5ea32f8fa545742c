import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { fraudLimits } from './limits.ts'
import { createRateBoard, openRateCounters } from './rate-counters.ts'
import { checkFraudSettings, type FraudSettings } from './settings.ts'

const rateOf = (limit: number, window_seconds: number): FraudSettings => ({ rates: { ip: { limit, window_seconds } } })
const referrersOf = (count: number): FraudSettings => ({
  referrers: { deny: Array.from({ length: count }, (_, index) => `h${index}.example`) },
})
const ownRulesOf = (count: number): FraudSettings => ({
  own_rules: Array.from({ length: count }, (_, index) => ({
    name: `r${index}`,
    score: 1,
    rule: { field: 'country', op: 'is', value: 'DE' } as const,
  })),
})

/** Settings with the value that the limit bounds. */
const settings: Readonly<Record<string, readonly [number, (value: number) => FraudSettings]>> = {
  clicksOfWindowMax: [fraudLimits.clicksOfWindowMax, (limit) => rateOf(limit, 60)],
  windowSecondsMax: [fraudLimits.windowSecondsMax, (seconds) => rateOf(1, seconds)],
  'windowSecondsMax of duplicates': [fraudLimits.windowSecondsMax, (duplicate_seconds) => ({ duplicate_seconds })],
  referrersMax: [fraudLimits.referrersMax, referrersOf],
  ownRulesMax: [fraudLimits.ownRulesMax, ownRulesOf],
  ctitSecondsMinMax: [fraudLimits.ctitSecondsMinMax, (seconds_min) => ({ ctit: { seconds_min } })],
  ctitSecondsMaxMax: [fraudLimits.ctitSecondsMaxMax, (seconds_max) => ({ ctit: { seconds_max } })],
  'conversionsLimitMax of an address': [fraudLimits.conversionsLimitMax, (per_ip) => ({ conversions: { per_ip } })],
  'conversionsLimitMax of a device': [
    fraudLimits.conversionsLimitMax,
    (per_device) => ({ conversions: { per_device } }),
  ],
  conversionHoursMax: [fraudLimits.conversionHoursMax, (window_hours) => ({ conversions: { window_hours } })],
}

describe('a limit', () => {
  for (const [name, [max, settingsOf]] of Object.entries(settings))
    test(`${name}: settings at it are taken, past it refused with the number`, () => {
      assert.deepEqual(checkFraudSettings(settingsOf(max)), [])
      const [issue, ...more] = checkFraudSettings(settingsOf(max + 1))
      assert.deepEqual(more, [])
      assert.match(issue!.message, new RegExp(`Expected .*${max}\\b`))
    })

  test('counterBytes, counterCellsOfRow: the counters of an edge take so much memory, whatever comes', () => {
    assert.equal(createRateBoard(1).byteLength, fraudLimits.counterBytes)
    const { counterCellsOfRow: cells, visitsRemembered: visits } = fraudLimits
    assert.equal(createRateBoard(1, { cells, visits }).byteLength, fraudLimits.counterBytes)
    const [kinds, rows, cellBytes, visitBytes, header] = [4, 4, 16, 8, 64]
    assert.equal(kinds * rows * cells * cellBytes + visits * visitBytes + header, fraudLimits.counterBytes)
  })

  test('clicksOfWindowMax: a counter reaches every limit that can be set', () => {
    const counters = openRateCounters(createRateBoard(1, { cells: 8, visits: 8 }))
    let counted = 0
    for (let hit = 0; hit <= fraudLimits.clicksOfWindowMax; hit += 1) counted = counters.count('ip', '192.0.2.1', 60, 0)
    assert.ok(counted > fraudLimits.clicksOfWindowMax, String(counted))
  })

  test('visitsRemembered: nearly all of half as many visits are still known, and few of the first after four times as many', () => {
    const counters = openRateCounters(createRateBoard(1))
    const { visitsRemembered } = fraudLimits
    const at = (index: number): number => index / 1_000
    const seen = (first: number, count: number, now: number): number => {
      let known = 0
      for (let index = first; index < first + count; index += 1)
        if (counters.isRepeat(`v${index}`, 'c', 3_600, now)) known += 1
      return known
    }
    for (let index = 0; index < visitsRemembered / 2; index += 1) counters.isRepeat(`v${index}`, 'c', 3_600, at(index))
    const sample = 1_000
    assert.ok(seen(0, sample, at(visitsRemembered / 2)) > 0.95 * sample)
    for (let index = visitsRemembered; index < 5 * visitsRemembered; index += 1)
      counters.isRepeat(`v${index}`, 'c', 3_600, at(index))
    assert.ok(seen(sample, sample, at(5 * visitsRemembered)) < 0.05 * sample)
  })
})
