import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PostbackEndpoint } from '#routing'
import { sampleEndpoint } from '../test-causes.ts'
import { validateEndpoint } from './validate-endpoint.ts'

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
const codesOf = (over: Partial<PostbackEndpoint>) =>
  validateEndpoint(sampleEndpoint(over)).map(({ field, code }) => `${field}: ${code}`)

test('good endpoints have no problems', () => {
  assert.deepEqual(codesOf({}), [])
  assert.deepEqual(codesOf({ secret: SECRET, url: 'https://t.example/?s={sig}&t={ts}' }), [])
  assert.deepEqual(codesOf({ method: 'POST' }), [])
  assert.deepEqual(codesOf({ method: 'POST', body: '{"id":"{click_id}","sum":{payout},"x":{sub9}}' }), [])
  assert.deepEqual(
    codesOf({ method: 'POST', content_type: 'application/x-www-form-urlencoded', body: 'id={click_id}' }),
    [],
  )
  assert.deepEqual(codesOf({ url: 'http://127.0.0.1:8080/?o={offer_name!}', allow_private_address: true }), [])
})

test('mistakes in URL and body are told apart', () => {
  const over = { method: 'POST', url: 'https://t.example/?a={nope}', body: '{"b":"{nada}"}' } as const
  assert.deepEqual(codesOf(over), ['url: macro_unknown', 'body: macro_unknown'])
})

test('a URL that would not be requested is refused', () => {
  const urls = [
    'not a url',
    'ftp://t.example/',
    'https://me:pw@t.example/',
    'http://127.1:8080/',
    'https://t.example:25/',
  ]
  for (const url of urls) assert.deepEqual(codesOf({ url }).map((text) => text.split(':')[0]), ['url'], url) // prettier-ignore
})

test('a body that is no JSON when filled is refused', () => {
  assert.deepEqual(codesOf({ method: 'POST', body: '{"a":{click_id}' }), ['body: body_invalid'])
})

test('a signature macro needs a secret', () => {
  const body = '{"s":"{sig}"}'
  assert.deepEqual(codesOf({ url: 'https://t.example/?s={sig}' }), ['url: macro_misplaced'])
  assert.deepEqual(codesOf({ method: 'POST', body }), ['body: macro_misplaced'])
  assert.deepEqual(codesOf({ url: 'https://t.example/?s={sig}', method: 'POST', body, secret: SECRET }), [])
})

test('a secret is one of the endpoint, and may stand where many messages go in one request', () => {
  const secrets = { token: 'a' }
  const over = {
    method: 'POST',
    url: 'https://t.example/{secret.token}',
    headers: { 'X-K': '{secret.token}' },
  } as const
  const batch = {
    max_events: 10,
    max_wait_ms: 1_000,
    max_bytes: 1_000,
    format: 'ndjson',
    wrapper_key: 'events',
  } as const
  assert.deepEqual(codesOf({ ...over, secrets, batch }), [])
  assert.deepEqual(codesOf(over), ['url: secret_unknown', 'headers: secret_unknown'])
  assert.deepEqual(codesOf({ method: 'POST', secrets, body: '{"k":{secret.token}}' }), ['body: secret_misplaced'])
  for (const url of ['{_secret.token}', '{secret.token!}', '{secret.token:md5}'])
    assert.deepEqual(codesOf({ secrets, url: `https://t.example/${url}` }), ['url: secret_misplaced'], url)
})

test('what the advertiser pays is not for endpoints of an affiliate', () => {
  const url = 'https://t.example/?r={advertiser_revenue}'
  assert.deepEqual(codesOf({ url, scope: { affiliate_id: 'ada' } }), ['url: macro_confidential'])
  assert.deepEqual(codesOf({ url, scope: { offer_id: 'shoes' } }), [])
})

test('a secret must be one of Standard Webhooks', () => {
  assert.deepEqual(codesOf({ secret: 'hunter2' }), ['secret: secret_invalid'])
  assert.deepEqual(codesOf({ secret: SECRET, previous_secret: 'hunter2' }), ['previous_secret: secret_invalid'])
})

test('a message among many has neither signature nor time of its own', () => {
  const batch = { max_events: 9, max_wait_ms: 9, max_bytes: 9_999, format: 'ndjson', wrapper_key: 'events' } as const
  const endpoint = sampleEndpoint({
    ...{ method: 'POST', url: 'https://a.example/', content_type: 'application/json', batch },
    ...{ secret: `whsec_${Buffer.alloc(24).toString('base64')}`, body: '{"at":"{ts}"}' },
  })
  assert.deepEqual(validateEndpoint(endpoint).map(({ field, code }) => [field, code]), [['body', 'batch_invalid']]) // prettier-ignore
})

test('what a signed GET adds to its query must not stand there already', () => {
  const of = (query: string, over: Partial<PostbackEndpoint> = {}) =>
    codesOf({ url: `https://t.example/pb?${query}`, secret: SECRET, ...over })
  for (const query of ['event_id=5', 'a=1&ts={status}', 'sig=abc', 'x=1&event_id={txid}'])
    assert.deepEqual(of(query), ['url: url_invalid'], query)
  for (const query of ['event_id={event_id}', 'ts={ts}&event_id={Event_ID}', 'my_ts=1', 'event_id=5&hash={sig}'])
    assert.deepEqual(of(query), [], query)
  assert.deepEqual(of('event_id=5', { method: 'POST' }), [])
  assert.deepEqual(of('event_id=5', { secret: undefined as never }), [])
})

test('a required name hides no mistake beside it', () => {
  assert.deepEqual(codesOf({ url: 'ftp://t.example/?d={offer_name!}' }), ['url: url_invalid'])
  assert.deepEqual(codesOf({ method: 'POST', body: '{"n":{offer_name!},,}' }), ['body: body_invalid'])
  assert.deepEqual(codesOf({ method: 'POST', body: '{"n":{offer_name!},"c":"{campaign_name!}"}' }), [])
})
