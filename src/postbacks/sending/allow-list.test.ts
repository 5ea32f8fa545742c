import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allowsAddress, allowsHost, hostRefusedBy } from './allow-list.ts'

const hostAllowed = (url: string, allow: Parameters<typeof allowsHost>[0]): boolean => allowsHost(allow, new URL(url))

test('a list of domains takes its names, in any case and with a trailing dot, and no others', () => {
  const allow = { domains: ['partner.example', '*.cdn.example'] }
  for (const host of ['partner.example', 'PARTNER.example', 'partner.example.', 'a.cdn.example', 'a.b.cdn.example'])
    assert.ok(hostAllowed(`https://${host}/x`, allow), host)
  for (const host of [
    'evilpartner.example',
    'partner.example.evil',
    'a.partner.example',
    'cdn.example',
    'evilcdn.example',
  ])
    assert.ok(!hostAllowed(`https://${host}/x`, allow), host)
})

test('an address in the URL is on a list of addresses or on none', () => {
  assert.ok(!hostAllowed('http://8.8.8.8/', { domains: ['partner.example'] }))
  assert.ok(hostAllowed('http://8.8.8.8/', { addresses: ['8.8.8.0/24'] }))
  assert.ok(hostAllowed('http://0x08080808/', { domains: ['partner.example'], addresses: ['8.8.8.8'] }))
  assert.ok(!hostAllowed('http://8.8.9.8/', { addresses: ['8.8.8.0/24'] }))
  assert.ok(hostAllowed('http://[2606:4700::1]/', { addresses: ['2606:4700::/32'] }))
})

test('a list of addresses judges what a name resolves to, mapped or not', () => {
  const addresses = ['8.8.8.0/24', '2606:4700::/32']
  for (const address of ['8.8.8.1', '::ffff:8.8.8.1', '2606:4700::1111']) assert.ok(allowsAddress(addresses, address))
  for (const address of ['8.8.4.4', '::ffff:8.8.4.4', '2606:4701::1', 'unknown', ''])
    assert.ok(!allowsAddress(addresses, address))
  assert.ok(allowsAddress(undefined, '8.8.4.4'))
  assert.ok(!hostAllowed('https://any.example/', { domains: ['partner.example'], addresses }))
  assert.ok(hostAllowed('https://any.example/', { addresses }))
})

test('the host of a template is found among its macros', () => {
  const allow = { domains: ['partner.example'] }
  assert.equal(hostRefusedBy(allow, 'https://partner.example:8443/{sub1}?u=http://x.example/'), undefined)
  assert.equal(hostRefusedBy(allow, 'https://Other.example/{sub1}'), 'other.example')
})
