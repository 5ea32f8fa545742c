import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PostbackEndpoint } from '#routing'
import { fillSecrets, hiderOf } from './fill-secrets.ts'
import { prepareDeliveries } from '../messages/prepare-deliveries.ts'
import { isSecretValue } from '../messages/secret-placeholders.ts'
import { unsentExchange, type Exchange } from './send-request.ts'
import { sampleCause, sampleEndpoint, sampleSnapshot } from '../test-causes.ts'

const KEY = 'k/ü "&{sig}'
const FORM = 'application/x-www-form-urlencoded'

/** What is stored for a sale, and what is sent of it. */
function messageOf(over: Partial<PostbackEndpoint>, sub1 = 'x') {
  const endpoint = sampleEndpoint({ secrets: { key: KEY, other_1: 'two' }, ...over })
  const [stored] = prepareDeliveries([sampleCause({}, { sub1 })], sampleSnapshot([endpoint])).deliveries
  assert.ok(stored !== undefined)
  const { url, body, contentType = null, headers = null } = stored
  return { stored, sent: fillSecrets({ url, body, contentType, headers }, endpoint) }
}

test('a secret is stored by its name and sent as it must stand in a path, a query, JSON, a form and a header', () => {
  const url = 'https://t.example/{secret.key}/{Secret.KEY}?k={secret.key}&o={secret.other_1}'
  const json = messageOf({ url, method: 'POST', body: '{"k":"{secret.key}"}', headers: { 'X-Key': 'Key {secret.key}!' } }) // prettier-ignore
  assert.equal(json.stored.url, 'https://t.example/{secret.key}/{secret.key}?k={secret.key}&o={secret.other_1}')
  assert.equal(json.stored.body, '{"k":"{secret.key}"}')
  assert.doesNotMatch(JSON.stringify(json.stored), /%C3%BC|ü/)
  assert.equal(json.sent.url, 'https://t.example/k%2F%C3%BC%20%22%26%7Bsig%7D/k%2F%C3%BC%20%22%26%7Bsig%7D?k=k%2F%C3%BC%20%22%26%7Bsig%7D&o=two') // prettier-ignore
  assert.deepEqual(JSON.parse(json.sent.body!), { k: KEY })
  assert.ok(!json.sent.body!.includes('{sig}'))
  assert.equal(json.sent.headers?.['x-key'], 'Key k/%C3%BC "&{sig}!')
  const form = messageOf({ method: 'POST', content_type: FORM, body: 'k={secret.key}&s={sub1}' })
  assert.equal(form.sent.body, 'k=k%2F%C3%BC+%22%26%7Bsig%7D&s=x')
})

/** Places of a value beside a secret, in one that is filled with its name. */
const places: readonly Partial<PostbackEndpoint>[] = [
  { url: 'https://t.example/{sub1}/{_sub1}/?k={secret.key}&a={sub1}&b={_sub1}&c={sub1}other_1{sub2}' },
  { method: 'POST', body: '{"k":"{secret.key}","a":"{sub1}","b":{sub1},"c":"{_sub1}","d":"{sub1}other_1{sub2}"}' },
  { method: 'POST', content_type: FORM, body: 'k={secret.key}&a={sub1}&b={_sub1}&c={sub1}other_1{sub2}' },
  { headers: { 'X-K': '{secret.key}', 'X-A': '{sub1}', 'X-B': '{_sub1}', 'X-C': '{sub1:trim}', 'X-D': '{sub1}other_1{sub2}' } }, // prettier-ignore
  { method: 'POST' },
  { method: 'POST', content_type: FORM },
]

test('a value that looks like a secret stays the text that it is, wherever it stands and whatever is around it', () => {
  for (const over of places)
    for (const [sub1, sub2] of [
      ['{secret.other_1}', 'x'],
      ['{secret.', '}'],
      ['{', 'secret.other_1}'],
      ['\\{secret.other_1}', ''],
      ['"{secret.other_1}', ''],
    ] as const) {
      // prettier-ignore
      const endpoint = sampleEndpoint({ secrets: { key: 'first', other_1: 'never-told' }, ...over })
      const [stored] = prepareDeliveries([sampleCause({}, { sub1, sub2 })], sampleSnapshot([endpoint])).deliveries
      const { url, body, contentType = null, headers = null } = stored!
      const sent = fillSecrets({ url, body, contentType, headers }, endpoint)
      assert.doesNotMatch(JSON.stringify(sent), /never-told/, `${sub1} in ${JSON.stringify(over)}`)
    }
  const { body, headers } = messageOf({ method: 'POST', body: '{"a":"{sub1}"}', headers: { 'X-A': '{_sub1}' } }, '{secret.key}').sent // prettier-ignore
  assert.deepEqual([JSON.parse(body!), headers], [{ a: '{secret.key}' }, { 'x-a': '{secret.key}' }])
  const standard = messageOf({ method: 'POST' }, '{secret.key}').sent
  assert.equal((JSON.parse(standard.body!) as { data: { sub1: string } }).data.sub1, '{secret.key}')
})

test('no value makes a header ask for a secret', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      for (const sub1 of [text, `\u0001key\u0001${text}`, `{secret.key}${text}`]) {
        const endpoint = sampleEndpoint({ secrets: { key: 'never-told' }, headers: { 'X-A': '{_sub1}', 'X-B': 'b{sub1}' } }) // prettier-ignore
        const [stored] = prepareDeliveries([sampleCause({}, { sub1 })], sampleSnapshot([endpoint])).deliveries
        if (stored === undefined) return
        const { url, body, contentType = null, headers = null } = stored
        assert.doesNotMatch(JSON.stringify(fillSecrets({ url, body, contentType, headers }, endpoint)), /never-told/)
      }
    }),
  )
})

test('a message that asks for a secret that is gone cannot be composed, and it is told which one', () => {
  const { url, body, contentType = null, headers = null } = messageOf({ url: 'https://t.example/{secret.key}' }).stored
  for (const secrets of [undefined, {}, { other: 'x' }])
    assert.throws(
      () => fillSecrets({ url, body, contentType, headers }, secrets === undefined ? {} : { secrets }),
      /no secret "key" any more/,
    )
})

const answer = (head: string, over: Partial<Exchange> = {}): Exchange => ({
  ...unsentExchange('request_invalid', 'x'),
  responseHead: Buffer.from(head),
  responseBytes: Buffer.byteLength(head),
  ...over,
})

test('what a receiver repeats of a secret is not kept, in whatever way it is written', () => {
  const secrets = { key: 'k/ü-Zq81 "x' }
  const hide = hiderOf({ secrets }, null)!
  const written = ['k/ü-Zq81 "x', 'k%2F%C3%BC-Zq81%20%22x', 'k%2F%C3%BC-Zq81+%22x', 'k/ü-Zq81 \\"x']
  for (const text of written) {
    const hidden = hide(answer(`é ${text} é`, { responseHeaders: `location: /${text}`, errorDetail: text }))
    assert.equal(String(hidden.responseHead), 'é (secret) é')
    assert.deepEqual([hidden.responseHeaders, hidden.errorDetail], ['location: /(secret)', '(secret)'])
  }
  const cut = hide(answer('no: k/ü-Zq8', { responseBytes: 5_000 }))
  assert.equal(String(cut.responseHead), 'no: (secret)')
  const other = answer('nothing of it')
  assert.equal(hide(other).responseHead, other.responseHead)
  assert.equal(hiderOf({}, null), undefined)
  const headers = { authorization: 'Bearer of-ours', 'x-api-key': 'key-of-ours', 'x-status': 'sale' }
  const named = hiderOf({}, headers)!(answer('Bearer of-ours; of-ours; key-of-ours; sale'))
  assert.equal(String(named.responseHead), '(secret); (secret); (secret); sale')
})

test('a value that could not be sent, or would climb out of a path, is none', () => {
  for (const value of ['', ' a', 'a ', 'a\nb', 'a\0', '.', '..', '\ud800', 'x'.repeat(513)])
    assert.equal(isSecretValue(value), false, JSON.stringify(value))
  for (const value of ['a', 'a b', '.a', 'ü', 'x'.repeat(512), '{payout}']) assert.equal(isSecretValue(value), true)
})

test('a secret that a receiver repeats is taken out however its program writes it', () => {
  const secret = 'aB3/x9+Zq==&"pässwört'
  const hide = hiderOf({ secrets: { key: secret } }, null)!
  const php = JSON.stringify(secret)
    .slice(1, -1)
    .replaceAll('/', '\\/')
    .replaceAll('ä', '\\u00e4')
    .replaceAll('ö', '\\u00f6')
  const written = [
    secret,
    JSON.stringify(secret).slice(1, -1),
    php,
    php.replaceAll('\\u00e4', '\\u00E4').replaceAll('\\u00f6', '\\u00F6'),
    encodeURIComponent(secret),
    encodeURIComponent(secret).replace(/%[0-9A-F]{2}/g, (octet) => octet.toLowerCase()),
    encodeURIComponent(encodeURIComponent(secret)),
    secret.replaceAll('&', '&amp;').replaceAll('"', '&quot;'),
  ]
  for (const text of written) {
    const responseHead = Buffer.from(`you sent ${text}!`)
    const seen = hide({ ...unsentExchange('request_invalid', ''), responseHead, responseBytes: responseHead.length })
    assert.equal(seen.responseHead.toString(), 'you sent (secret)!', text)
  }
})
