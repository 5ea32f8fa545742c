import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'

import { compileLandingUrl, fillLandingUrl } from './landing-url.ts'
import { macroNames, type MacroName } from './macros.ts'
import { compileTemplate, fillMacros, type TemplateContext } from './template.ts'

const values: Partial<Record<MacroName, string>> = {
  click_id: '0196a1b2-0000-7000-8000-000000000001',
  sub1: 'a b&c=d',
  sub2: 'Ж"\\',
  status: 'Approved',
  utm_source: 'fb',
}
const valueOf = (name: MacroName): string | undefined => values[name]
const fill = (text: string, context: TemplateContext = 'url'): string =>
  fillMacros(compileTemplate(text, context), valueOf)

describe('a macro', () => {
  test('is filled and encoded for a URL', () => {
    assert.equal(fill('https://x.example/?a={sub1}&b={sub2}'), 'https://x.example/?a=a%20b%26c%3Dd&b=%D0%96%22%5C')
  })

  test('is known by every alias, in any case, in single or double braces', () => {
    for (const name of ['click_id', 'clickid', 'ClickId', 'subid', 'cid', 'transaction_id']) {
      assert.equal(fill(`{${name}}`), values.click_id)
      assert.equal(fill(`{{${name}}}`), values.click_id)
    }
    for (const name of ['sub1', 'sub_id_1', 'aff_sub', 's1', 'p1', 't1', 'var1', 'cV1']) {
      assert.equal(fill(`{${name}}`, 'text'), values.sub1)
    }
  })

  test('that has no value or is none of ours becomes empty', () => {
    assert.equal(fill('https://x.example/?p={payout}&q={nonsense}&r={sub3}'), 'https://x.example/?p=&q=&r=')
    assert.deepEqual(compileTemplate('{nonsense}{payout}', 'url').unknown, ['nonsense'])
    assert.deepEqual(compileTemplate('{nonsense}{sum}{payout}', 'url').macros, ['payout'])
  })

  test('with an underscore is raw, except for what no URL may carry', () => {
    assert.equal(fill('/{_sub1}'), '/a%20b&c=d')
    assert.equal(
      fillMacros(compileTemplate('/{_sub1}', 'url'), () => 'a\r\nb'),
      '/a%0D%0Ab',
    )
  })

  test('with words is translated; a value without a word stays', () => {
    assert.equal(fill('{status:approved=1 rejected=3}'), '1')
    assert.equal(fill('{status:rejected=3}'), 'Approved')
  })

  test('in JSON is escaped, and the braces of JSON stay', () => {
    const text = fill('{"a": {"b": "{sub2}", "c": {}}, "d": "{nope}"}', 'json')
    assert.deepEqual(JSON.parse(text), { a: { b: 'Ж"\\', c: {} }, d: '' })
  })

  test('of any kind and value leaves printable ASCII without spaces in a URL', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom('{sub1}', '{_sub1}'), (value, macro) => {
        assert.match(
          fillMacros(compileTemplate(`/?x=${macro}`, 'url'), () => value),
          /^[\x21-\x7e]*$/,
        )
      }),
    )
  })
})

describe('a landing URL', () => {
  const land = (url: string): string => fillLandingUrl(compileLandingUrl(url, true), valueOf)
  const appended = `clickid=${values.click_id}&sub1=a%20b%26c%3Dd&sub2=%D0%96%22%5C&utm_source=fb`

  test('gets clickid, sub1 to sub10 and utm_* where it does not place them', () => {
    assert.equal(land('https://x.example/'), `https://x.example/?${appended}`)
    assert.equal(land('https://x.example/?a=1'), `https://x.example/?a=1&${appended}`)
    assert.equal(land('https://x.example/?'), `https://x.example/?${appended}`)
  })

  test('gets them before its fragment', () => {
    assert.equal(land('https://x.example/#top'), `https://x.example/?${appended}#top`)
  })

  test('that places a value under any name does not get it twice', () => {
    assert.equal(
      land('https://x.example/?cid={clickid}&s={sub1}&sub2=fixed&utm_source=own'),
      `https://x.example/?cid=${values.click_id}&s=a%20b%26c%3Dd&sub2=fixed&utm_source=own`,
    )
  })

  test('in another script is sent in ASCII', () => {
    const url = compileLandingUrl('https://пример.рф/путь?a=ж', false)
    assert.equal(fillLandingUrl(url, valueOf), 'https://xn--e1afmkfd.xn--p1ai/%D0%BF%D1%83%D1%82%D1%8C?a=%D0%B6')
  })

  test('of a fallback gets only the macros that it asks for', () => {
    assert.equal(
      fillLandingUrl(compileLandingUrl('https://x.example/?c={cid}', false), valueOf),
      `https://x.example/?c=${values.click_id}`,
    )
  })

  test('never holds a macro once filled', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...macroNames.keys(), 'nope')), (names) => {
        const url = `https://x.example/?${names.map((name, index) => `p${index}={${name}}`).join('&')}`
        assert.doesNotMatch(land(url), /[{}]/)
      }),
    )
  })
})
