import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseRetryAfter, RETRY_AFTER_MS_ABSURD } from './retry-after.ts'

/** 2026-01-01T00:00:00Z, a Thursday. */
const NOW = Date.UTC(2026, 0, 1)
const IN_TWO_MINUTES = 120_000

const cases: readonly [what: string, header: string | readonly string[] | undefined, expected: number | undefined][] = [
  ['none', undefined, undefined],
  ['seconds', '120', IN_TWO_MINUTES],
  ['seconds between blanks', ' 7 ', 7_000],
  ['seconds with a plus', '+7', 7_000],
  ['zero', '0', 0],
  ['a fraction, rounded up to a millisecond', '1.5', 1_500],
  ['a fraction smaller than a millisecond', '0.0001', 1],
  ['a point without digits', '3.', 3_000],
  ['negative', '-5', 0],
  ['a negative fraction', '-0.5', 0],
  ['eleven digits', '99999999999', RETRY_AFTER_MS_ABSURD],
  ['more digits than a number holds', '9'.repeat(400), RETRY_AFTER_MS_ABSURD],
  ['a date as it should be', 'Thu, 01 Jan 2026 00:02:00 GMT', IN_TWO_MINUTES],
  ['a date with a day of one digit', 'Thu, 1 Jan 2026 00:02:00 GMT', IN_TWO_MINUTES],
  ['a date in lower case', 'thu, 01 jan 2026 00:02:00 gmt', IN_TWO_MINUTES],
  ['a date in UTC', 'Thu, 01 Jan 2026 00:02:00 UTC', IN_TWO_MINUTES],
  ['a date of e-mail', 'Thu, 01 Jan 2026 00:02:00 +0000', IN_TWO_MINUTES],
  ['a date with the wrong day of the week', 'Mon, 01 Jan 2026 00:02:00 GMT', IN_TWO_MINUTES],
  ['a date of RFC 850', 'Thursday, 01-Jan-26 00:02:00 GMT', IN_TWO_MINUTES],
  ['a date of RFC 850 in the last century', 'Sunday, 06-Nov-94 08:49:37 GMT', 0],
  ['a date of asctime', 'Thu Jan  1 00:02:00 2026', IN_TWO_MINUTES],
  ['a date in the past', 'Thu, 01 Jan 2015 00:02:00 GMT', 0],
  ['a date far away', 'Fri, 31 Dec 9999 23:59:59 GMT', RETRY_AFTER_MS_ABSURD],
  ['a leap second', 'Wed, 31 Dec 2025 23:59:60 GMT', 0],
  ['a day that does not exist', 'Mon, 30 Feb 2026 00:00:00 GMT', undefined],
  ['a month that does not exist', 'Thu, 99 Foo 2026 00:00:00 GMT', undefined],
  ['an hour that does not exist', 'Thu, 01 Jan 2026 24:00:00 GMT', undefined],
  ['a date of another zone', 'Thu, 01 Jan 2026 00:02:00 +0300', undefined],
  ['a date of ISO 8601', '2026-01-01T00:02:00Z', undefined],
  ['an exponent', '1e3', undefined],
  ['a word', 'soon', undefined],
  ['nothing', '', undefined],
  ['not a number', 'NaN', undefined],
  ['infinity', 'Infinity', undefined],
  ['a number with a unit', '120s', undefined],
  ['two lines', ['30', '120'], IN_TWO_MINUTES],
  ['two lines of which one is garbage', ['soon', '120'], IN_TWO_MINUTES],
  ['a number and a date', ['1', 'Thu, 01 Jan 2026 00:02:00 GMT'], IN_TWO_MINUTES],
  ['two lines that a proxy joined', '30, 120', IN_TWO_MINUTES],
  ['two dates that a proxy joined', 'Thu, 01 Jan 2026 00:01:00 GMT, Thu, 01 Jan 2026 00:02:00 GMT', IN_TWO_MINUTES],
  ['lines without a value', ['', ' '], undefined],
]

for (const [what, header, expected] of cases)
  test(`Retry-After, ${what}: ${expected === undefined ? 'is ignored' : `asks for ${expected} ms`}`, () => {
    assert.equal(parseRetryAfter(header, NOW), expected)
  })

test('the three forms of a date say the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: NOW, max: NOW + 40 * 365 * 86_400_000 }), (ms) => {
      const at = new Date(Math.floor(ms / 1_000) * 1_000)
      const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) ([\d:]+) GMT$/.exec(at.toUTCString())!
      const expected = Math.min(at.getTime() - NOW, RETRY_AFTER_MS_ABSURD)
      for (const form of [
        at.toUTCString(),
        `Monday, ${day}-${month}-${year!.slice(2)} ${time} GMT`,
        `Mon ${month} ${day!.replace(/^0/, ' ')} ${time} ${year}`,
      ])
        assert.equal(parseRetryAfter(form, NOW), expected, form)
    }),
  )
})

test('whatever a receiver sends, it never throws and asks for a bounded wait or for none', () => {
  const piece = fc.constantFrom(
    '-',
    '+',
    '.',
    ',',
    ' ',
    '0',
    '9',
    'Thu',
    'Jan',
    '01',
    '2026',
    '00:00:00',
    'GMT',
    'e',
    '\0',
  )
  const text = fc.oneof(fc.string(), fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))) // prettier-ignore
  fc.assert(
    fc.property(fc.oneof(text, fc.array(text)), fc.integer({ min: 0, max: 8_000_000_000_000 }), (header, now) => {
      const asked = parseRetryAfter(header, now)
      assert.ok(asked === undefined || (asked >= 0 && asked <= RETRY_AFTER_MS_ABSURD), String(asked))
    }),
  )
})
