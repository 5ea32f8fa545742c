import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseSecret, signRequest, verifySignature, type ReceivedRequest, type RequestToSign } from './sign.ts'

const NOW = 1_700_000_000_000
const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
const OTHER = `whsec_${Buffer.alloc(24, 8).toString('base64')}`
const ID = '0190b2c4-0000-8000-8000-000000000001'

const toSign = (over: Partial<RequestToSign> = {}): RequestToSign => ({
  eventId: ID,
  method: 'GET',
  url: 'https://t.example/pb?cid=1&sum=2.5',
  body: undefined,
  secrets: [SECRET],
  nowMs: NOW,
  ...over,
})

function receive(request: RequestToSign, over: Partial<ReceivedRequest> = {}): ReceivedRequest {
  const { headers, body = '', ...signed } = signRequest(request)
  const url = new URL(signed.url)
  return { method: request.method, requestTarget: url.pathname + url.search, headers, body: Buffer.from(body), ...over }
}
const verify = (request: ReceivedRequest, secrets: string | string[] = SECRET, nowMs = NOW) => {
  const result = verifySignature(request, secrets, nowMs)
  return result.kind === 'valid' ? 'valid' : result.reason
}
const POST = toSign({ method: 'POST', url: 'https://t.example/pb', body: '{"a":1}' })

test('signs the example of Standard Webhooks as their libraries do', () => {
  // From the test suite of github.com/standard-webhooks/standard-webhooks, javascript/src/index.test.ts.
  const { headers } = signRequest(
    toSign({
      method: 'POST',
      eventId: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      body: '{"test": 2432232314}',
      secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
      nowMs: 1_614_265_330_000,
    }),
  )
  assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

test('a GET carries event id, time and signature in its query, computed over the target without the signature', () => {
  const url = new URL(signRequest(toSign()).url)
  const sig = url.searchParams.get('sig')!
  const target = `/pb?cid=1&sum=2.5&event_id=${ID}&ts=1700000000&sig=`
  assert.equal(url.pathname + url.search, target + sig)
  assert.equal(sig, createHmac('sha256', Buffer.alloc(24, 7)).update(`${ID}.1700000000.GET ${target}`).digest('hex'))
})

test('a template may place {sig} and {ts} itself', () => {
  const url = new URL(signRequest(toSign({ url: 'https://t.example/pb?hash={sig}&at={ts}&x=1' })).url)
  assert.match(url.search, /^\?hash=[0-9a-f]{64}&at=1700000000&x=1$/)
  assert.equal(verify(receive(toSign({ url: 'https://t.example/{ts}/pb?hash={sig}&x=1' }))), 'valid')
})

test('a URL without a query, and one that ends in ? or &, are signed too', () => {
  for (const url of ['https://t.example/pb', 'https://t.example/pb?', 'https://t.example/pb?a=1&']) {
    const request = receive(toSign({ url }))
    assert.equal(verify(request), 'valid')
    assert.doesNotMatch(request.requestTarget, /[?&]{2}/)
  }
})

test('without a secret nothing is signed and nothing is added', () => {
  const { url, headers } = signRequest(toSign({ secrets: [] }))
  assert.equal(url, 'https://t.example/pb?cid=1&sum=2.5')
  assert.deepEqual(headers, { 'webhook-id': ID, 'webhook-timestamp': '1700000000' })
})

test('verifies from the headers, and a GET from its query alone', () => {
  assert.equal(verify(receive(POST)), 'valid')
  assert.equal(verify(receive(toSign())), 'valid')
  assert.equal(verify(receive(toSign(), { headers: {} })), 'valid')
})

test('each part of a request is covered', () => {
  const get = receive(toSign())
  assert.equal(verify({ ...get, requestTarget: get.requestTarget.replace('sum=2.5', 'sum=9.5') }), 'signature_wrong')
  assert.equal(verify({ ...get, headers: { ...get.headers, 'webhook-id': 'other' } }), 'signature_wrong')
  assert.equal(verify(receive(POST, { body: Buffer.from('{"a":2}') })), 'signature_wrong')
  const post = receive(POST)
  assert.equal(verify({ ...post, headers: { ...post.headers, 'webhook-timestamp': '1700000001' } }), 'signature_wrong')
})

test('a signature older or newer than five minutes is refused', () => {
  assert.equal(verify(receive(POST), SECRET, NOW + 300_000), 'valid')
  assert.equal(verify(receive(POST), SECRET, NOW + 301_000), 'timestamp_expired')
  assert.equal(verify(receive(POST), SECRET, NOW - 301_000), 'timestamp_expired')
})

test('what is missing is named', () => {
  const { headers, ...post } = receive(POST)
  const without = (name: string) => ({ ...post, headers: { ...headers, [name]: undefined } })
  assert.equal(verify(without('webhook-id')), 'id_missing')
  assert.equal(verify(without('webhook-timestamp')), 'timestamp_missing')
  assert.equal(verify(without('webhook-signature')), 'signature_missing')
})

test('during a rotation any of several secrets, and any of several signatures, will do', () => {
  assert.equal(verify(receive(POST), [OTHER, SECRET]), 'valid')
  assert.equal(verify(receive(POST), [OTHER]), 'signature_wrong')
  const post = receive(POST)
  const listed = { ...post.headers, 'webhook-signature': `v1,AAAA ${String(post.headers['webhook-signature'])}` }
  assert.equal(verify({ ...post, headers: listed }), 'valid')
})

test('while a secret is replaced both sign, and a receiver with either accepts', () => {
  for (const request of [toSign(), POST, toSign({ url: 'https://t.example/pb?sig={sig}' })]) {
    const received = receive({ ...request, secrets: [SECRET, OTHER] })
    const withoutHeaders = { ...received, headers: { 'webhook-id': ID, 'webhook-timestamp': '1700000000' } }
    for (const secret of [SECRET, OTHER]) {
      assert.equal(verify(received, secret), 'valid')
      if (request.method === 'GET') assert.equal(verify(withoutHeaders, secret), 'valid')
    }
  }
  const { headers, url } = signRequest(toSign({ secrets: [SECRET, OTHER] }))
  assert.match(headers['webhook-signature']!, /^get1,[0-9a-f]{64} get1,[0-9a-f]{64}$/)
  assert.match(new URL(url).searchParams.get('sig')!, /^[0-9a-f]{64}\.[0-9a-f]{64}$/)
  const post = signRequest({ ...POST, secrets: [SECRET, OTHER] }).headers['webhook-signature']!
  assert.equal(post.split(' ')[0], signRequest(POST).headers['webhook-signature'])
})

test('{sig} of a POST covers path, query and body; without the header it is found in the query', () => {
  const request = { ...POST, url: 'https://t.example/pb?a=1&sig={sig}', body: '{"n":1}' }
  const received = receive(request)
  const content = `${ID}.1700000000.POST /pb?a=1&sig=\n{"n":1}`
  const digits = createHmac('sha256', Buffer.alloc(24, 7)).update(content).digest('hex')
  assert.equal(received.requestTarget, `/pb?a=1&sig=${digits}`)
  const bare = { ...received, headers: { 'webhook-id': ID, 'webhook-timestamp': '1700000000' } }
  assert.equal(verify(bare), 'valid')
  assert.equal(verify({ ...bare, body: Buffer.from('{"n":2}') }), 'signature_wrong')
  assert.equal(verify({ ...bare, requestTarget: received.requestTarget.replace('a=1', 'a=2') }), 'signature_wrong')
})

test('{sig} and {ts} in a body are filled where the template has them, and the header covers the filled body', () => {
  const request = { ...POST, body: 'a=1&at={ts}&sig={sig}' }
  const received = receive(request)
  const content = `${ID}.1700000000.POST /pb\na=1&at=1700000000&sig=`
  const digits = createHmac('sha256', Buffer.alloc(24, 7)).update(content).digest('hex')
  assert.equal(String(received.body), `a=1&at=1700000000&sig=${digits}`)
  assert.equal(verify(received), 'valid')
})

test('a message that has a signature in it is not sent without a secret', () => {
  for (const over of [{ url: 'https://t.example/pb?sig={sig}' }, { body: '{"s":"{sig}"}' }])
    assert.throws(() => signRequest(toSign({ ...POST, ...over, secrets: [] })), /no secret any more/)
  assert.equal(signRequest(toSign({ ...POST, body: '{"t":"{ts}"}', secrets: [] })).body, '{"t":"1700000000"}')
})

test('a signature of the other method does not count', () => {
  const post = receive(POST)
  assert.equal(verify({ ...post, method: 'GET' }), 'signature_missing')
})

test('verification never throws, whatever comes', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), fc.uint8Array(), (target, id, signature, body) => {
      const headers = { 'webhook-id': id, 'webhook-timestamp': '1700000000', 'webhook-signature': `get1,${signature}` }
      const request = { method: 'GET', requestTarget: target, headers, body: Buffer.from(body) }
      assert.equal(verifySignature(request, SECRET, NOW).kind, 'invalid')
    }),
  )
})

test('a secret has 24 to 64 bytes of base64 behind whsec_', () => {
  const ofLength = (bytes: number) => parseSecret(`whsec_${Buffer.alloc(bytes, 1).toString('base64')}`)?.length
  assert.deepEqual([23, 24, 64, 65].map(ofLength), [undefined, 24, 64, undefined])
  assert.equal(parseSecret(Buffer.alloc(24).toString('base64')), undefined)
  assert.equal(parseSecret('whsec_not base64 at all, no, not at all'), undefined)
  assert.throws(() => verifySignature(receive(POST), 'plain', NOW), TypeError)
})
