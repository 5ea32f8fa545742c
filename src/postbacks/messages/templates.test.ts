import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { subNames, type ClickRecord } from '#records'
import { compileEndpoints } from './compile-endpoints.ts'
import { eventIdOf, type DeliveryCause } from './delivery-causes.ts'
import { macroAliasesByTracker } from './macro-aliases.ts'
import { macroMeanings, undescribedMacros } from './macro-meanings.ts'
import { findMacro, postbackMacroNames } from './macros.ts'
import { macroFactsOf } from './prepare-deliveries.ts'
import { postbackLimits } from '../limits.ts'
import { compileTemplate, renderTemplate, type TemplateKind } from './templates.ts'
import { SAMPLE_AT, SAMPLE_CLICK_ID, sampleCause, sampleClick, sampleSnapshot } from '../test-causes.ts'

const endpoints = compileEndpoints(sampleSnapshot([]))
const factsOf = (cause: DeliveryCause) => macroFactsOf(cause, eventIdOf(cause), endpoints)

function fill(text: string, kind: TemplateKind = 'url', cause = sampleCause()): string {
  const { template, problems } = compileTemplate(text, kind)
  assert.deepEqual(problems, [])
  const rendered = renderTemplate(template, factsOf(cause))
  return rendered.kind === 'rendered' ? rendered.text : `empty: ${rendered.macro}`
}
const problemsOf = (text: string, kind: TemplateKind = 'url') =>
  compileTemplate(text, kind).problems.map((item) => item.code)
const withSub1 = (sub1: string, rest: Partial<ClickRecord> = {}) => sampleCause({}, { sub1, ...rest })
const HOST = 'https://t.example'

test('the macros of the first documents and their aliases', () => {
  const of = (names: readonly string[]) => new Set(names.map((name) => fill(`{${name}}`, 'form')))
  assert.deepEqual(of(['click_id', 'clickid', 'subid', 'cid', 'transaction_id', 'CLICKID']), new Set([SAMPLE_CLICK_ID]))
  assert.deepEqual(of(['payout', 'sum', 'revenue', 'amount']), new Set(['12.5']))
  assert.deepEqual(of(['sub1', 'sub_id_1', 'aff_sub', 'p1', 's1', 'var1', 'cV1', 't1']), new Set(['a+b%26c']))
  assert.deepEqual(of(['external_id', 'externalid', 'ref_id', 'aff_click_id']), new Set(['EXT-1']))
  assert.deepEqual(of(['country', 'geo']), new Set(['TR']))
  for (const names of Object.values(macroAliasesByTracker))
    for (const [alias, name] of Object.entries(names)) {
      assert.equal(alias, alias.toLowerCase())
      assert.equal(findMacro(alias)?.name, name, alias)
    }
  assert.equal(fill('{affiliate_id}/{advertiser_id}/{offer_id}/{campaign_id}', 'header'), 'ada/acme/shoes/autumn')
  assert.equal(fill('{affiliate_name}', 'header'), 'Ada & Co')
  assert.equal(fill('{status} {conversion_status} {raw_status} {type} {goal} {txid} {currency}', 'header'),
    'sale approved Approved! sale deposit tx-1 USD') // prettier-ignore
  assert.equal(fill('{timestamp} {date}', 'header'), `${SAMPLE_AT / 1000} 2023-11-14T22:13:20.000Z`)
})

test('status is rejected for a rejected conversion, and the name of an event without one', () => {
  assert.equal(fill('{status}', 'header', sampleCause({ status: 'rejected' })), 'rejected')
  const event: DeliveryCause = { trigger: 'event', event: { type: 'open' }, click: sampleClick(), at: SAMPLE_AT }
  assert.equal(fill('{status}|{payout}|{txid}', 'header', event), 'open||')
})

test('an inline map translates, ignores case, has a default, and leaves other words as they are', () => {
  const { of } = {
    of: (map: string, type: 'lead' | 'sale') => fill(`{status:${map}}`, 'header', sampleCause({ type })),
  }
  assert.equal(of('lead=1 sale=2', 'sale'), '2')
  assert.equal(of('LEAD=1 Sale=2', 'lead'), '1')
  assert.equal(of('lead=1', 'sale'), 'sale')
  assert.equal(of('lead=1 *=0', 'sale'), '0')
  assert.deepEqual(problemsOf(`${HOST}/?s={status:lead=1 2}`), ['macro_map_invalid'])
  assert.deepEqual(problemsOf(`${HOST}/?s={status:lead}`), ['macro_function_invalid'])
  assert.deepEqual(problemsOf(`${HOST}/?s={payout:a=b}`), ['macro_map_invalid'])
})

test('values are encoded for where they stand', () => {
  const cause = withSub1('a b/?&="\\\'é')
  assert.equal(
    fill(`${HOST}/{sub1}?x={sub1}`, 'url', cause),
    `${HOST}/${"a%20b%2F%3F%26%3D%22%5C'%C3%A9"}?x=a%20b%2F%3F%26%3D%22%5C'%C3%A9`,
  )
  assert.equal(fill('x={sub1}', 'form', cause), "x=a+b%2F%3F%26%3D%22%5C'%C3%A9")
  assert.deepEqual(JSON.parse(fill('{"x":"{sub1}","y":{sub1}}', 'json', cause)), {
    x: 'a b/?&="\\\'é',
    y: 'a b/?&="\\\'é',
  })
  assert.equal(fill('{sub1}', 'header', cause), 'a b/?&="\\\'%C3%A9')
})

test('outside of JSON strings numbers are numbers, and nothing is null', () => {
  assert.equal(fill('{"payout":{payout},"x":{sub2},"n":"{payout}"}', 'json'), '{"payout":12.5,"x":null,"n":"12.5"}')
})

test('a raw value brings its own parameters but cannot leave the request line', () => {
  assert.equal(fill(`${HOST}/?{_sub1}`, 'url', withSub1('a=1&b=%20x')), `${HOST}/?a=1&b=%20x`)
  assert.equal(fill(`${HOST}/?{_sub1}`, 'url', withSub1('a b#c\\d{sig}')), `${HOST}/?a%20b%23c%5Cd%7Bsig%7D`)
})

test('a value cannot climb out of its path', () => {
  for (const dots of ['.', '..']) {
    assert.equal(new URL(fill(`${HOST}/a/{sub1}/b`, 'url', withSub1(dots))).pathname, '/a//b')
    assert.equal(new URL(fill(`${HOST}/a/{sub1}{sub1}/b`, 'url', withSub1(dots))).pathname, '/a//b')
  }
})

test('a macro without a value is empty; a required one is an outcome of its own', () => {
  assert.equal(fill(`${HOST}/?a={sub2}&b=1`), `${HOST}/?a=&b=1`)
  assert.equal(fill(`${HOST}/?a={sub2!}`), 'empty: sub2')
  assert.equal(fill(`${HOST}/?a={sub1!}`), `${HOST}/?a=a%20b%26c`)
})

test('an absent transaction id is empty, not a dash', () => {
  assert.equal(fill('{txid}', 'header', sampleCause({ txid: '-' })), '')
})

test('each mistake in a template is refused with its code', () => {
  assert.deepEqual(problemsOf(`${HOST}/?a={nope}&b={nada}`), ['macro_unknown', 'macro_unknown'])
  assert.deepEqual(problemsOf(`${HOST}/?a={click_id`), ['macro_malformed'])
  assert.deepEqual(problemsOf(`${HOST}/?a={{click_id}}`), ['macro_malformed', 'macro_malformed'])
  assert.deepEqual(problemsOf(`${HOST}/?a=\${click_id}`), ['macro_malformed'])
  assert.deepEqual(problemsOf('{"a":"{click_id "}', 'json'), ['macro_malformed'])
  assert.deepEqual(problemsOf('https://{sub1}.example/'), ['macro_in_host'])
  assert.deepEqual(problemsOf('https://t.example:{sub1}/'), ['macro_in_host'])
  assert.deepEqual(problemsOf('{sub1}'), ['macro_in_host'])
  assert.deepEqual(problemsOf(`${HOST}/#x`), ['url_fragment'])
  assert.deepEqual(problemsOf('{"s":{sig}}', 'json'), ['macro_misplaced'])
  assert.deepEqual(problemsOf('{sig}', 'header'), ['macro_misplaced'])
  assert.deepEqual(problemsOf(`${HOST}/?s={_sig}`), ['macro_misplaced'])
  assert.deepEqual(problemsOf(`${HOST}/${'x'.repeat(postbackLimits.templateCharactersMax)}`), ['template_too_long'])
  assert.equal(compileTemplate(`${HOST}/?a={nope}`, 'url').problems[0]!.offset, HOST.length + 4)
})

test('braces of JSON are not macros', () => {
  assert.deepEqual(JSON.parse(fill('{"a":{"b":[{}]},"c":"\\"{sub1}"}', 'json')), { a: { b: [{}] }, c: '"a b&c' })
})

test('signature and time stay macros in every body until they are sent, and a value never becomes one', () => {
  assert.equal(fill('{"s":"{sig}","t":"{TS}","v":"{sub1}"}', 'json', sampleCause({}, { sub1: '{sig}{ts}' })), '{"s":"{sig}","t":"{ts}","v":"\\u007bsig}\\u007bts}"}') // prettier-ignore
  assert.equal(fill('s={sig}&v={sub1}&w={_sub1}', 'form', sampleCause({}, { sub1: '{sig}' })), 's={sig}&v=%7Bsig%7D&w=%7Bsig%7D') // prettier-ignore
})

const anyText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '{payout}',
    '{sig}',
    '{{click_id}}',
    '\r\nX-Evil: 1',
    '\0',
    '\uD800',
    '..',
    '%0d%0a',
    '#',
    '\u2028',
    '&x=1',
  ),
)
const anyClick = fc
  .array(anyText, { minLength: 30, maxLength: 30 })
  .map((values) => sampleClick(Object.fromEntries(subNames.map((name, index) => [name, values[index]]))))
const HOLES = postbackMacroNames.flatMap((name) => [`{${name}}`, `{_${name}}`])
const URL_TEMPLATE = `${HOST}/p/${HOLES.join('/')}?${HOLES.map((hole, index) => `k${index}=${hole}`).join('&')}`

test('no macro and no control character ever reaches a URL, a header or a form, whatever the visitor sent', () => {
  const templates = [
    [compileTemplate(URL_TEMPLATE, 'url').template, 'url'],
    [compileTemplate(HOLES.join('&'), 'form').template, 'form'],
    [compileTemplate(HOLES.join(' '), 'header').template, 'header'],
  ] as const
  fc.assert(
    fc.property(anyClick, anyText, (click, rawStatus) => {
      const cause: DeliveryCause = { ...sampleCause({ rawStatus, txid: rawStatus }), click }
      for (const [template, kind] of templates) {
        const rendered = renderTemplate(template, factsOf(cause))
        if (rendered.kind === 'header_invalid') {
          assert.equal(kind, 'header')
          continue
        }
        assert.ok(rendered.kind === 'rendered')
        assert.doesNotMatch(rendered.text, /[\p{Cc}\u2028\u2029]/u)
        assert.ok(rendered.text.isWellFormed())
        if (kind !== 'header') assert.doesNotMatch(rendered.text, /[{}]/)
        if (kind === 'url') assert.equal(new URL(rendered.text).origin, HOST)
      }
    }),
    { numRuns: 200 },
  )
})

test('a JSON body stays the same JSON shape, whatever the visitor sent', () => {
  const { template } = compileTemplate('{"a":"{sub1}","b":{sub2},"c":{payout},"d":"x{sub3}y"}', 'json')
  fc.assert(
    fc.property(anyClick, (click) => {
      const rendered = renderTemplate(template, factsOf({ ...sampleCause(), click }))
      assert.ok(rendered.kind === 'rendered')
      const value = JSON.parse(rendered.text)
      assert.deepEqual(Object.keys(value), ['a', 'b', 'c', 'd'])
      assert.equal(value.c, 12.5)
    }),
  )
})

test('compiling never throws, and a template without problems renders no brace but those of JSON', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '{sub1}',
    '{nope}',
    '"',
    ':',
    '\\',
    '$',
    '{_sub2}',
    '{status:a=b}',
    'x',
    '{sub1!}',
    '?',
    '#',
  )
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 12 }),
      fc.constantFrom<TemplateKind>('url', 'form', 'header'),
      (parts, kind) => {
        const { template, problems } = compileTemplate(`${HOST}/${parts.join('')}`, kind)
        const rendered = renderTemplate(template, factsOf(withSub1('{payout}')))
        if (problems.length === 0 && rendered.kind === 'rendered' && kind !== 'header')
          assert.doesNotMatch(rendered.text, /[{}]/)
      },
    ),
    { numRuns: 500 },
  )
})

test('every macro can be found by its name', () => {
  for (const name of postbackMacroNames) assert.equal(findMacro(name.toUpperCase())?.name, name)
})

test('every macro has its meaning in the documentation, and nothing else has', () => {
  assert.deepEqual(undescribedMacros, [])
  for (const name of Object.keys(macroMeanings)) assert.equal(findMacro(name)?.name, name)
})
