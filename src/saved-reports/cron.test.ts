import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { parseCron, type CronTimes } from './cron.ts'

const NOW = Date.UTC(2026, 10, 20, 12)

function cronOf(pattern: string, zone = 'UTC'): CronTimes {
  const parsed = parseCron(pattern, zone, NOW)
  assert.ok(parsed.kind === 'cron', pattern)
  return parsed.cron
}

function momentsOf(pattern: string, zone: string, from: string, count: number): readonly string[] {
  const cron = cronOf(pattern, zone)
  const moments: string[] = []
  for (let at = cron.next(Date.parse(from)); at !== undefined && moments.length < count; at = cron.next(at))
    moments.push(new Date(at).toISOString().slice(0, 16))
  return moments
}

test('a time of day that does not exist comes at the first moment after the gap', () => {
  assert.deepEqual(momentsOf('30 2 * * *', 'Europe/Berlin', '2026-03-27T12:00:00Z', 3), [
    '2026-03-28T01:30', // 02:30 CET
    '2026-03-29T01:00', // 03:00 CEST: 02:30 does not exist
    '2026-03-30T00:30', // 02:30 CEST
  ])
  // Midnight does not exist in Santiago on that day.
  assert.deepEqual(momentsOf('0 0 * * *', 'America/Santiago', '2026-09-05T12:00:00Z', 2), [
    '2026-09-06T04:00',
    '2026-09-07T03:00',
  ])
})

test('a time of day that comes twice is taken once, the first time', () => {
  assert.deepEqual(momentsOf('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2), [
    '2026-10-25T00:30',
    '2026-10-26T01:30',
  ])
})

test('every hour is every hour that passes, 25 and 23 of them', () => {
  const hours = (from: string, to: string) =>
    cronOf('0 * * * *', 'Europe/Berlin').past(Date.parse(from), Date.parse(to)).count
  assert.equal(hours('2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'), 25)
  assert.equal(hours('2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'), 23)
})

test('knows how many moments have passed, and the last of them', () => {
  const cron = cronOf('0 9 * * *')
  const at = (text: string) => Date.parse(`${text}Z`)
  assert.deepEqual(cron.past(at('2026-11-20T09:00'), at('2026-11-21T08:59')), { count: 0, lastMs: undefined })
  assert.deepEqual(cron.past(at('2026-11-20T09:00'), at('2026-11-21T09:00')), {
    count: 1,
    lastMs: at('2026-11-21T09:00'),
  })
  assert.deepEqual(cron.past(at('2026-11-20T08:59'), at('2026-11-23T12:00')), {
    count: 4,
    lastMs: at('2026-11-23T09:00'),
  })
})

test('says what is wrong with a pattern', () => {
  for (const [pattern, said] of [
    ['', /five fields/],
    ['* * * *', /five fields/],
    ['0 0 9 * * 1', /five fields/],
    ['@daily', /five fields/],
    ['0 25 * * *', /hour/],
    ['0 0 31 2 *', /no moment/],
    ['* * * * *', /every 1 minutes; at least 15/],
    ['*/14 * * * *', /at least 15/],
    ['0,5 3 1 1 *', /every 5 minutes/],
  ] as const) {
    const parsed = parseCron(pattern, 'UTC', NOW)
    assert.ok(parsed.kind === 'invalid', pattern)
    assert.match(parsed.detail, said, pattern)
  }
  assert.equal(parseCron('*/15 * * * *', 'UTC', NOW).kind, 'cron')
})

test('never throws, and moments only go forward', () => {
  const field = fc.oneof(
    fc.constantFrom('*', '0', '*/20', '1-5', 'L', '59', '7', 'MON', '99', '#'),
    fc.string({ maxLength: 4 }),
  )
  fc.assert(
    fc.property(
      fc.tuple(field, field, field, field, field),
      fc.constantFrom('UTC', 'Europe/Berlin'),
      (fields, zone) => {
        const parsed = parseCron(fields.join(' '), zone, NOW)
        if (parsed.kind !== 'cron') return
        const first = parsed.cron.next(NOW)!
        assert.ok(first > NOW)
        assert.equal(parsed.cron.past(NOW, first).lastMs, first)
      },
    ),
    { numRuns: 200 },
  )
})
