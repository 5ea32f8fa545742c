import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createRandom, drawNormal } from '#platform/random'

import { findUnusual, HOUR_MS, type HourValue, type Series } from './find-unusual.ts'
import { poisson } from './test-noise.ts'

/** A Monday. */
const START = Date.UTC(2026, 8, 7)
const WEEKS = 8
const PAST_HOURS = WEEKS * 168

type Options = Partial<Pick<Series, 'timezone' | 'sensitivity' | 'isRatio' | 'isOfCounts' | 'countMin' | 'weeks'>>

/** @param valueAt of the hour with this number from START on */
function seriesOf(hours: number, valueAt: (hour: number) => HourValue | undefined, options: Options = {}): Series {
  const values = new Map<number, HourValue>()
  for (let hour = 0; hour < PAST_HOURS + hours; hour++) {
    const value = valueAt(hour)
    if (value !== undefined) values.set(START + hour * HOUR_MS, value)
  }
  return {
    ...{ values, isRatio: false, isOfCounts: true, timezone: 'UTC', weeks: WEEKS, countMin: 20, sensitivity: 4 },
    judged: Array.from({ length: hours }, (_, index) => START + (PAST_HOURS + index) * HOUR_MS),
    ...options,
  }
}
const counts = (part: number): HourValue => ({ part, whole: 0 })

/** More by day than by night. */
const wave = (hour: number): number => 1 + 0.8 * Math.sin((2 * Math.PI * (hour % 24)) / 24)

test('expects the median of the same hour of the weeks before, and says how far the actual one lies from it', () => {
  // The past lies one apart from its median, less than chance would make it: one deviation is the root of 101.
  const series = seriesOf(1, (hour) => counts(hour < PAST_HOURS ? 100 + ((Math.floor(hour / 168) % 3) - 1) : 160))
  const { unusual, checked, skipped } = findUnusual(series)
  assert.deepEqual([checked, skipped, unusual.length], [1, 0, 1])
  const [{ actual, expected, score, low, high }] = unusual as [(typeof unusual)[number]]
  assert.deepEqual([actual, expected], [160, 100])
  assert.equal(score, 60 / Math.sqrt(101))
  assert.deepEqual([low, high], [100 - 4 * Math.sqrt(101), 100 + 4 * Math.sqrt(101)])
})

test('hours in a row on the same side are one anomaly', () => {
  const actual = [100, 10, 12, 100, 300, 8]
  const { unusual } = findUnusual(seriesOf(6, (hour) => counts(hour < PAST_HOURS ? 100 : actual[hour - PAST_HOURS]!)))
  assert.deepEqual(
    unusual.map(({ fromMs, toMs, actual, expected }) => [(fromMs - START) / HOUR_MS - PAST_HOURS, (toMs - fromMs) / HOUR_MS, actual, expected]),
    [[1, 2, 22, 200], [4, 1, 300, 100], [5, 1, 8, 100]],
  ) // prettier-ignore
})

test('skips hours with too few weeks of data or too small numbers', () => {
  const young = seriesOf(2, (hour) => (hour < PAST_HOURS - 3 * 168 ? undefined : counts(100)))
  assert.deepEqual(findUnusual(young), { unusual: [], checked: 0, skipped: 2, scale: { spread: 1, offset: 1 } })
  const small = seriesOf(2, (hour) => counts(hour < PAST_HOURS ? 1 : 15))
  assert.deepEqual([findUnusual(small).checked, findUnusual(small).unusual], [0, []])
  // One that is large enough now is told, however small it was.
  const risen = seriesOf(1, (hour) => counts(hour < PAST_HOURS ? 1 : 40))
  assert.equal(findUnusual(risen).unusual.length, 1)
})

test('an hour that is wide every week may be wide again', () => {
  const wide = (hour: number): HourValue => counts(hour % 168 === 5 ? [20, 400][Math.floor(hour / 168) % 2]! : 100)
  const { unusual } = findUnusual(seriesOf(12, (hour) => (hour === PAST_HOURS + 5 ? counts(420) : wide(hour))))
  assert.deepEqual(unusual, [])
})

test('compares with the same hour of the zone when the clocks change in between', () => {
  // In Berlin the clocks go back on 2026-10-25, one hour before the hours that are judged begin in UTC.
  const timezone = 'Europe/Berlin'
  const atNine = (hour: number): boolean =>
    Temporal.Instant.fromEpochMilliseconds(START + hour * HOUR_MS).toZonedDateTimeISO(timezone).hour === 9
  const valueAt = (hour: number): HourValue => counts(atNine(hour) ? 1_000 : 100)
  assert.deepEqual(findUnusual(seriesOf(24, valueAt, { timezone })).unusual, [])
  assert.notDeepEqual(findUnusual(seriesOf(24, valueAt, { timezone: 'UTC' })).unusual, [])
})

test('a ratio needs enough below its line, and is judged by that', () => {
  const options = { isRatio: true, countMin: 30 }
  const ratio = (part: number, whole: number) => (hour: number) =>
    hour < PAST_HOURS ? { part: 20, whole: 200 } : { part, whole }
  assert.deepEqual(findUnusual(seriesOf(1, ratio(0, 29), options)).checked, 0)
  assert.deepEqual(findUnusual(seriesOf(1, ratio(0, 40), options)).checked, 0)
  assert.deepEqual(findUnusual(seriesOf(1, ratio(0, 60), options)), {
    ...{ checked: 1, skipped: 0, scale: { spread: 0, offset: 1 } },
    unusual: [],
  })
  // A tenth of four hundred throws of a coin: six of them are the deviation, and nothing at all more than six of these.
  const [found] = findUnusual(seriesOf(1, ratio(0, 400), options)).unusual
  assert.equal(found?.expected, 0.1)
  assert.ok(Math.abs(found.score - 40 / 6) < 1e-9)
})

const QUIET_WORLDS = 60

test('quiet worlds give false alarms in less than one of a thousand hours, planted ones are found', (t) => {
  let hours = 0
  let alarms = 0
  let found = 0
  for (let seed = 1; seed <= QUIET_WORLDS; seed++) {
    const random = createRandom(seed)
    const size = [30, 120, 1_000][seed % 3]!
    // Every second world has weeks and hours that are larger or smaller as a whole.
    const isRough = seed % 2 === 0
    const value = (hour: number): HourValue =>
      counts(poisson(size * wave(hour) * (isRough ? Math.exp(0.1 * drawNormal(random)) : 1), random))
    const series = seriesOf(72, value)
    const quiet = findUnusual(series)
    hours += quiet.checked
    alarms += quiet.unusual.length
    // Six in the evening of the second day: a third of the visitors is missing for three hours at the large ones, all at small ones.
    const planted = new Map(series.values)
    for (let hour = 30; hour < 33; hour++) {
      const at = START + (PAST_HOURS + hour) * HOUR_MS
      planted.set(at, counts(Math.round(planted.get(at)!.part * (size === 1_000 ? 0.5 : 0))))
    }
    const seen = findUnusual({ ...series, values: planted }).unusual
    if (seen.some(({ fromMs, toMs }) => fromMs <= START + (PAST_HOURS + 31) * HOUR_MS && toMs > START + (PAST_HOURS + 31) * HOUR_MS)) found++ // prettier-ignore
  }
  t.diagnostic(`${alarms} false alarms in ${hours} hours, ${found} of ${QUIET_WORLDS} found`)
  assert.ok(hours > 3_000 && alarms / hours < 0.001, `${alarms} of ${hours}`)
  assert.ok(found >= QUIET_WORLDS * 0.95, `${found}`)
})

test('quiet ratios give false alarms in less than one of a thousand hours, planted ones are found', (t) => {
  let hours = 0
  let alarms = 0
  let found = 0
  for (let seed = 1; seed <= QUIET_WORLDS; seed++) {
    const random = createRandom(seed)
    const chance = [0.02, 0.1, 0.4][seed % 3]!
    const value = (hour: number): HourValue => {
      const whole = poisson(600 * wave(hour), random)
      return { whole, part: Math.min(whole, poisson(whole * chance, random)) }
    }
    const series = seriesOf(72, value, { isRatio: true })
    const quiet = findUnusual(series)
    hours += quiet.checked
    alarms += quiet.unusual.length
    const at = START + (PAST_HOURS + 30) * HOUR_MS
    const { whole } = series.values.get(at)!
    const planted = new Map(series.values).set(at, { whole, part: Math.round(whole * chance * 3) })
    if (findUnusual({ ...series, values: planted }).unusual.some(({ fromMs }) => fromMs === at)) found++
  }
  t.diagnostic(`${alarms} false alarms in ${hours} hours, ${found} of ${QUIET_WORLDS} found`)
  assert.ok(hours > 3_000 && alarms / hours < 0.001, `${alarms} of ${hours}`)
  assert.ok(found >= QUIET_WORLDS * 0.95, `${found}`)
})
