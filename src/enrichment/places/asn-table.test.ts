import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { withTempDir } from '#test-kit'
import { parseAddress } from './address.ts'
import { AsnTable, asnArraysOf, type AutonomousSystem } from './asn-table.ts'
import { compileAsnDatabase } from './compile-asn.ts'

type Table = { readonly find: (address: string) => AutonomousSystem | undefined; readonly target: string }

function compileFrom(t: TestContext, ipv4: string, ipv6: string): Table {
  const folder = withTempDir(t)
  const sources = { ipv4: join(folder, 'ipv4.csv'), ipv6: join(folder, 'ipv6.csv') }
  writeFileSync(sources.ipv4, ipv4)
  writeFileSync(sources.ipv6, ipv6)
  const target = join(folder, 'geo', 'asn.bin')
  compileAsnDatabase(sources, target)
  const table = new AsnTable(asnArraysOf(readFileSync(target))!)
  return { find: (address) => table.find(parseAddress(address)!), target }
}

test('finds the system of an address by both ends of its range, and none beside it', (t) => {
  const { find } = compileFrom(
    t,
    '16777216,16777471,13335,"Cloudflare, Inc."\n1.0.4.0,1.0.7.255,38803,Gtelecom Pty Ltd\r\n',
    '2001::,2001::ffff:ffff:ffff:ffff:ffff:ffff,6939,Hurricane Electric LLC\n2001:4:112::,2001:4:112:ffff::,112,\n',
  )
  const cloudflare = { asn: 13335, isp: 'Cloudflare, Inc.' }
  assert.deepEqual(find('1.0.0.0'), cloudflare)
  assert.deepEqual(find('1.0.0.255'), cloudflare)
  assert.deepEqual(find('1.0.4.9'), { asn: 38803, isp: 'Gtelecom Pty Ltd' })
  assert.equal(find('0.255.255.255'), undefined)
  assert.equal(find('1.0.1.0'), undefined)
  assert.equal(find('255.255.255.255'), undefined)
  assert.deepEqual(find('2001:0:ffff::1'), { asn: 6939, isp: 'Hurricane Electric LLC' })
  assert.deepEqual(find('2001:4:112:ffff::'), { asn: 112 })
  assert.equal(find('2001:4:112:ffff::1'), undefined)
  assert.equal(find('::1'), undefined)
})

test('leaves out lines that cannot be read and ranges that overlap the one before', (t) => {
  const lines = [
    'nonsense',
    '10,5,1,Reversed',
    '100,200,1,One',
    '150,300,2,Overlapping',
    '301,400,3,"Said ""Three"""',
    '',
  ]
  const { find } = compileFrom(t, lines.join('\n'), '1.2.3.4,1.2.3.5,4,Wrong family\n')
  assert.equal(find('0.0.0.7'), undefined)
  assert.deepEqual(find('0.0.0.160'), { asn: 1, isp: 'One' })
  assert.equal(find('0.0.0.250'), undefined)
  assert.deepEqual(find('0.0.1.80'), { asn: 3, isp: 'Said "Three"' })
})

test('makes the table once per release of its sources, and again when it was cut off', (t) => {
  const folder = withTempDir(t)
  const sources = { ipv4: join(folder, 'a.csv'), ipv6: join(folder, 'b.csv') }
  const target = join(folder, 'asn.bin')
  writeFileSync(sources.ipv4, '1,2,3,Three\n')
  writeFileSync(sources.ipv6, '')
  assert.equal(compileAsnDatabase(sources, target), 'compiled')
  assert.equal(compileAsnDatabase(sources, target), 'current')
  writeFileSync(sources.ipv4, '1,2,3,Three\n4,5,6,Six\n')
  assert.equal(compileAsnDatabase(sources, target), 'compiled')
  truncateSync(target, 60)
  assert.equal(asnArraysOf(readFileSync(target)), undefined)
  assert.equal(compileAsnDatabase(sources, target), 'compiled')
  assert.deepEqual(readdirSync(folder).sort(), ['a.csv', 'asn.bin', 'b.csv'])
})

test('a source that cannot be read leaves the table as it is', (t) => {
  const folder = withTempDir(t)
  const target = join(folder, 'asn.bin')
  mkdirSync(join(folder, 'b.csv'))
  writeFileSync(join(folder, 'a.csv'), '1,2,3,Three\n')
  assert.throws(() => compileAsnDatabase({ ipv4: join(folder, 'a.csv'), ipv6: join(folder, 'b.csv') }, target))
  assert.equal(existsSync(target), false)
})

test('answers as a walk over all ranges does', (t) => {
  const starts = fc.sample(fc.uniqueArray(fc.nat(4_000), { minLength: 50, maxLength: 50 }), { numRuns: 1, seed: 7 })[0]!
  const ranges = starts.sort((a, b) => a - b).map((start, index) => [start, Math.min(start + 40, (starts[index + 1] ?? 1e6) - 1)] as const) // prettier-ignore
  const { find } = compileFrom(
    t,
    ranges.map(([first, last], index) => `${first},${last},${index + 1},AS${index}`).join('\n'),
    '',
  )
  for (let address = 0; address < 4_100; address += 1) {
    const index = ranges.findIndex(([first, last]) => first <= address && address <= last)
    assert.equal(find(`0.0.${address >> 8}.${address & 255}`)?.asn, index < 0 ? undefined : index + 1)
  }
})
