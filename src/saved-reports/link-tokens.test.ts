import assert from 'node:assert/strict'
import { test } from 'node:test'

import { givenSecretKeys, useSecretKeys } from '#secrets'

import { makeLinkToken, readLinkToken } from './index.ts'

const ID = '0199a0aa-0000-7000-8000-000000000000'
const keyOf = (text: string) => Buffer.alloc(32, text).toString('base64')

test('a token opens what it was made for until it expires, and nothing else', () => {
  useSecretKeys(givenSecretKeys([keyOf('one')]))
  const token = makeLinkToken('shared_report', ID, 1_000)
  assert.match(token, /^[\w.-]{60,200}$/)
  assert.equal(readLinkToken('shared_report', token, 999), ID)
  assert.equal(readLinkToken('shared_report', token, 1_000), undefined)
  assert.equal(readLinkToken('report_file', token, 999), undefined)
  for (let place = 0; place < token.length; place++) {
    const changed = token.slice(0, place) + (token[place] === 'A' ? 'B' : 'A') + token.slice(place + 1)
    // The last character of base64 has bits that mean nothing.
    if (place < token.length - 1) assert.equal(readLinkToken('shared_report', changed, 999), undefined)
  }
  for (const other of ['', 'x', 'sealed:1:x', `${'0'.repeat(8)}.${'A'.repeat(60)}`])
    assert.equal(readLinkToken('shared_report', other, 999), undefined)
})

test('a token outlives a new key for as long as the old one is kept', () => {
  useSecretKeys(givenSecretKeys([keyOf('one')]))
  const token = makeLinkToken('report_file', ID, 1_000)
  useSecretKeys(givenSecretKeys([keyOf('two'), keyOf('one')]))
  assert.equal(readLinkToken('report_file', token, 999), ID)
  useSecretKeys(givenSecretKeys([keyOf('two')]))
  assert.equal(readLinkToken('report_file', token, 999), undefined)
})
