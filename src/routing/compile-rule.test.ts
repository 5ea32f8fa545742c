import assert from 'node:assert/strict'
import { test } from 'node:test'

import { compileRule, MET } from './compile-rule.ts'
import type { Rule } from './snapshot.ts'
import { facts } from './test-snapshots.ts'

const visitor = { country: 'DE', city: 'Köln', asn: 3320, os: 'Android', language: 'de-de', is_hosting: true } as const
const given = facts(
  {},
  { visitor, parameters: { sub3: 'Promo-7', utm_source: 'fb', referrer: 'https://News.example/a' } },
)

const evaluate = (rule: Rule, affiliateId?: string): number => compileRule(rule)(given, affiliateId)
const isMet = (rule: Rule, affiliateId?: string): boolean => evaluate(rule, affiliateId) === MET

test('every operator compares without regard to case', () => {
  assert.ok(isMet({ field: 'country', op: 'is', value: 'de' }))
  assert.ok(isMet({ field: 'country', op: 'is_not', value: 'FR' }))
  assert.ok(isMet({ field: 'os', op: 'in', value: ['ios', 'android'] }))
  assert.ok(isMet({ field: 'os', op: 'not_in', value: ['ios'] }))
  assert.ok(isMet({ field: 'sub3', op: 'contains', value: 'promo' }))
  assert.ok(isMet({ field: 'language', op: 'starts_with', value: 'DE' }))
  assert.ok(!isMet({ field: 'country', op: 'is_not', value: 'DE' }))
  assert.ok(!isMet({ field: 'os', op: 'not_in', value: ['android'] }))
  assert.ok(!isMet({ field: 'sub3', op: 'starts_with', value: '7' }))
})

test('fields come from the visitor, the parameters and the affiliate', () => {
  assert.ok(isMet({ field: 'asn', op: 'in', value: [3320, 3209] }))
  assert.ok(isMet({ field: 'city', op: 'is', value: 'KÖLN' }))
  assert.ok(isMet({ field: 'utm_source', op: 'is', value: 'fb' }))
  assert.ok(isMet({ field: 'referrer', op: 'contains', value: 'news.example' }))
  assert.ok(isMet({ field: 'affiliate_id', op: 'is', value: 'ann' }, 'ann'))
})

test('what is not known is empty, a flag that is not set is false', () => {
  assert.ok(isMet({ field: 'region', op: 'is', value: '' }))
  assert.ok(isMet({ field: 'is_proxy', op: 'is', value: false }))
  assert.ok(isMet({ field: 'is_hosting', op: 'is', value: true }))
  assert.ok(!isMet({ field: 'affiliate_id', op: 'is', value: 'ann' }))
})

test('bot asks for any reason with true and false, for one reason with its name', () => {
  const bot = facts({}, { visitor: { bot: 'datacentre' } })
  assert.equal(compileRule({ field: 'bot', op: 'is', value: true })(bot, undefined), MET)
  assert.equal(compileRule({ field: 'bot', op: 'is', value: 'datacentre' })(bot, undefined), MET)
  assert.notEqual(compileRule({ field: 'bot', op: 'is', value: false })(bot, undefined), MET)
  assert.ok(isMet({ field: 'bot', op: 'is_not', value: true }))
})

test('trees combine, and the answer names the part that was not met', () => {
  const german: Rule = { field: 'country', op: 'is', value: 'DE' }
  const apple: Rule = { field: 'os', op: 'is', value: 'iOS' }
  assert.equal(evaluate({ all: [german, apple] }), 2)
  assert.equal(evaluate({ any: [apple, { not: german }] }), 0)
  assert.equal(evaluate({ all: [german, { not: german }] }), 2)
  assert.ok(isMet({ all: [german, { any: [apple, { not: apple }] }] }))
  assert.ok(isMet({ all: [] }))
  assert.ok(!isMet({ any: [] }))
})
