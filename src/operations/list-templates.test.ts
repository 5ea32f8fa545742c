import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { receiverTemplateNames } from '#postbacks'
import { listTemplates } from './list-templates.ts'

/** What the command prints, and its exit code. */
function run(t: TestContext, name?: string): { readonly code: number; readonly out: string; readonly err: string } {
  const texts = { out: '', err: '' }
  const out = t.mock.method(process.stdout, 'write', (text: string) => ((texts.out += text), true))
  const err = t.mock.method(process.stderr, 'write', (text: string) => ((texts.err += text), true))
  const code = listTemplates(name)
  out.mock.restore()
  err.mock.restore()
  return { code, ...texts }
}

test('lists every template in a line', (t) => {
  const { code, out } = run(t)
  assert.equal(code, 0)
  assert.deepEqual(
    out
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]),
    receiverTemplateNames,
  )
})

test('shows one with its parameters and an example', (t) => {
  const { code, out } = run(t, 'keitaro')
  assert.equal(code, 0)
  assert.match(out, /template: keitaro\n {4}parameters: \{ host: …, key: … \}\n/)
  assert.match(out, /click_id {3}.*\(default: external_id\)/)
  assert.match(run(t, 'standard_webhooks').out, /secret: whsec_…/)
})

test('says which there are where the name is none', (t) => {
  const { code, out, err } = run(t, 'nope')
  assert.deepEqual([code, out], [2, ''])
  assert.match(err, /There is no template "nope": keitaro, /)
})
