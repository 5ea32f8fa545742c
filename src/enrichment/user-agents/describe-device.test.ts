import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { DeviceType } from '#records'
import { pickClientHints, type ClientHints } from './client-hints.ts'
import { describeDevice, PARSED_LENGTH_MAX } from './describe-device.ts'

const WINDOWS =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36'
const MAC =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36'
const PHONE =
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36'
const TABLET =
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36'

test('reads system, browser, versions, brand and model', () => {
  const userAgent = 'Mozilla/5.0 (Linux; Android 13; SM-S918B Build/TP1A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.5615.48 Mobile Safari/537.36' // prettier-ignore
  assert.deepEqual(describeDevice(userAgent, undefined), {
    isBot: false,
    device: {
      os: 'Android', os_version: '13', browser: 'Chrome Mobile', browser_version: '112.0.5615',
      device_type: 'mobile', device_brand: 'Samsung', device_model: 'SM-S918B',
    },
  }) // prettier-ignore
})

test('the placeholder model of reduced user agents is no model', () => {
  const { device } = describeDevice(PHONE, undefined)
  assert.deepEqual([device.device_brand, device.device_model], [undefined, undefined])
})

test('a bot has no brand and model', () => {
  const userAgent = 'Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)' // prettier-ignore
  const { device, isBot } = describeDevice(userAgent, undefined)
  assert.equal(isBot, true)
  assert.deepEqual(device, { os: 'Android', os_version: '6.0.1', browser: 'Googlebot', browser_version: '2.1', device_type: 'bot' }) // prettier-ignore
})

describe('device types', () => {
  const types: readonly (readonly [type: DeviceType, userAgent: string])[] = [
    ['desktop', WINDOWS],
    ['desktop', MAC],
    ['desktop', 'Mozilla/5.0 (X11; CrOS x86_64 15633.69.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0 Safari/537.36'],
    ['desktop', 'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0'],
    ['mobile', PHONE],
    ['mobile', 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1'],
    ['mobile', 'Opera/9.80 (Android; Opera Mini/36.2/119.132; U; id) Presto/2.12.423 Version/12.16'],
    ['mobile', 'Mozilla/5.0 (Mobile; Nokia 8110 4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5'],
    ['mobile', 'Mozilla/5.0 (Linux; Android 14; 23021RAA2Y; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/440.0;]'],
    ['tablet', TABLET],
    ['tablet', 'Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1'],
    ['tablet', 'Mozilla/5.0 (Linux; Android 12; SM-T870) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0 Safari/537.36'],
    ['tablet', 'Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/108.4 like Chrome/108.0 Safari/537.36'],
    ['tv', 'Mozilla/5.0 (SMART-TV; Linux; Tizen 6.5) AppleWebKit/537.36 (KHTML, like Gecko) 85.0.4183.93/6.5 TV Safari/537.36'],
    ['tv', 'Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager'],
    ['tv', 'Mozilla/5.0 (Linux; Android 11; BRAVIA 4K UR2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36'],
    ['tv', 'Mozilla/5.0 (Linux; Android 9; AFTMM Build/PS7624) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0 Mobile Safari/537.36'],
    ['console', 'Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15'],
    ['console', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0 Safari/537.36 Edge/44.18363.8131'],
    ['console', 'Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/606.4 (KHTML, like Gecko) NF/6.0.1.15.4 NintendoBrowser/5.1.0.20393'],
    ['wearable', 'atc/1.0 watchOS/5.1.3 model/Watch3,4 hwp/t8004 build/16S535 (6; dt:156)'],
    ['bot', 'curl/8.5.0'],
  ] // prettier-ignore
  for (const [type, userAgent] of types)
    test(`${type}: ${userAgent.slice(0, 70)}`, () => {
      assert.equal(describeDevice(userAgent, undefined).device.device_type, type)
    })
})

describe('client hints', () => {
  const hinted = (userAgent: string, hints: ClientHints): Record<string, unknown> =>
    describeDevice(userAgent, hints).device

  test('tell Windows 11 from 10 and name older ones', () => {
    for (const [version, expected] of [['15.0.0', '11'], ['13.0.0', '11'], ['10.0.0', '10'], ['0.3.0', '8.1'], ['0.2.0', '8'], ['0.1.0', '7']] as const) {
      const device = hinted(WINDOWS, { 'sec-ch-ua-platform': '"Windows"', 'sec-ch-ua-platform-version': `"${version}"` })
      assert.equal(device['os_version'], expected)
    } // prettier-ignore
  })

  test('give the version of Android and macOS that the user agent freezes', () => {
    const android = hinted(PHONE, { 'sec-ch-ua-platform': '"Android"', 'sec-ch-ua-platform-version': '"14.0.0"' })
    assert.deepEqual([android['os'], android['os_version']], ['Android', '14'])
    const mac = hinted(MAC, { 'sec-ch-ua-platform': '"macOS"', 'sec-ch-ua-platform-version': '"14.4.1"' })
    assert.deepEqual([mac['os'], mac['os_version']], ['Mac OS X', '14.4.1'])
  })

  test('give the model, and its brand where the model is known', () => {
    const device = hinted(PHONE, { 'sec-ch-ua-model': '"SM-S918B"' })
    assert.deepEqual([device['device_brand'], device['device_model']], ['Samsung', 'SM-S918B'])
    assert.equal(hinted(WINDOWS, { 'sec-ch-ua-model': '""' })['device_model'], undefined)
  })

  test('name the browser that hides behind Chrome, with its full version', () => {
    const brands = '"Not-A.Brand";v="99.0.0.0", "Brave";v="124.0.6367.61", "Chromium";v="124.0.6367.61"'
    const device = hinted(WINDOWS, { 'sec-ch-ua-full-version-list': brands })
    assert.deepEqual([device['browser'], device['browser_version']], ['Brave', '124.0.6367'])
    const chrome = hinted(WINDOWS, { 'sec-ch-ua-full-version-list': '"Google Chrome";v="124.0.6367.61"' })
    assert.deepEqual([chrome['browser'], chrome['browser_version']], ['Chrome', '124.0.6367'])
  })

  test('do not rename a browser that the user agent names', () => {
    const device = hinted(`${WINDOWS} Vivaldi/6.7`, { 'sec-ch-ua': '"Microsoft Edge";v="124"' })
    assert.equal(device['browser'], 'Vivaldi')
  })

  test('drop the version of a system that is not the one hinted', () => {
    const device = hinted(MAC, { 'sec-ch-ua-platform': '"Android"' })
    assert.equal(device['os'], 'Android')
    assert.equal('os_version' in device, false)
  })

  test('tell phones and tablets that ask for desktop pages', () => {
    assert.equal(hinted(MAC, { 'sec-ch-ua-mobile': '?1' })['device_type'], 'mobile')
    assert.equal(hinted(MAC, { 'sec-ch-ua-form-factors': '"Tablet"' })['device_type'], 'tablet')
  })

  test('are picked from the headers; overlong and repeated ones are passed over', () => {
    assert.deepEqual(pickClientHints({ 'sec-ch-ua-mobile': '?1', 'user-agent': 'x' }), { 'sec-ch-ua-mobile': '?1' })
    assert.equal(pickClientHints({ 'sec-ch-ua': 'x'.repeat(257), 'sec-ch-ua-model': ['a', 'b'] }), undefined)
  })
})

describe('hostile input', () => {
  const hints = fc.record(
    Object.fromEntries(['sec-ch-ua', 'sec-ch-ua-platform', 'sec-ch-ua-platform-version', 'sec-ch-ua-model', 'sec-ch-ua-full-version-list', 'sec-ch-ua-form-factors'].map((name) => [name, fc.string({ unit: 'binary', maxLength: 256 })])),
    { requiredKeys: [] },
  ) // prettier-ignore

  test('never throws', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 1_000 }), fc.constantFrom(WINDOWS, PHONE))
    fc.assert(fc.property(text, hints, (userAgent, given) => describeDevice(userAgent, given) !== undefined))
  })

  test('of 8 KiB is parsed in bounded time: no expression backtracks over more than the parsed length', () => {
    const units = [' ', 'a', '1', '; ', '(', ' Build ', 'ucweb(', '; wowmobile ', 'Mozilla/5.0 ', 'Android 1.1; ', 'bot/1.', 'Safari/1 ', 'Chrome/1.1.', 'IEMobile/', 'Windows Phone ', 'http://'] // prettier-ignore
    const texts = units.flatMap((unit) => units.map((start) => (start + unit.repeat(8_192)).slice(0, 8_192)))
    for (const text of texts) describeDevice(text, undefined) // V8 compiles an expression when it first runs.
    const slowest = Math.max(...texts.map((text) => measureMs(() => describeDevice(text, undefined))))
    // 1.5 ms measured; a tenth of a second is what a quadratic expression would take without the cut.
    assert.ok(slowest < 100, `${slowest} ms`)
  })

  test('is read up to the stated length', () => {
    const padding = ' '.repeat(PARSED_LENGTH_MAX)
    assert.equal(describeDevice(`${padding}${WINDOWS}`, undefined).device.browser, undefined)
  })
})

function measureMs(work: () => void): number {
  const start = performance.now()
  work()
  return performance.now() - start
}
