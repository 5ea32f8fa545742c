import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileEndpoints } from './compile-endpoints.ts'
import { eventIdOf, type DeliveryCause } from './delivery-causes.ts'
import { dateLetters, parseDateFormat } from './format-date.ts'
import { macroFactsOf } from './prepare-deliveries.ts'
import { compileTemplate, renderTemplate, type TemplateKind } from './templates.ts'
import { SAMPLE_AT, sampleCause, sampleClick, sampleSnapshot } from '../test-causes.ts'

const endpoints = compileEndpoints(sampleSnapshot([]))

function fill(text: string, cause: DeliveryCause = sampleCause(), kind: TemplateKind = 'header'): string {
  const { template, problems } = compileTemplate(text, kind)
  assert.deepEqual(problems, [])
  const rendered = renderTemplate(template, macroFactsOf(cause, eventIdOf(cause), endpoints))
  return rendered.kind === 'rendered' ? rendered.text : `${rendered.kind}: ${rendered.macro}`
}
const problemsOf = (text: string) => compileTemplate(text, 'form').problems.map((item) => item.code)
const hex = (algorithm: string, text: string) => createHash(algorithm).update(text).digest('hex')

test('texts are hashed and put in one form first, as partners match addresses by', () => {
  const cause = sampleCause({}, { sub5: ' Ann@Example.COM ' })
  assert.equal(fill('{sub5:trim|lower|sha256}', cause), hex('sha256', 'ann@example.com'))
  assert.equal(fill('{sub5:md5}', cause), hex('md5', ' Ann@Example.COM '))
  assert.equal(fill('{sub5: Trim | SHA1 }', cause), hex('sha1', 'Ann@Example.COM'))
  assert.equal(fill('{country:lower} {status:upper} {city:base64}', cause), 'tr SALE TXXEn2xh')
})

test('the hash of nothing is nothing, so that it cannot be taken for somebody', () => {
  assert.equal(fill('[{sub9:sha256}]'), '[]')
  assert.equal(fill('{sub9:sha256!}'), 'macro_empty: sub9')
})

test('money has as many decimals as are asked for, rounded half away from zero', () => {
  const of = (payoutMicros: bigint, currency = 'USD') =>
    ['', ':0', ':2', ':6', ':minor', ':micros'].map((fn) =>
      fill(`{payout${fn}}`, sampleCause({ payoutMicros, currency })),
    )
  assert.deepEqual(of(12_500_000n), ['12.5', '13', '12.50', '12.500000', '1250', '12500000'])
  assert.deepEqual(of(5_000n), ['0.005', '0', '0.01', '0.005000', '1', '5000'])
  assert.deepEqual(of(-5_000n), ['-0.005', '0', '-0.01', '-0.005000', '-1', '-5000'])
  assert.equal(of(12_500_000n, 'JPY')[4], '13')
  assert.equal(of(12_500_000n, 'KWD')[4], '12500')
  assert.equal(fill('{advertiser_revenue:2} {profit} {sale_amount:2} {cost:3}', sampleCause({}, { cost_micros: 20_000, currency: 'EUR' })), '20.00 7.5 100.00 0.020') // prettier-ignore
  assert.equal(fill('[{payout:2}{payout:minor}]', { trigger: 'click', click: sampleClick(), at: SAMPLE_AT }), '[]')
})

test('a number that was put in another form is still one in JSON, and a hash is text', () => {
  const text = '{"a":{payout:2},"b":{payout:sha1},"c":{date:U},"d":{date:Y-m-d},"e":{status:sale=2},"f":{is_bot}}'
  assert.deepEqual(JSON.parse(fill(text, sampleCause(), 'json')), {
    a: 12.5,
    b: hex('sha1', '12.5'),
    c: 1_700_000_000,
    d: '2023-11-14',
    e: '2',
    f: 0,
  })
})

test('dates have any format in any zone, the change to summer time included', () => {
  const cause = sampleCause({ createdAt: new Date('2024-03-31T00:59:59.007Z'), holdUntil: new Date('2024-03-31T01:00:00Z') }) // prettier-ignore
  assert.equal(fill('{conversion_date:Y-m-d H:i:s.v P,Europe/Berlin}', cause), '2024-03-31 01:59:59.007 +01:00')
  assert.equal(fill('{hold_until:Y-m-d H:i:s O,Europe/Berlin}', cause), '2024-03-31 03:00:00 +0200')
  assert.equal(fill('{date:H:i P,+05:45}'), '03:58 +05:45')
  for (const wrong of ['{date:Y-m-d,}', '{date:Y-m-d,+3}', '{date:Y-m-d,+25:00}', '{date:Y-m-d,03:00}'])
    assert.deepEqual(problemsOf(wrong), ['macro_function_invalid'], wrong)
  assert.equal(fill('{date:Y-m-d\\TH:i:s\\Z}'), '2023-11-14T22:13:20Z')
  assert.equal(fill('{date:D, d M Y g:i A,America/New_York} {date:U} {click_date:Uv}'), `Tue, 14 Nov 2023 5:13 PM 1700000000 ${SAMPLE_AT - 60_000}`) // prettier-ignore
  assert.equal(fill('{date:c,Asia/Kolkata} {date:l jS}'.replace('jS', 'j.n.y')), '2023-11-15T03:43:20+05:30 Tuesday 14.11.23') // prettier-ignore
  assert.equal(fill('[{hold_until:Y}]'), '[]')
  assert.equal(dateLetters.map((letter) => parseDateFormat(letter)!(SAMPLE_AT)).join(' '), '2023 23 11 11 Nov November 14 14 317 Tue Tuesday 2 2 22 22 10 10 13 20 000 PM pm +00:00 +0000 UTC 1700000000 2023-11-14T22:13:20+00:00') // prettier-ignore
})

test('a random number is the same in every attempt, within its range, and even', () => {
  const numbers = Array.from({ length: 3_000 }, (_, index) => Number(fill('{random:1,9}', sampleCause({ revision: index })))) // prettier-ignore
  assert.deepEqual(new Set(numbers), new Set([1, 2, 3, 4, 5, 6, 7, 8, 9]))
  for (let digit = 1; digit <= 9; digit++)
    assert.ok(Math.abs(numbers.filter((number) => number === digit).length - 333) < 80)
  assert.equal(fill('{random:1,9}'), fill('{rand:1,9}'))
  assert.match(fill('{random}'), /^[0-9a-f]{16}$/)
})

test('keys of sub2, and flags as one or zero', () => {
  const cause = sampleCause({}, { sub2: 'geo-TR|dev-x', sub2_keys: { geo: 'TR', dev: 'x' }, is_proxy: true, fraud_score: 40 }) // prettier-ignore
  assert.equal(fill('{sub2.geo} {SUB2.dev} [{sub2.constructor}] {is_proxy} {is_bot} {fraud_score}', cause), 'TR x [] 1 0 40') // prettier-ignore
  assert.deepEqual(problemsOf('{sub3.geo}'), ['macro_unknown'])
})

test('a function that there is not, or with other arguments, is refused', () => {
  const wrong = ['{sub1:rot13}', '{sub1:}', '{sub1:sha256|}', '{payout:7}', '{payout:-1}', '{date:Q}', '{date:}', '{date:Y,Mars/Base}', '{date:Europe/Belin}', '{random:9,1}', '{random:1}', '{random:1,999999999}', '{random:a,b}', '{status:lead}', '{goal:2}'] // prettier-ignore
  for (const text of wrong) assert.deepEqual(problemsOf(text), ['macro_function_invalid'], text)
  for (const text of ['{status:a=1 b}', '{payout:a=b}', '{sub1:a=b}', '{random:a=b}'])
    assert.deepEqual(problemsOf(text), ['macro_map_invalid'], text)
})

test('reading a date format never throws, and one that is read can be written', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 0, max: 4e12 }), (format, at) => {
      const read = parseDateFormat(format)
      if (read !== undefined) assert.equal(typeof read(at), 'string')
    }),
  )
})
