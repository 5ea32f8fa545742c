import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'

import { compileAddressList, makeClientOrigin } from './client-address.ts'

const request = (peer: string, headers: Readonly<Record<string, string>> = {}): IncomingMessage =>
  ({ socket: { remoteAddress: peer }, headers }) as unknown as IncomingMessage

const originOf = makeClientOrigin(['10.0.0.0/8', '2001:db8::1', '127.0.0.1'])
const addressOf = (peer: string, headers: Readonly<Record<string, string>> = {}): string =>
  originOf(request(peer, headers)).address

test('a peer that is no trusted proxy is the client itself', () => {
  assert.equal(addressOf('203.0.113.9', { 'x-forwarded-for': '198.51.100.1' }), '203.0.113.9')
  assert.equal(addressOf('::ffff:203.0.113.9'), '203.0.113.9')
  const trustNobody = makeClientOrigin([])
  assert.equal(trustNobody(request('127.0.0.1', { 'x-forwarded-for': '198.51.100.1' })).address, '127.0.0.1')
})

test('behind trusted proxies the right-most address that is none of them counts', () => {
  assert.equal(addressOf('10.1.2.3', { 'x-forwarded-for': '198.51.100.1' }), '198.51.100.1')
  assert.equal(addressOf('10.1.2.3', { 'x-forwarded-for': '6.6.6.6, 198.51.100.1, 10.9.9.9' }), '198.51.100.1')
  assert.equal(addressOf('::ffff:10.1.2.3', { 'x-forwarded-for': '[2001:db8::7]:4711' }), '2001:db8::7')
  assert.equal(addressOf('2001:db8::1', { 'x-forwarded-for': '198.51.100.1:80' }), '198.51.100.1')
})

test('where every address is a proxy the left-most counts', () => {
  assert.equal(addressOf('10.1.2.3', { 'x-forwarded-for': '10.5.5.5, 10.6.6.6' }), '10.5.5.5')
})

test('what is no address ends the chain', () => {
  assert.equal(addressOf('10.1.2.3', { 'x-forwarded-for': '198.51.100.1, unknown, 10.6.6.6' }), '10.6.6.6')
  assert.equal(addressOf('10.1.2.3', { 'x-forwarded-for': 'nonsense' }), '10.1.2.3')
})

test('CF-Connecting-IP counts where there is no X-Forwarded-For', () => {
  assert.equal(addressOf('10.1.2.3', { 'cf-connecting-ip': '198.51.100.5' }), '198.51.100.5')
  const both = { 'cf-connecting-ip': '198.51.100.5', 'x-forwarded-for': '198.51.100.1' }
  assert.equal(addressOf('10.1.2.3', both), '198.51.100.1')
  assert.equal(addressOf('203.0.113.9', { 'cf-connecting-ip': '198.51.100.5' }), '203.0.113.9')
})

test('the scheme is believed from a trusted proxy only', () => {
  const headers = { 'x-forwarded-proto': 'https' }
  assert.equal(originOf(request('10.1.2.3', headers)).isHttps, true)
  assert.equal(originOf(request('203.0.113.9', headers)).isHttps, false)
  assert.equal(originOf(request('10.1.2.3', { 'x-forwarded-proto': 'https,http' })).isHttps, true)
  assert.equal(originOf(request('10.1.2.3', { 'x-forwarded-proto': 'http' })).isHttps, false)
  assert.equal(originOf(request('10.1.2.3')).isHttps, false)
})

test('an address list holds addresses and blocks of both families and refuses anything else', () => {
  const list = compileAddressList(['192.0.2.7', '198.51.100.0/24', '2001:db8::/32'])
  for (const address of ['192.0.2.7', '198.51.100.200', '2001:db8:1::1']) assert.ok(list.has(address), address)
  for (const address of ['192.0.2.8', '198.51.101.1', '2001:db9::1', 'x', '']) assert.ok(!list.has(address), address)
  assert.throws(() => compileAddressList(['nonsense']), TypeError)
})
