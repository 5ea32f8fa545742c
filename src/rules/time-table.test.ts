import fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileTimeTable, isInTimeTable, readDate, readTimeTable } from './time-table.ts'

const isIn = (table: string, at: string): boolean => compileTimeTable(readTimeTable(table)!)(Date.parse(at))

test('days and hours are those of the zone, the end excluded', () => {
  const office = 'Mon-Fri 09:00-18:00 Europe/Berlin'
  // Friday, 27 March 2026; winter time: one hour before UTC.
  assert.ok(isIn(office, '2026-03-27T08:00:00Z'))
  assert.ok(!isIn(office, '2026-03-27T07:59:59.999Z'))
  assert.ok(isIn(office, '2026-03-27T16:59:59.999Z'))
  assert.ok(!isIn(office, '2026-03-27T17:00:00Z'))
  assert.ok(!isIn(office, '2026-03-28T10:00:00Z'))
  // Monday, 30 March: summer time began in between.
  assert.ok(isIn(office, '2026-03-30T07:00:00Z'))
  assert.ok(!isIn(office, '2026-03-30T16:00:00Z'))
})

test('hours that the clocks skip never come, hours that they repeat come twice', () => {
  const skipped = 'Sun 02:00-03:00 Europe/Berlin'
  for (let minute = 0; minute < 180; minute += 1)
    assert.ok(!isIn(skipped, new Date(Date.UTC(2026, 2, 29, 0, minute)).toISOString()))
  const minutes = Array.from({ length: 300 }, (_, minute) => new Date(Date.UTC(2026, 9, 24, 23, minute)).toISOString())
  assert.equal(minutes.filter((at) => isIn(skipped, at)).length, 120)
})

test('a range over midnight belongs to the day on which it begins', () => {
  const night = 'Fri 22:00-06:00 America/New_York'
  assert.ok(isIn(night, '2026-06-06T02:00:00Z')) // Friday 22:00
  assert.ok(isIn(night, '2026-06-06T09:59:00Z')) // Saturday 05:59
  assert.ok(!isIn(night, '2026-06-06T10:00:00Z'))
  assert.ok(!isIn(night, '2026-06-05T09:00:00Z')) // Friday 05:00
  assert.ok(!isIn(night, '2026-06-07T03:00:00Z')) // Saturday 23:00
  const sunday = 'Sun 23:00-01:00'
  assert.ok(isIn(sunday, '2026-06-08T00:59:00Z')) // Monday
  assert.ok(!isIn(sunday, '2026-06-07T00:30:00Z'))
})

test('days may go over the week, hours may be several, either may be left out', () => {
  assert.ok(isIn('Fri-Mon', '2026-06-08T12:00:00Z'))
  assert.ok(!isIn('Fri-Mon', '2026-06-09T12:00:00Z'))
  assert.ok(isIn('09:00-12:00,13:00-18:00', '2026-06-09T13:00:00Z'))
  assert.ok(!isIn('09:00-12:00,13:00-18:00', '2026-06-09T12:30:00Z'))
  assert.ok(isIn('sat,SUN 00:00-24:00 Asia/Kathmandu', '2026-06-05T18:15:00Z')) // Saturday 00:00 there
  assert.ok(isIn('Wed,Fri-Sat Europe/Berlin', '2026-06-10T12:00:00Z'))
})

test('the compiled table agrees with one that asks the calendar each time, at any moment of the year', () => {
  const tables = ['Mon-Fri 09:00-18:00 Europe/Berlin', 'Sun 01:00-04:00 America/New_York', '22:00-06:00 Australia/Lord_Howe', 'Sat-Sun 23:30-00:30 Asia/Kathmandu'] // prettier-ignore
  const range = { min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) }
  const changes = [Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25), Date.UTC(2026, 2, 8), Date.UTC(2026, 10, 1), Date.UTC(2026, 3, 4)] // prettier-ignore
  const atChange = fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -9e7, max: 9e7 }))
    .map(([day, ms]) => day + ms)
  fc.assert(
    fc.property(fc.constantFrom(...tables), fc.oneof(fc.integer(range), atChange), (text, at) => {
      const table = readTimeTable(text)!
      assert.equal(compileTimeTable(table)(at), isInTimeTable(table, at))
    }),
    { numRuns: 1_500 },
  )
})

test('refuses what is no time table', () => {
  for (const text of [
    '',
    'Europe/Berlin',
    'Mon-Fri 9-18',
    'Mon 09:00-25:00',
    'Mon 09:60-10:00',
    'Mon 09:00-09:00',
    'Mon Mars/Olympus',
    'Mon +02:00',
    'Funday',
    'Mon 09:00-10:00 UTC UTC',
    'Mon-Tue-Wed',
    '24:00-06:00',
  ])
    // prettier-ignore
    assert.equal(readTimeTable(text), undefined, text)
})

test('a date is the whole day in its zone, a time one moment', () => {
  const iso = (text: string): string[] | undefined => {
    const range = readDate(text)
    return range && [range.first, range.last].map((at) => new Date(at).toISOString())
  }
  assert.deepEqual(iso('2026-01-31'), ['2026-01-31T00:00:00.000Z', '2026-01-31T23:59:59.999Z'])
  assert.deepEqual(iso('2026-03-29 Europe/Berlin'), ['2026-03-28T23:00:00.000Z', '2026-03-29T21:59:59.999Z'])
  assert.deepEqual(iso('2026-01-31T18:00+02:00'), ['2026-01-31T16:00:00.000Z', '2026-01-31T16:00:00.000Z'])
  assert.equal(iso('2026-01-31T18:00:30Z')?.[0], '2026-01-31T18:00:30.000Z')
  // The clocks go from 02:00 to 03:00, and in October from 03:00 back to 02:00.
  assert.equal(iso('2026-03-29T02:30 Europe/Berlin')?.[0], '2026-03-29T01:00:00.000Z')
  assert.equal(iso('2026-10-25T02:30 Europe/Berlin')?.[0], '2026-10-25T00:30:00.000Z')
  assert.equal(iso('2026-03-08T02:30 America/New_York')?.[0], '2026-03-08T07:00:00.000Z')
  for (const text of ['2026-02-30', '2026-1-1', '2026-01-01T25:00', '2026-01-01 Mars/Olympus', 'tomorrow', ''])
    assert.equal(readDate(text), undefined, text)
})

test('a day has 24 ranges at most', () => {
  const table = (count: number): string =>
    Array.from({ length: count }, (_, index) => `00:${String(index * 2).padStart(2, '0')}-00:${String(index * 2 + 1).padStart(2, '0')}`).join(',') // prettier-ignore
  assert.notEqual(readTimeTable(table(24)), undefined)
  assert.equal(readTimeTable(table(25)), undefined)
})
