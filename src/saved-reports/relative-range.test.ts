import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { daysOf, relativeRanges, type RelativeRange } from './index.ts'

const names = Object.keys(relativeRanges) as RelativeRange[]

test('a range is the days that a person in the zone means', () => {
  // A Saturday: 21 November 2026, 00:30 in Berlin, still the 20th in UTC.
  const now = Date.UTC(2026, 10, 20, 23, 30)
  const expected: Record<RelativeRange, readonly [string, string]> = {
    today: ['2026-11-21', '2026-11-21'],
    yesterday: ['2026-11-20', '2026-11-20'],
    last_7_days: ['2026-11-15', '2026-11-21'],
    last_14_days: ['2026-11-08', '2026-11-21'],
    last_30_days: ['2026-10-23', '2026-11-21'],
    last_90_days: ['2026-08-24', '2026-11-21'],
    this_week: ['2026-11-16', '2026-11-22'],
    last_week: ['2026-11-09', '2026-11-15'],
    this_month: ['2026-11-01', '2026-11-30'],
    month_to_date: ['2026-11-01', '2026-11-21'],
    last_month: ['2026-10-01', '2026-10-31'],
  }
  for (const name of names) {
    const { from, to } = daysOf(name, 'Europe/Berlin', now)
    assert.deepEqual([from, to], expected[name], name)
  }
  assert.deepEqual(daysOf('today', 'UTC', now), { from: '2026-11-20', to: '2026-11-20' })
})

test('days are right on the nights when clocks change, and at the ends of years and of February', () => {
  const at = (text: string): number => Date.parse(text)
  // 25 hours in Berlin: both of its half past two are on the 25th.
  for (const moment of ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z', '2026-10-25T22:59:59Z'])
    assert.deepEqual(daysOf('today', 'Europe/Berlin', at(moment)), { from: '2026-10-25', to: '2026-10-25' }, moment)
  assert.equal(daysOf('yesterday', 'Europe/Berlin', at('2026-10-25T23:00:00Z')).from, '2026-10-25')
  // 23 hours: an hour after midnight comes three o'clock.
  assert.equal(daysOf('yesterday', 'Europe/Berlin', at('2026-03-29T22:00:00Z')).from, '2026-03-29')
  // Midnight does not exist there on that day.
  assert.equal(daysOf('today', 'America/Santiago', at('2026-09-06T04:00:00Z')).from, '2026-09-06')
  assert.deepEqual(daysOf('last_month', 'UTC', at('2028-03-31T12:00:00Z')), { from: '2028-02-01', to: '2028-02-29' })
  assert.deepEqual(daysOf('last_week', 'UTC', at('2027-01-01T12:00:00Z')), { from: '2026-12-21', to: '2026-12-27' })
})

test('for any moment and zone: what holds today holds it, weeks begin on Monday, and next to this is last', () => {
  const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Pacific/Kiritimati', 'America/Santiago', 'Australia/Lord_Howe'] // prettier-ignore
  const moments = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2035, 0, 1) })
  fc.assert(
    fc.property(fc.constantFrom(...zones), moments, (zone, now) => {
      const today = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(zone).toPlainDate().toString()
      const withoutToday = new Set<RelativeRange>(['yesterday', 'last_week', 'last_month'])
      for (const name of names) {
        const { from, to } = daysOf(name, zone, now)
        assert.ok(from <= to)
        assert.equal(from <= today && today <= to, !withoutToday.has(name), name)
      }
      const dayAfter = (day: string) => Temporal.PlainDate.from(day).add({ days: 1 }).toString()
      assert.equal(Temporal.PlainDate.from(daysOf('this_week', zone, now).from).dayOfWeek, 1)
      assert.equal(dayAfter(daysOf('last_week', zone, now).to), daysOf('this_week', zone, now).from)
      assert.equal(dayAfter(daysOf('last_month', zone, now).to), daysOf('this_month', zone, now).from)
      assert.equal(dayAfter(daysOf('yesterday', zone, now).to), today)
    }),
  )
})
