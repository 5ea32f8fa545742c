import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CapPeriod } from './cap.ts'
import { periodClock } from './periods.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

function bounds(period: CapPeriod, timezone: string, at: string): readonly [string, string] {
  const { startMs, endMs } = periodClock(period, timezone)(Date.parse(at))
  return [new Date(startMs).toISOString(), new Date(endMs).toISOString()]
}

function hoursLong(period: CapPeriod, timezone: string, at: string): number {
  const { startMs, endMs } = periodClock(period, timezone)(Date.parse(at))
  return (endMs - startMs) / HOUR
}

test('a day goes from midnight to midnight of its zone', () => {
  const kathmandu = ['2026-05-09T18:15:00.000Z', '2026-05-10T18:15:00.000Z']
  assert.deepEqual(bounds('day', 'Asia/Kathmandu', '2026-05-10T12:00:00Z'), kathmandu)
  assert.deepEqual(bounds('day', 'Asia/Kathmandu', '2026-05-09T18:15:00Z'), kathmandu)
  assert.deepEqual(bounds('day', 'UTC', '2026-05-10T23:59:59.999Z')[0], '2026-05-10T00:00:00.000Z')
})

test('a day has 23 hours where the clocks go forward and 25 where they go back', () => {
  assert.equal(hoursLong('day', 'Europe/Berlin', '2026-03-29T12:00:00Z'), 23)
  assert.equal(hoursLong('day', 'Europe/Berlin', '2026-10-25T12:00:00Z'), 25)
  assert.equal(hoursLong('day', 'America/New_York', '2026-03-08T12:00:00Z'), 23)
  assert.equal(hoursLong('day', 'Australia/Lord_Howe', '2026-04-04T14:00:00Z'), 24.5)
})

test('a day begins at one where its midnight is skipped', () => {
  assert.equal(bounds('day', 'Africa/Cairo', '2026-04-24T12:00:00Z')[0], '2026-04-23T22:00:00.000Z')
  assert.equal(hoursLong('day', 'Africa/Cairo', '2026-04-24T12:00:00Z'), 23)
})

test('the day that a zone leaves out at the date line has no length', () => {
  assert.equal(bounds('day', 'Pacific/Apia', '2011-12-30T09:00:00Z')[1], '2011-12-30T10:00:00.000Z')
  assert.equal(bounds('day', 'Pacific/Apia', '2011-12-30T10:00:00Z')[0], '2011-12-30T10:00:00.000Z')
})

test('the hour that clocks show twice is two periods', () => {
  assert.deepEqual(bounds('hour', 'Europe/Berlin', '2026-10-25T00:30:00Z'), [
    '2026-10-25T00:00:00.000Z',
    '2026-10-25T01:00:00.000Z',
  ])
  assert.equal(bounds('hour', 'Europe/Berlin', '2026-10-25T01:30:00Z')[0], '2026-10-25T01:00:00.000Z')
})

test('an hour begins with that of the clock, also half an hour beside UTC, and is longer where clocks go back by half', () => {
  assert.equal(bounds('hour', 'Asia/Kolkata', '2026-05-10T12:15:00Z')[0], '2026-05-10T11:30:00.000Z')
  assert.equal(hoursLong('hour', 'Australia/Lord_Howe', '2026-04-04T14:45:00Z'), 1.5)
  assert.equal(hoursLong('hour', 'Australia/Lord_Howe', '2026-10-03T15:45:00Z'), 0.5)
})

test('a week begins on Monday, and may cross a month and the change of clocks', () => {
  assert.deepEqual(bounds('week', 'Europe/Berlin', '2026-03-29T12:00:00Z'), [
    '2026-03-22T23:00:00.000Z',
    '2026-03-29T22:00:00.000Z',
  ])
  assert.deepEqual(bounds('week', 'America/Sao_Paulo', '2026-05-01T02:00:00Z'), [
    '2026-04-27T03:00:00.000Z',
    '2026-05-04T03:00:00.000Z',
  ])
})

test('a month goes from its first midnight to the next, in leap years too', () => {
  assert.deepEqual(bounds('month', 'America/New_York', '2028-02-29T12:00:00Z'), [
    '2028-02-01T05:00:00.000Z',
    '2028-03-01T05:00:00.000Z',
  ])
  assert.equal(hoursLong('month', 'America/New_York', '2026-03-10T12:00:00Z'), 31 * 24 - 1)
  assert.deepEqual(bounds('month', 'Asia/Tokyo', '2026-12-31T15:00:00Z')[0], '2026-12-31T15:00:00.000Z')
})

test('the total is one period without an end', () => {
  const clock = periodClock('total', 'UTC')
  assert.deepEqual(clock(0), { startMs: 0, endMs: Infinity, id: '0' })
  assert.equal(clock(Date.now()), clock(0))
})

test('a zone that is unknown is refused before any click', () => {
  assert.throws(() => periodClock('day', 'Mars/Olympus'), RangeError)
})

test('the calendar is asked once for the clicks of a period, also with conversions of old clicks among them', (t) => {
  const clock = periodClock('day', 'Europe/Vienna')
  const calls = t.mock.method(Temporal.Instant, 'fromEpochMilliseconds')
  const now = Date.parse('2026-05-10T12:00:00Z')
  for (let click = 0; click < 1_000; click++) {
    clock(now + click)
    clock(now - DAY)
  }
  assert.equal(calls.mock.callCount(), 2)
})

const ZONES = [
  'UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Africa/Cairo',
  'America/St_Johns', 'Pacific/Apia', 'Pacific/Chatham', 'America/Sao_Paulo', 'Africa/Casablanca',
] // prettier-ignore

test('periods follow each other without gaps, and every moment of one finds the same', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...ZONES),
      fc.constantFrom<CapPeriod>('hour', 'day', 'week', 'month'),
      fc.integer({ min: Date.parse('2005-01-01'), max: Date.parse('2037-01-01') }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (timezone, period, at, share) => {
        const clock = periodClock(period, timezone)
        const found = clock(at)
        assert.ok(found.startMs <= at && at < found.endMs)
        const inside = found.startMs + Math.floor((found.endMs - 1 - found.startMs) * share)
        for (const moment of [found.startMs, inside, found.endMs - 1]) assert.deepEqual(clock(moment), found)
        assert.equal(clock(found.endMs).startMs, found.endMs)
        assert.equal(clock(found.startMs - 1).endMs, found.startMs)
      },
    ),
  )
})
