import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkRequest } from './check-request.ts'
import { Target } from './target.ts'
import { createSender } from './send-request.ts'
import { startReceiver } from '../test-receiver.ts'

const GOOD = { 'user-agent': 'Waypost/1 (+postback)', 'x-name': 'Muñoz\tÿ', authorization: 'Bearer a.b' }

test('an ordinary request passes', () => {
  assert.equal(checkRequest('/pb?cid=1&x=%0d%0a', GOOD), undefined)
  assert.equal(checkRequest('/', {}), undefined)
})

test('a value that would end its header is refused, and is not repeated', () => {
  for (const value of ['a\r\nx-evil: 1', 'a\nb', 'a\rb', 'a\0b', '\r\n\r\nGET / HTTP/1.1', 'a\u0001', 'a\x7f'])
    assert.equal(checkRequest('/', { ...GOOD, 'X-Sub': value }), 'the header x-sub holds a character that HTTP forbids')
})

test('a value beyond one byte is refused: its low byte could be a line break', () => {
  for (const value of ['\u010a', '\u010d\u010a', 'Muğla', '嘊嘍'])
    assert.ok(checkRequest('/', { 'x-sub': value }), value)
})

test('a name that is no token is refused', () => {
  for (const name of ['', 'a b', 'a:b', 'x\r\ny', 'ü', 'x'.repeat(101)])
    assert.equal(checkRequest('/', { [name]: '1' }), 'a header has a name that HTTP forbids')
})

test('headers that say how the message is carried are refused in any case of letters', () => {
  for (const name of [
    'Host',
    'content-length',
    'Transfer-Encoding',
    'CONNECTION',
    'upgrade',
    'TE',
    'Expect',
    'Proxy-Authorization',
  ])
    assert.match(checkRequest('/', { [name]: 'x' }) ?? '', /not for templates/, name)
})

test('a target that would end the request line is refused', () => {
  for (const target of ['/a b', '/a\r\nHost: evil', '/a\tb', '/\0', 'relative', '', '/ü'])
    assert.equal(checkRequest(target, {}), 'the path or query holds a character that HTTP forbids', target)
})

test('more than 16 KiB of headers are refused', () => {
  assert.equal(checkRequest('/', { 'x-a': 'a'.repeat(16_000) }), undefined)
  assert.match(
    checkRequest('/', { 'x-a': 'a'.repeat(10_000), 'x-b': 'b'.repeat(10_000) }) ?? '',
    /longer than 16384 bytes/,
  )
})

test('the sender itself refuses such a request and opens nothing for it', async (t) => {
  const receiver = await startReceiver(t)
  const sender = createSender({ resolveHost: () => Promise.resolve(['127.0.0.1']) })
  t.after(() => sender.close())
  const exchange = await sender.send({
    ...{ target: new Target(receiver.url), method: 'GET', body: undefined, timeoutMs: 1_000, allowsPrivate: true },
    headers: { 'x-sub': 'a\r\nx-evil: 1' },
  })
  assert.deepEqual([exchange.error, exchange.errorDetail], ['request_invalid', 'the header x-sub holds a character that HTTP forbids']) // prettier-ignore
  assert.equal(receiver.arrivals.length, 0)
})

test('what passes makes exactly one line for each header', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (name, value) => {
      if (checkRequest('/', { [name]: value }) !== undefined) return
      const bytes = Buffer.from(`${name}: ${value}\r\n`, 'latin1')
      assert.equal(bytes.toString('latin1').split(/[\r\n\0]+/).length, 2)
    }),
  )
})
