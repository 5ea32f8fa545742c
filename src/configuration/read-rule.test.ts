import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ruleFields, RuleLists, type Rule } from '#rules'
import { readClickRule, readRule } from './read-rule.ts'
import type { Reading } from './check-shape.ts'
import { readYaml } from './yaml-tree.ts'

function read(yaml: string, lists?: RuleLists): { rule: Rule | undefined; messages: readonly string[] } {
  const file = readYaml(yaml)
  const reading: Reading = { file, issues: [...file.issues], references: [], treeOf: new WeakMap() }
  const rule = readRule(file.root!, reading, { context: 'click', lists })
  return { rule, messages: reading.issues.map(({ path, message }) => `${path}: ${message}`) }
}

const isGerman = { field: 'country', op: 'in', value: ['DE', 'AT'] } as const
const isMobile = { field: 'device_type', op: 'is', value: 'mobile' } as const

test('a rule is written as text, as a tree or as a short object, and in all of them at once', () => {
  const forms: Readonly<Record<string, Rule>> = {
    'country in (DE, AT) and device_type is mobile': { all: [isGerman, isMobile] },
    '{ country: [DE, AT], device_type: mobile }': { all: [isGerman, isMobile] },
    '{ all: [{ field: country, op: in, value: [DE, AT] }, { field: device_type, value: mobile }] }': { all: [isGerman, isMobile] },
    '{ any: ["country in (DE, AT)", { device_type: mobile }] }': { any: [isGerman, isMobile] },
    '{ country: [DE, AT], not: device is mobile }': { all: [isGerman, { not: isMobile }] },
    '{ field: country, value: [DE, AT] }': isGerman,
    '{ field: browser_version, op: between, value: [100, ~] }': { field: 'browser_version', op: 'between', value: ['100', null] },
    '{ field: sub1, op: matches, value: "^a/b" }': { field: 'sub1', op: 'matches', value: '^a/b' },
    '{ asn: AS3320 }': { field: 'asn', op: 'is', value: 3320 },
    '{ asn: [as3320, 3209] }': { field: 'asn', op: 'in', value: [3320, 3209] },
    '{ os_version: 16.10 }': { field: 'os_version', op: 'is', value: '16.10' },
  } // prettier-ignore
  for (const [yaml, rule] of Object.entries(forms)) assert.deepEqual(read(yaml), { rule, messages: [] }, yaml)
})

test('values that a configuration could always have are stored as they always were', () => {
  const forms: Readonly<Record<string, Rule>> = {
    '{ asn: [3320, 3209] }': { field: 'asn', op: 'in', value: [3320, 3209] },
    '{ field: asn, op: starts_with, value: 33 }': { field: 'asn', op: 'starts_with', value: '33' },
    '{ is_proxy: false }': { field: 'is_proxy', op: 'is', value: false },
    '{ is_hosting: [true, false] }': { field: 'is_hosting', op: 'in', value: [true, false] },
    '{ bot: true }': { field: 'bot', op: 'is', value: true },
    '{ bot: datacentre }': { field: 'bot', op: 'is', value: 'datacentre' },
    '{ sub1: [~, 042, "@joe"] }': { field: 'sub1', op: 'in', value: ['~', '042', '@joe'] },
    '{ field: os, op: is_not, value: iOS }': { field: 'os', op: 'is_not', value: 'iOS' },
    '{ country: NO }': { field: 'country', op: 'is', value: 'NO' },
  }
  for (const [yaml, rule] of Object.entries(forms)) assert.deepEqual(read(yaml), { rule, messages: [] }, yaml)
  const plain = ['country', 'region', 'city', 'asn', 'isp', 'is_proxy', 'is_hosting', 'os', 'browser', 'device_type', 'device_brand', 'language', 'bot', 'referrer', 'source_id', 'affiliate_id', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content', 'sub1', 'sub30'] // prettier-ignore
  const names = new Set(ruleFields.map(({ name }) => name))
  for (const name of plain) assert.ok(names.has(name), name)
})

test('mistakes are told at their place in the file', () => {
  const mistakes: Readonly<Record<string, string>> = {
    '{ contry: DE }': 'contry: No rule can ask for "contry". Did you mean "country"?',
    '{ all: [{ os: iOS }, { asn: [1, x] }] }': 'all[1].asn[1]: "x" does not fit asn: expected a number.',
    '{ any: DE }': 'any: "any" takes a list of rules.',
    '{ not: [] }': 'not: A rule is a text like "country in (DE, AT) and not bot", or an object like {country: [DE, AT], device_type: mobile}.',
    'country is DE or': ': Character 17 of the rule: Expected a field, "not" or "(", but the rule ends here.',
    '{ any: [country is de] }': 'any[0]: Character 12 of the rule: "de" does not fit country: expected a country code: ISO 3166-1 alpha-2 in upper case, like DE or GB.',
    '{ field: os }': ': os is needs a value to compare with.',
    '{ payout: 1 }': 'payout: payout is not known for a click: only for conversion, report.',
    '{ ip: "@office" }': 'ip: "@office" does not fit ip: expected an address or a block of addresses, like 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32.',
  } // prettier-ignore
  for (const [yaml, message] of Object.entries(mistakes)) assert.deepEqual(read(yaml).messages, [message], yaml)
})

test('lists are named where there are any', () => {
  const lists = new RuleLists({ office: ['10.0.0.0/8'] })
  assert.deepEqual(read('ip in @office', lists).rule, { field: 'ip', op: 'in', value: ['@office'] })
  assert.deepEqual(read('{ ip: "@office" }', lists).rule, { field: 'ip', op: 'is', value: '@office' })
  assert.deepEqual(read('{ sub1: ["@offce"] }', lists).messages, ['sub1[0]: There is no list "offce". Did you mean "@office"?']) // prettier-ignore
})

test('what is not known where a rule stands is told with what to ask instead', () => {
  const file = readYaml('country is DE and (offer_id is lamp or unique is offer)')
  const reading: Reading = { file, issues: [], references: [], treeOf: new WeakMap() }
  assert.equal(readClickRule(file.root!, reading, 'flow'), undefined)
  assert.deepEqual(
    reading.issues.map(({ code, message }) => `${code}: ${message}`),
    [
      'rule_invalid: offer_id is not known here: flows are asked before one is taken and an offer drawn. Write the rule of the offer, or name what the request sends, as sub1.',
    ],
  )
  assert.ok(readClickRule(file.root!, reading, 'cap') === undefined, 'nor does a cap know who is new')
  assert.ok(readClickRule(readYaml('offer_id is lamp and unique is offer').root!, reading, 'offer'))
})
