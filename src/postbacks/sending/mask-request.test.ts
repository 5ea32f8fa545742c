import assert from 'node:assert/strict'
import { test } from 'node:test'

import { maskBody, maskRequest, maskUrl } from './mask-request.ts'
import { sampleEndpoint } from '../test-causes.ts'

const ID = '01890a5d-ac96-774b-bcce-b302099a8057'

for (const [url, masked] of [
  ['https://t.example/pb?cid=1&payout=2.5', 'https://t.example/pb?cid=1&payout=2.5'],
  ['https://t.example/pb?token=abc&cid=1', 'https://t.example/pb?token=***&cid=1'],
  ['https://t.example/pb?API_KEY=a%26b', 'https://t.example/pb?API_KEY=***'],
  ['https://t.example/pb?api%5Fkey=a', 'https://t.example/pb?api%5Fkey=***'],
  ['https://t.example/pb?x=1&security_token=', 'https://t.example/pb?x=1&security_token=***'],
  ['https://t.example/pb?key=a?b=c&postback-key=1', 'https://t.example/pb?key=***&postback-key=***'],
  ['https://t.example/a1b2c3d4e5/postback?subid=x', 'https://t.example/***/postback?subid=x'],
  [`https://t.example/v1/${ID}/s2s`, `https://t.example/v1/${ID}/s2s`],
  ['https://t.example/pb?ts={ts}&sig={sig}', 'https://t.example/pb?ts={ts}&sig={sig}'],
  ['https://t.example/{secret.key}/pb?token={secret.token}', 'https://t.example/{secret.key}/pb?token={secret.token}'],
  ['https://t.example', 'https://t.example'],
  ['https://t1.example42.com/?monkey=1&keyword=2&passenger=3', 'https://t1.example42.com/?monkey=1&keyword=2&passenger=3'],
] as const)
  test(`masks ${url}`, () => assert.equal(maskUrl(url), masked)) // prettier-ignore

test('bodies are masked by the names of their fields', () => {
  const json = '{"type":"sale","data":{"api_key":"a\\"b","token": 12, "list":["x"],"secret":null,"name":"token"}}'
  assert.equal(maskBody(json, 'application/json'), '{"type":"sale","data":{"api_key":"***","token": "***", "list":["x"],"secret":"***","name":"token"}}') // prettier-ignore
  assert.equal(maskBody('a=1&password=x', 'application/x-www-form-urlencoded'), 'a=1&password=***')
})

test('a request shows what goes out without its secrets', () => {
  const body = `{"token":"hush","text":"${'x'.repeat(3_000)}"}`
  const message = { event_id: ID, method: 'POST', url: 'https://t.example/?key=hush', content_type: 'application/json', body, headers: { 'x-api-key': 'hush', 'x-source': 'us' } } as const // prettier-ignore
  const request = maskRequest(message, sampleEndpoint({ secret: 'whsec_hush' }))
  assert.doesNotMatch(JSON.stringify(request), /hush/)
  assert.deepEqual(
    [request.headers['content-type'], request.headers['webhook-id'], request.headers['webhook-signature']],
    ['application/json', ID, '(secret)'],
  )
  assert.equal(request.headers['x-source'], 'us')
  assert.deepEqual([request.body_head!.length, request.is_body_cut], [2_048, true])
  const unsigned = maskRequest({ ...message, method: 'GET', body: null, content_type: null }, undefined)
  assert.deepEqual([unsigned.body_head, unsigned.is_body_cut, unsigned.headers['webhook-signature']], [null, false, undefined]) // prettier-ignore
})
