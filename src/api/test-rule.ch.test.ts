import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { applyConfiguration } from '#configuration'
import { newClickId } from '#platform/ids'

import { clickWith, NOW_MS, withApi, type Answer, type TestApi } from './test-api.ts'

type Json = Record<string, unknown>
type Part = { readonly path: string; readonly is_met: boolean; readonly text?: string; readonly seen?: unknown }

const testRule = ({ ask }: TestApi, body: object, key?: string): Promise<Answer> =>
  ask('/v1/routing/test-rule', { method: 'POST', body, key })

/** `[path, holds, text, seen]` of each part. */
const partsOf = ({ body }: Answer): unknown[] =>
  (body['parts'] as Part[]).map(({ path, is_met, text, seen }) => [path, is_met, text, seen])

async function withLists(t: TestContext): Promise<TestApi> {
  const api = await withApi(t)
  const applied = await applyConfiguration(api.pool, 'lists: { office: [192.0.2.0/24] }', { by: 'test' })
  assert.equal(applied.kind, 'applied', JSON.stringify(applied))
  return api
}

test('says of a click that nobody made whether a rule holds, and which of its conditions do', async (t) => {
  const api = await withLists(t)
  const answer = await testRule(api, {
    rule: 'country in (US, GB) and not (os is iOS or query.promo exists) and ip in @office and campaign_id is acme-main',
    click: {
      url: 'https://go.example/click?c=acme-main&promo=&sub1=x',
      visitor: {
        ip: '192.0.2.7',
        country: 'GB',
        user_agent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
      },
    },
  }) // prettier-ignore
  assert.equal(answer.status, 200, answer.text)
  assert.equal(answer.body['is_met'], false)
  assert.equal(answer.body['failed_path'], 'rule.all[1]')
  assert.deepEqual(partsOf(answer), [
    ['rule', false, undefined, undefined],
    ['rule.all[0]', true, 'country in (US, GB)', 'GB'],
    ['rule.all[1]', false, undefined, undefined],
    ['rule.all[1].not', true, undefined, undefined],
    ['rule.all[1].not.any[0]', true, 'os is iOS', 'iOS'],
    ['rule.all[1].not.any[1]', false, 'query.promo exists', null],
    ['rule.all[2]', true, 'ip in @office', '192.0.2.7'],
    ['rule.all[3]', true, 'campaign_id is acme-main', 'acme-main'],
  ])
  assert.deepEqual([answer.body['config_version'], answer.body['is_saved']], [2, true])
  assert.equal((answer.body['click'] as Json)['sub1'], 'x')
})

test('takes the JSON form too, and answers with the text form', async (t) => {
  const api = await withApi(t)
  const rule = { any: [{ field: 'query.q', op: 'is', value: 'One' }, { field: 'language', op: 'is', value: 'de' }] } // prettier-ignore
  const { body } = await testRule(api, {
    rule,
    click: { parameters: { q: 'one' }, headers: { 'Accept-Language': 'de-AT' } },
  })
  assert.deepEqual([body['is_met'], body['failed_path']], [true, null])
  assert.equal(body['rule'], 'query.q is One or language is de')
  assert.deepEqual(body['notes'], ['Neither address nor country were given: rules see no place.'])
  const without = await testRule(api, { rule })
  assert.deepEqual([without.status, without.body['is_met']], [200, false])
})

test('asks an earlier version and a file that is not applied for their lists', async (t) => {
  const api = await withLists(t)
  const question = { rule: 'ip in @office', click: { visitor: { ip: '198.51.100.1' } } }
  assert.equal((await testRule(api, question)).body['is_met'], false)
  const unsaved = await testRule(api, { ...question, configuration: 'lists: { office: [198.51.100.0/24] }' })
  assert.deepEqual([unsaved.body['is_met'], unsaved.body['is_saved']], [true, false])
  const earlier = await testRule(api, { ...question, version: 1 })
  assert.deepEqual([earlier.status, (earlier.body['error'] as Json)['code']], [400, 'rule_invalid'])
  const wrong = await testRule(api, { ...question, configuration: 'lists: 1' })
  assert.equal(wrong.status, 422)
})

test('says it of a click that was recorded, by the index and by the facts', async (t) => {
  const api = await withApi(t)
  const click = clickWith({ sub1: 'zone-1', country: 'DE' })
  await api.feed([click])
  const rule = 'sub1 is zone-1 and unique is campaign and query.sub1 exists and offer_id is acme-lamp'
  const indexed = await testRule(api, { rule, click_id: click.click_id })
  assert.equal(indexed.status, 200, indexed.text)
  const expected = [
    ['rule', false, undefined, undefined],
    ['rule.all[0]', true, 'sub1 is zone-1', 'zone-1'],
    ['rule.all[1]', true, 'unique is campaign', ['campaign', 'offer', 'global']],
    ['rule.all[2]', false, 'query.sub1 exists', null],
    ['rule.all[3]', true, 'offer_id is acme-lamp', 'acme-lamp'],
  ]
  assert.deepEqual(partsOf(indexed), expected)
  assert.equal(indexed.body['at'], new Date(click.at).toISOString())
  assert.deepEqual(indexed.body['notes'], [
    'Parameters of the request that are no field of a click are not kept: “query.” sees nothing.',
  ])
  await api.hotState.forgetBefore({ clicksBeforeMs: NOW_MS + 1, claimsBeforeMs: 0 })
  assert.equal(api.hotState.getClick(click.click_id), undefined)
  assert.deepEqual(partsOf(await testRule(api, { rule, click_id: click.click_id })), expected)
})

test('a mistake is told with its path, its column and what was expected', async (t) => {
  const api = await withApi(t)
  const text = await testRule(api, { rule: 'country is DE and browser_version between 120 and 100' })
  assert.equal(text.status, 400)
  assert.partialDeepStrictEqual(text.body, {
    error: { code: 'rule_invalid', path: 'rule.all[1].value', is_retryable: false },
    errors: [
      { path: 'rule.all[1].value', code: 'value_invalid', column: 43, message: 'The lower end 120 is above the upper end 100.' },
    ],
  }) // prettier-ignore
  const json = await testRule(api, {
    rule: {
      all: [
        { field: 'contry', op: 'is', value: 'DE' },
        { field: 'goal', op: 'is', value: 'x' },
      ],
    },
  })
  assert.equal(json.status, 400)
  assert.deepEqual(json.body['errors'], [
    { path: 'rule.all[0].field', code: 'field_unknown', message: 'No rule can ask for "contry". Did you mean "country"?' },
    { path: 'rule.all[1].field', code: 'field_not_here', message: 'goal is not known for a click: only for conversion, report.' },
  ]) // prettier-ignore
  for (const rule of ['', {}, { country: 'DE' }, 'country is'])
    assert.equal(((await testRule(api, { rule })).body['error'] as Json)['code'], 'rule_invalid', JSON.stringify(rule))
})

test('refuses what cannot be asked, and whoever is not the owner', async (t) => {
  const api = await withApi(t)
  const codeAndPath = ({ status, body }: Answer): unknown[] => {
    const { code, path } = body['error'] as Json
    return [status, code, path]
  }
  const rule = 'country is DE'
  const click_id = newClickId(NOW_MS)
  assert.deepEqual(codeAndPath(await testRule(api, {})), [400, 'request_invalid', 'rule'])
  assert.deepEqual(codeAndPath(await testRule(api, { rule, luck: 1 })), [400, 'request_invalid', 'luck'])
  assert.deepEqual(codeAndPath(await testRule(api, { rule, click: {}, click_id })), [400, 'request_invalid', 'click'])
  assert.deepEqual(codeAndPath(await testRule(api, { rule, click_id })), [400, 'request_invalid', 'click_id'])
  assert.deepEqual(codeAndPath(await testRule(api, { rule, click_id: 'x' })), [400, 'request_invalid', 'click_id'])
  const url = `/click?${'x'.repeat(8_190)}=1`
  assert.deepEqual(codeAndPath(await testRule(api, { rule, click: { url: url.slice(0, 8_192), parameters: { a: 'b' } } })), [400, 'request_invalid', 'click.url']) // prettier-ignore
  for (const role of [
    { role: 'advertiser', advertiser_id: 'acme' },
    { role: 'affiliate', affiliate_id: 'anna' },
  ] as const)
    // prettier-ignore
    assert.deepEqual(codeAndPath(await testRule(api, { rule }, await api.keyFor(role))), [403, 'forbidden', undefined])
  assert.equal((await testRule(api, { rule }, '')).status, 401)
})
