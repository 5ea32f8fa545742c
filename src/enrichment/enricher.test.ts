import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { withTempDir } from '#test-kit'
import { firstLanguage, openEnricher } from './enricher.ts'
import { prepareGeoFiles } from './geo-files.ts'
import { needsSharedData, sharedFile } from './shared-data.ts'

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36'

/** Made once: compiling the AS table takes two seconds. */
const geoFolder = mkdtempSync(join(tmpdir(), 'waypost-geo-'))
const defaultFiles = prepareGeoFiles(geoFolder)
after(() => rmSync(geoFolder, { recursive: true }))

describe('with the default files', () => {
  const { addVisitor, describeVisitor } = openEnricher(defaultFiles)

  test('describes a visitor of either address family: place, network, device, language', () => {
    const seen = describeVisitor({ ip: '::ffff:8.8.8.8', userAgent: CHROME, acceptLanguage: 'en-US,en;q=0.9' })
    assert.deepEqual(
      { ...seen, region: '', city: '' },
      {
        ip: '8.8.8.8', country: 'US', region: '', city: '', asn: 15169, isp: 'Google LLC', is_hosting: true,
        os: 'Windows', os_version: '10', browser: 'Chrome', browser_version: '124.0.0', device_type: 'desktop',
        user_agent: CHROME, language: 'en-us',
      },
    ) // prettier-ignore
    const yandex = describeVisitor({ ip: '2a02:6b8::feed:ff', userAgent: CHROME })
    assert.deepEqual([yandex.country, yandex.asn], ['RU', 13238])
  })

  test('a browser from a data centre is a bot only where it sends no language', () => {
    const ip = '95.216.1.1'
    assert.equal(describeVisitor({ ip, userAgent: CHROME }).bot, 'datacentre')
    assert.equal(describeVisitor({ ip, userAgent: CHROME, acceptLanguage: 'de' }).bot, undefined)
    assert.equal(describeVisitor({ ip: '81.2.69.142', userAgent: CHROME }).bot, undefined)
  })

  test('says the same of a visitor in a record that has all fields already', () => {
    for (const ip of ['8.8.8.8', '95.216.1.1', '10.0.0.1', 'unknown', '2a02:6b8::feed:ff'])
      for (const userAgent of [CHROME, 'Googlebot/2.1', undefined])
        for (const acceptLanguage of ['de', '*', undefined]) {
          const visitor = { ip, userAgent, acceptLanguage, clientHints: { 'sec-ch-ua-model': '"Pixel 8"' } }
          const draft = { ip: '' }
          addVisitor(draft, visitor)
          assert.deepEqual(JSON.parse(JSON.stringify(draft)), describeVisitor(visitor))
        }
  })

  test('costs microseconds a visitor', (t) => {
    const known = { ip: '81.2.69.142', userAgent: CHROME, acceptLanguage: 'en' }
    const address = (n: number): string => `${11 + (n % 190)}.${n % 251}.${n % 253}.${n % 255}`
    const costs = {
      known: microsecondsOf(100_000, () => describeVisitor(known)),
      newAddress: microsecondsOf(10_000, (n) => describeVisitor({ ...known, ip: address(n) })),
      newUserAgent: microsecondsOf(10_000, (n) => describeVisitor({ ...known, userAgent: `${CHROME} App/${n}` })),
    }
    t.diagnostic(Object.entries(costs).map(([what, us]) => `${what}: ${us.toFixed(1)} µs`).join(', ')) // prettier-ignore
    // Measured: 1, 6 and 35 µs; the bounds are for a busy machine, and far below what a missing cache or filter costs.
    assert.ok(costs.known < 20 && costs.newAddress < 200 && costs.newUserAgent < 400)
  })
})

function microsecondsOf(count: number, work: (n: number) => unknown): number {
  const start = performance.now()
  for (let n = 0; n < count; n += 1) work(n)
  return ((performance.now() - start) * 1_000) / count
}

describe('with files of the operator', needsSharedData, () => {
  test('uses every mmdb file in the directory; a city file replaces the default one', (t) => {
    const directory = withTempDir(t)
    copyFileSync(defaultFiles.asnFile, join(directory, 'asn.bin'))
    const put = (name: string): void => copyFileSync(sharedFile(`geoip/${name}.mmdb`), join(directory, `${name}.mmdb`))
    put('GeoIP2-Anonymous-IP-Test')
    assert.equal(prepareGeoFiles(directory).geoFiles.length, 3)
    put('GeoLite2-City-Test')
    const files = prepareGeoFiles(directory)
    assert.equal(files.geoFiles.length, 2)
    const seen = openEnricher(files).describeVisitor({ ip: '81.2.69.142', userAgent: CHROME })
    assert.deepEqual([seen.country, seen.city, seen.is_proxy, seen.is_hosting], ['GB', 'London', true, true])
    assert.equal(seen.bot, undefined, 'people come through proxies')
  })
})

const bare = openEnricher({ geoFiles: [] })

test('a visitor without a user agent is a bot for that reason', () => {
  assert.equal(bare.describeVisitor({ ip: '81.2.69.142' }).bot, 'empty_user_agent')
  assert.equal(bare.describeVisitor({ ip: '81.2.69.142', userAgent: ' ' }).bot, 'empty_user_agent')
})

test('a user agent that names a robot is a bot for that reason', () => {
  assert.equal(bare.describeVisitor({ ip: '81.2.69.142', userAgent: 'Googlebot/2.1' }).bot, 'user_agent')
})

test('hints change what is remembered of a user agent', () => {
  const ask = (version: string): string | undefined =>
    bare.describeVisitor({
      ip: '81.2.69.142',
      userAgent: CHROME,
      clientHints: { 'sec-ch-ua-platform': '"Windows"', 'sec-ch-ua-platform-version': version },
    }).os_version
  assert.deepEqual([ask('"15.0.0"'), ask('"10.0.0"'), ask('"15.0.0"')], ['11', '10', '11'])
})

test('hints that are none of a browser change nothing', () => {
  const ask = (model: string | string[]): string | undefined =>
    bare.describeVisitor({ ip: '::1', userAgent: CHROME, clientHints: { 'sec-ch-ua-model': model } }).device_model
  assert.deepEqual([ask('"Pixel 8"'), ask(`"${'x'.repeat(300)}"`), ask(['"Pixel 8"']), ask('')], ['Pixel 8', undefined, undefined, undefined]) // prettier-ignore
})

test('cuts the user agent at 1 024 characters and what is no address at 45', () => {
  const seen = bare.describeVisitor({ ip: 'x'.repeat(99), userAgent: 'y'.repeat(9_999) })
  assert.deepEqual([seen.ip.length, seen.user_agent?.length], [45, 1_024])
})

test('never throws, and leaves unknown values out', () => {
  const text = fc.option(fc.string({ unit: 'binary', maxLength: 500 }), { nil: undefined })
  const headers = fc.dictionary(fc.constantFrom('sec-ch-ua', 'sec-ch-ua-model', 'sec-ch-ua-platform'), fc.string())
  const ip = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: 'binary' }))
  fc.assert(
    fc.property(ip, text, headers, text, (address, userAgent, clientHints, acceptLanguage) => {
      const seen = bare.describeVisitor({ ip: address, userAgent, clientHints, acceptLanguage })
      assert.ok(Object.values(seen).every((value) => value !== undefined))
    }),
  )
})

test('takes the first language of Accept-Language', () => {
  for (const [header, language] of [
    ['en-US,en;q=0.9', 'en-us'],
    [' tr', 'tr'],
    ['zh-Hant-TW', 'zh-hant-tw'],
    ['*', undefined],
    ['', undefined],
    [undefined, undefined],
  ] as const)
    assert.equal(firstLanguage(header), language)
})
