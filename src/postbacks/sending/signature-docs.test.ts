import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { signRequest, type RequestToSign } from './sign.ts'

/** What the page tells receivers: their code, run as it stands there, and its test vectors. */
const page = readFileSync(new URL('../../../docs/states/delivery.md', import.meta.url), 'utf8')

type IsOurs = (
  request: { method: string; target: string; headers?: object; body?: string | undefined },
  secret: string,
  now?: number,
) => boolean

const code = /```js\n(import \{ createHmac[\s\S]*?)```/.exec(page)![1]!
const { isOurs } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as { isOurs: IsOurs }

const SECONDS = 1_700_000_000
const ID = '0190b2c4-0000-8000-8000-000000000001'
const whsec = (text: string): string => `whsec_${Buffer.from(text).toString('base64')}`
const SECRET = whsec('0123456789abcdef0123456789abcdef')
const REPLACED = whsec('fedcba9876543210fedcba9876543210')
const HOST = 'https://t.example'

const sign = (over: Partial<RequestToSign>) => {
  const request = {
    eventId: ID,
    method: 'GET',
    url: `${HOST}/pb?cid=1&sum=2.5`,
    body: undefined,
    secrets: [SECRET],
    nowMs: SECONDS * 1_000,
    ...over,
  } as const
  const { headers, body, ...signed } = signRequest(request)
  const url = new URL(signed.url)
  return { method: request.method, target: url.pathname + url.search, headers, body }
}

const post = { method: 'POST', url: `${HOST}/pb`, body: '{"sum":2.5}' } as const
const postWithSig = { ...post, url: `${HOST}/pb?event_id=${ID}&ts={ts}&sig={sig}` }
const rotation = { secrets: [SECRET, REPLACED] }

test('the test vectors of the page are what is sent', () => {
  for (const more of [{}, rotation]) {
    assert.ok(page.includes(`\nGET ${sign(more).target}\n`))
    assert.ok(page.includes(`\nPOST /pb {"sum":2.5} ${sign({ ...post, ...more }).headers['webhook-signature']}\n`))
  }
  const { target } = sign(postWithSig)
  assert.ok(page.includes(`\nPOST ${target} {"sum":2.5}\n`), target)
})

test('the code of the page takes what is ours, with header or without, during a rotation by either secret', () => {
  for (const over of [{}, post, postWithSig, { ...post, url: `${HOST}/pb`, body: '' }])
    for (const secrets of [[SECRET], rotation.secrets]) {
      const { headers, ...bare } = sign({ ...over, secrets })
      for (const secret of secrets) {
        assert.ok(isOurs({ ...bare, headers }, secret, SECONDS))
        if (bare.target.includes('sig=')) assert.ok(isOurs(bare, secret, SECONDS), bare.target)
      }
    }
})

test('the code of the page refuses what was changed, what is old and what another secret signed', () => {
  for (const over of [{}, post, postWithSig]) {
    const sent = sign(over)
    assert.ok(!isOurs(sent, REPLACED, SECONDS))
    assert.ok(!isOurs(sent, SECRET, SECONDS + 301))
    assert.ok(!isOurs({ ...sent, body: '{"sum":9}', target: sent.target.replace('2.5', '9') }, SECRET, SECONDS))
  }
})
