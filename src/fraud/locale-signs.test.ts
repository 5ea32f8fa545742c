import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { isLanguageForeign, isZoneForeign } from './locale-signs.ts'
import { compileReferrerList, hostOfReferrer, isListed } from './referrer-list.ts'
import { RuleLists } from '#rules'

const WINTER = Date.UTC(2026, 0, 15, 12)
const SUMMER = Date.UTC(2026, 6, 15, 12)

for (const [language, country] of [
  ['de-de', 'DE'], ['de', 'AT'], ['fr-fr', 'CH'], ['it', 'CH'], ['ru-ru', 'KZ'], ['kk', 'KZ'], ['uk', 'UA'], ['ru', 'UA'], ['es-419', 'MX'],
  ['es-us', 'US'], ['hi-in', 'IN'], ['ta', 'IN'], ['nb-no', 'NO'], ['pt-br', 'BR'], ['zh-tw', 'TW'], ['fil-ph', 'PH'], ['en-us', 'VN'],
  ['ja-jp', 'JP'], ['sr', 'HR'], ['ar', 'MA'], ['fr', 'MA'], ['vi-de', 'DE'], ['id', 'ID'], ['in', 'ID'],
] as const) {
  test(`${language} is at home in ${country}`, () => assert.equal(isLanguageForeign(language, country), false))
} // prettier-ignore

for (const [language, country] of [['vi-vn', 'DE'], ['zh-cn', 'RU'], ['ru', 'BR'], ['de', 'JP'], ['pt-br', 'ID']] as const) {
  test(`${language} is foreign to ${country}`, () => assert.equal(isLanguageForeign(language, country), true))
} // prettier-ignore

test('whatever language and country are given, the answer is a boolean', () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ maxLength: 2 }), fc.string(), (language, country, zone) => {
      assert.equal(typeof isLanguageForeign(language, country), 'boolean')
      assert.equal(typeof isZoneForeign(zone, country, WINTER), 'boolean')
    }),
  )
})

test('a country that nobody knows makes no language and no zone foreign', () => {
  assert.equal(isLanguageForeign('de', 'XX'), false)
  assert.equal(isLanguageForeign('de', 'Q1'), false)
  assert.equal(isZoneForeign('Europe/Berlin', 'XX', WINTER), false)
})

test('a zone is foreign where no zone of the country shows its time then', () => {
  assert.equal(isZoneForeign('Europe/Berlin', 'DE', WINTER), false)
  assert.equal(isZoneForeign('Europe/Paris', 'DE', WINTER), false, 'the same time')
  assert.equal(isZoneForeign('Asia/Tokyo', 'DE', WINTER), true)
  assert.equal(isZoneForeign('America/Los_Angeles', 'US', WINTER), false)
  assert.equal(isZoneForeign('Pacific/Honolulu', 'US', WINTER), false)
  assert.equal(isZoneForeign('Europe/London', 'US', WINTER), true)
})

test('daylight saving is that of the moment', () => {
  assert.equal(isZoneForeign('Africa/Lagos', 'DE', WINTER), false, 'both an hour ahead of UTC')
  assert.equal(isZoneForeign('Africa/Lagos', 'DE', SUMMER), true)
})

test('a zone that does not exist says nothing', () => {
  for (const zone of ['Mars/Olympus', '', 'x', '../../etc']) assert.equal(isZoneForeign(zone, 'DE', WINTER), false)
})

test('a list of referrers holds hosts, all hosts below one, and named lists', () => {
  const list = compileReferrerList(['Example.com', '*.below.test', '@more'], new RuleLists({ more: ['listed.test'] }))
  for (const host of ['example.com', 'a.below.test', 'a.b.below.test', 'listed.test'])
    assert.ok(isListed(list, host), host)
  for (const host of ['a.example.com', 'below.test', 'notbelow.test', 'xlisted.test', '']) {
    assert.equal(isListed(list, host), false, host)
  }
  assert.equal(isListed(compileReferrerList(['@unknown'], new RuleLists({})), 'a.test'), false)
})

test('the host of a referrer is without user, port, path and case', () => {
  assert.equal(hostOfReferrer('https://User:pw@Shop.Example.com:8443/a?b#c'), 'shop.example.com')
  assert.equal(hostOfReferrer('https://shop.test'), 'shop.test')
  assert.equal(hostOfReferrer('https://shop.test?x=https://other.test/'), 'shop.test')
  assert.equal(hostOfReferrer('https://shop.test\\@other.test/'), 'shop.test')
  assert.equal(hostOfReferrer('https://[2001:db8::1]:80/'), '[2001:db8::1]')
  assert.equal(hostOfReferrer('android-app://com.example.app/'), 'com.example.app')
  assert.equal(hostOfReferrer('nothing'), '')
})
