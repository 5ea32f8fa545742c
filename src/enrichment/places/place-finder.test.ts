import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ipaddr from 'ipaddr.js'
import { withTempDir } from '#test-kit'
import { needsSharedData, readNetworks, sharedFile } from '../shared-data.ts'
import { parseAddress } from './address.ts'
import { compileAsnDatabase } from './compile-asn.ts'
import { MmdbFile } from './mmdb-file.ts'
import { PlaceFinder } from './place-finder.ts'

const mmdb = (name: string): string => fileURLToPath(sharedFile(`geoip/${name}.mmdb`))

const finderOf = (...names: string[]): PlaceFinder =>
  new PlaceFinder({ geoFiles: names.map((name) => ({ path: mmdb(name), addresses: 'all' })) })

/** First and last address of a network; `::1.2.0.0/112` is how MaxMind writes 1.2.0.0/16 in a tree of IPv6. */
function edgesOf(network: string): readonly string[] {
  const [address, bits] = ipaddr.parseCIDR(network)
  const bytes = address.toByteArray()
  const last = bytes.map((byte, index) => byte | (0xff >> Math.min(8, Math.max(0, bits - index * 8))))
  const isIpv4InIpv6 = bytes.length === 16 && bytes.slice(0, 12).every((byte) => byte === 0)
  return [bytes, last].map((edge) => ipaddr.fromByteArray(isIpv4InIpv6 ? edge.slice(12) : edge).toString())
}

type NestedRecord = {
  readonly country?: { readonly iso_code: string }
  readonly subdivisions?: readonly { readonly names: { readonly en: string } }[]
  readonly city?: { readonly names?: { readonly en?: string } }
}
type AsnRecord = { readonly autonomous_system_number: number; readonly autonomous_system_organization?: string }

describe('every record of the public test databases', needsSharedData, () => {
  test('GeoLite2-City: country, region and city', () => {
    const finder = finderOf('GeoLite2-City-Test')
    const networks = readNetworks<NestedRecord>('GeoLite2-City-Test')
    assert.equal(networks.length, 242)
    for (const [network, record] of networks) {
      for (const address of edgesOf(network)) {
        const { country, region, city } = finder.find(parseAddress(address)!)
        const expected = [record.country?.iso_code, record.subdivisions?.[0]?.names.en, record.city?.names?.en]
        assert.deepEqual([country, region, city], expected, `${network} ${address}`)
      }
    }
  })

  test('GeoLite2-ASN: number and organisation', () => {
    const finder = finderOf('GeoLite2-ASN-Test')
    for (const [network, record] of readNetworks<AsnRecord>('GeoLite2-ASN-Test')) {
      for (const address of edgesOf(network)) {
        const { asn, isp } = finder.find(parseAddress(address)!)
        const expected = [record.autonomous_system_number, record.autonomous_system_organization]
        assert.deepEqual([asn, isp], expected, `${network} ${address}`)
      }
    }
  })

  test('GeoIP2-Anonymous-IP: proxies and hosting', () => {
    const finder = finderOf('GeoIP2-Anonymous-IP-Test')
    for (const [network, record] of readNetworks<Readonly<Record<string, true>>>('GeoIP2-Anonymous-IP-Test')) {
      const isProxy = ['vpn', 'proxy', 'tor'].some((kind) => Object.keys(record).some((flag) => flag.includes(kind)))
      const expected = {
        ...(isProxy && { is_proxy: true }),
        ...(record['is_hosting_provider'] && { is_hosting: true }),
      }
      for (const address of edgesOf(network)) {
        assert.deepEqual(finder.find(parseAddress(address)!), expected, `${network} ${address}`)
      }
    }
  })
})

describe('several files at once', needsSharedData, () => {
  test('each gives what it knows', () => {
    const finder = finderOf(
      'GeoIP2-ISP-Test',
      'GeoIP2-Anonymous-IP-Test',
      'GeoLite2-City-Test',
      'GeoIP2-Connection-Type-Test',
    )
    assert.deepEqual(finder.find(parseAddress('81.2.69.160')!), {
      country: 'GB', region: 'England', city: 'London',
      ...finderOf('GeoIP2-ISP-Test').find(parseAddress('81.2.69.160')!),
      is_proxy: true, is_hosting: true,
    }) // prettier-ignore
    assert.equal(finder.find(parseAddress('1.128.0.1')!).isp, 'Telstra Internet')
  })

  test('an IPv4 address inside an IPv6 one is found as IPv4', () => {
    const finder = finderOf('GeoLite2-City-Test')
    assert.deepEqual(finder.find(parseAddress('::ffff:81.2.69.160')!), finder.find(parseAddress('81.2.69.160')!))
  })

  test('a file for IPv6 alone is not read before the first IPv6 address', () => {
    const file = new MmdbFile(mmdb('GeoLite2-City-Test'), 'ipv6')
    assert.equal(file.find(parseAddress('81.2.69.160')!), undefined)
    assert.equal(file.isOpen, false)
    assert.notEqual(file.find(parseAddress('2001:218::1')!), undefined)
    assert.equal(file.isOpen, true)
  })
})

test('nothing is said of private, loopback and link-local addresses, whatever the files say', (t) => {
  const folder = withTempDir(t)
  const sources = { ipv4: join(folder, '4.csv'), ipv6: join(folder, '6.csv') }
  writeFileSync(sources.ipv4, '0.0.0.0,255.255.255.255,1,All\n')
  writeFileSync(sources.ipv6, '::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,1,All\n')
  const asnFile = join(folder, 'asn.bin')
  compileAsnDatabase(sources, asnFile)
  const finder = new PlaceFinder({ geoFiles: [], asnFile })
  const found = (text: string): number | undefined => finder.find(parseAddress(text)!).asn
  for (const text of ['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '169.254.1.1', '172.31.0.1', '192.168.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', 'fe80::1', 'fd00::1', 'ff02::1', '::ffff:10.0.0.1'])
    assert.equal(found(text), undefined, text) // prettier-ignore
  for (const text of [
    '11.0.0.1',
    '100.63.255.255',
    '100.128.0.1',
    '172.32.0.1',
    '192.169.0.1',
    '169.253.0.1',
    '2001:db8::1',
  ])
    assert.equal(found(text), 1, text)
})

test('a file that is missing or no mmdb file stops the start with its name', () => {
  for (const path of ['/nowhere/city.mmdb', fileURLToPath(import.meta.url)]) {
    assert.throws(() => new PlaceFinder({ geoFiles: [{ path, addresses: 'all' }] }), {
      code: 'environment_invalid',
      message: new RegExp(path.replaceAll('.', '\\.')),
    })
  }
})
