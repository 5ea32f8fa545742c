import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkDestination, isAllowedAddress } from './check-destination.ts'

const isPublic = (address: string): boolean => isAllowedAddress(address, false)

test('public addresses are allowed', () => {
  for (const address of [
    '8.8.8.8',
    '93.184.216.34',
    '172.15.255.255',
    '172.32.0.0',
    '2606:4700::1111',
    '2a00:1450::1',
  ]) {
    assert.ok(isPublic(address), address)
  }
})

test('every private, reserved and special range is refused, at both ends', () => {
  const refused = [
    ...['0.0.0.0', '0.255.255.255', '10.0.0.0', '10.255.255.255', '100.64.0.0', '100.127.255.255', '127.0.0.1'],
    ...['127.255.255.255', '169.254.0.0', '169.254.169.254', '172.16.0.0', '172.31.255.255', '192.0.0.1', '192.0.2.1'],
    ...['192.88.99.1', '192.168.0.0', '192.168.255.255', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1'],
    ...['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
    ...['::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd00:ec2::254', 'ff02::1', '100::1', '64:ff9b::7f00:1'],
    ...['64:ff9b:1::1', '5f00::1', '2001::1', '2001:db8::1', '2002:7f00:1::1', '3fff::1', '4000::1'],
  ]
  for (const address of refused) assert.ok(!isPublic(address), address)
})

test('an IPv4 address inside IPv6 is judged as IPv4', () => {
  for (const address of ['::ffff:127.0.0.1', '::ffff:7f00:1', '::FFFF:10.0.0.1', '::127.0.0.1', '::ffff:0:127.0.0.1']) {
    assert.ok(!isPublic(address), address)
  }
  assert.ok(isPublic('::ffff:8.8.8.8'))
})

test('what is no address is refused', () => {
  for (const text of ['', 'localhost', '127.1', '0x7f000001', '2130706433', 'unknown']) assert.ok(!isPublic(text), text)
})

test('an endpoint that may be private reaches private networks and loopback, but not what gives out credentials', () => {
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '192.168.1.1',
    '172.20.0.1',
    '::1',
    'fd12::1',
    '8.8.8.8',
    '::ffff:127.0.0.1',
  ]) {
    assert.ok(isAllowedAddress(address, true), address)
  }
  for (const address of [
    '169.254.169.254',
    '0.0.0.0',
    '100.100.100.200',
    'fe80::1',
    'fd00:ec2::254',
    '224.0.0.1',
    '::',
  ]) {
    assert.ok(!isAllowedAddress(address, true), address)
  }
})

test('every way of writing a loopback address in a URL is refused', () => {
  const hosts = [
    ...[
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0x7f.1',
      '0177.0.0.1',
      '017700000001',
      '127.0.0.1.',
      '127。0。0。1',
    ],
    ...[
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[0:0:0:0:0:0:0:1]',
      '①②⑦.0.0.1',
      '0',
      '169.254.169.254',
    ],
  ]
  for (const host of hosts) assert.equal(checkDestination(new URL(`http://${host}/`), false), 'address', host)
})

test('other schemes, user names and ports of system services are refused', () => {
  const wrong = (url: string) => checkDestination(new URL(url), false)
  assert.equal(wrong('ftp://partner.example/'), 'scheme')
  assert.equal(wrong('file:///etc/passwd'), 'scheme')
  assert.equal(wrong('https://user@partner.example/'), 'userinfo')
  assert.equal(wrong('https://:password@partner.example/'), 'userinfo')
  assert.equal(wrong('https://partner.example:22/'), 'port')
  assert.equal(wrong('https://partner.example:1023/'), 'port')
  for (const url of [
    'https://partner.example/',
    'http://partner.example:80/',
    'http://partner.example:443/',
    'http://partner.example:8080/',
  ]) {
    assert.equal(wrong(url), undefined, url)
  }
})

test('no IPv4 address is public in one notation and private in another', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (number) => {
      const { hostname } = new URL(`http://${number}/`)
      assert.equal(isPublic(hostname), isPublic(`::ffff:${hostname}`))
      assert.equal(
        checkDestination(new URL(`http://0x${number.toString(16)}/`), false) === undefined,
        isPublic(hostname),
      )
    }),
  )
})
