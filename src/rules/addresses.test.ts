import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import { IpSet, parseIp, parseIpBlock } from './addresses.ts'

const anyAddress = fc.oneof(
  fc.ipV4(),
  // The reference takes ::1.2.3.4 for an IPv4 address, which it is not any more (RFC 4291, 2.5.5.1).
  fc.ipV6().filter((text) => !text.includes('.')),
  fc.ipV4().map((text) => `::ffff:${text}`),
  // Close to each other, so that blocks overlap.
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 255 })).map(([a, b]) => `10.0.${a}.${b}`),
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 65_535 })).map(([a, b]) => `2001:db8:${a}::${b.toString(16)}`),
) // prettier-ignore

const anyBlock = anyAddress.chain((address) =>
  fc.integer({ min: 0, max: address.includes(':') ? 128 : 32 }).map((bits) => `${address}/${bits}`),
)

function holds(block: string, address: string): boolean {
  const [first, bits] = ipaddr.parseCIDR(block)
  const one = ipaddr.process(address)
  if (first instanceof ipaddr.IPv6 && first.isIPv4MappedAddress())
    return one.kind() === 'ipv4' && one.match(first.toIPv4Address(), bits - 96)
  return one.kind() === first.kind() && one.match(first, bits)
}

test('a set of blocks holds what one block after the other holds', () => {
  fc.assert(
    fc.property(fc.array(anyBlock, { maxLength: 30 }), fc.array(anyAddress), (blocks, addresses) => {
      const known = blocks.filter((block) => parseIpBlock(block) !== undefined)
      const set = new IpSet(known.map((block) => parseIpBlock(block)!))
      for (const address of addresses)
        assert.equal(set.has(parseIp(address)!), known.some((block) => holds(block, address)), address) // prettier-ignore
    }),
    { numRuns: 500 },
  )
})

test('a long list holds the same, searched by its index', () => {
  let seed = 7
  const next = (): number => (seed = (seed * 48_271) % 2_147_483_647)
  const blocks = Array.from({ length: 20_000 }, () => `${(next() % 223) + 1}.${next() % 256}.${next() % 256}.${next() % 256}/${14 + (next() % 19)}`) // prettier-ignore
  const set = new IpSet(blocks.map((block) => parseIpBlock(block)!))
  const ranges = blocks.map((block) => parseIpBlock(block)!)
  let held = 0
  for (let index = 0; index < 2_000; index += 1) {
    const ip = parseIp(`${(next() % 223) + 1}.${next() % 256}.${next() % 256}.${next() % 256}`)!
    const expected = ranges.some(({ first, last }) => first.w3 <= ip.w3 && ip.w3 <= last.w3)
    assert.equal(set.has(ip), expected)
    held += expected ? 1 : 0
  }
  assert.ok(held > 100 && held < 1_900)
  for (const edge of ['0.0.0.0', '255.255.255.255']) assert.equal(set.has(parseIp(edge)!), false)
})

test('reads what is an address and nothing else', () => {
  fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => parseIp(text) !== undefined))
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('0', '1', 'f', ':', '.', 'g', '::', '25') }), (text) => {
      assert.equal(parseIp(text) !== undefined, isIP(text) !== 0, text)
    }),
    { numRuns: 5_000 },
  )
  assert.deepEqual(parseIp('fe80::1%eth0'), parseIp('fe80::1'))
  assert.deepEqual(parseIp('::ffff:81.2.69.142'), parseIp('81.2.69.142'))
  for (const text of ['10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/', '::/129', '::ffff:1.2.3.4/80', 'x/8', '1.2.3.4/1/2'])
    assert.equal(parseIpBlock(text), undefined, text)
})

test('bits after the prefix are ignored', () => {
  assert.deepEqual(parseIpBlock('10.1.2.3/8'), parseIpBlock('10.0.0.0/8'))
  assert.deepEqual(parseIpBlock('2001:db8:1::/32'), parseIpBlock('2001:db8::/32'))
})
