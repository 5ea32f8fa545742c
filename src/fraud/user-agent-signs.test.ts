import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  areHintsMissing,
  isAutomation,
  isBrandMismatch,
  isMobileMismatch,
  isPlatformMismatch,
} from './user-agent-signs.ts'

const chromium = (version: number, brand: string): string =>
  `"Chromium";v="${version}", "${brand}";v="${version}", "Not_A Brand";v="99"`
const windows = (rest: string): string => `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${rest}`
const WEBKIT = 'AppleWebKit/537.36 (KHTML, like Gecko)'

/** Browsers as they are, with the hints that they send. */
const browsers: Record<string, readonly [string, { brands?: string; mobile?: string; platform?: string }]> = {
  'Chrome, Windows': [
    windows(`${WEBKIT} Chrome/142.0.0.0 Safari/537.36`),
    { brands: chromium(142, 'Google Chrome'), mobile: '?0', platform: '"Windows"' },
  ],
  'Chrome, macOS': [
    `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`,
    { brands: chromium(142, 'Google Chrome'), mobile: '?0', platform: '"macOS"' },
  ],
  'Chrome, Android phone': [
    `Mozilla/5.0 (Linux; Android 10; K) ${WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36`,
    { brands: chromium(142, 'Google Chrome'), mobile: '?1', platform: '"Android"' },
  ],
  'Chrome, Android tablet': [
    `Mozilla/5.0 (Linux; Android 10; K) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`,
    { brands: chromium(142, 'Google Chrome'), mobile: '?0', platform: '"Android"' },
  ],
  'Chrome, Android, desktop page asked for': [
    `Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`,
    { brands: chromium(142, 'Google Chrome'), mobile: '?0', platform: '"Linux"' },
  ],
  'Edge, Windows': [
    windows(`${WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0`),
    { brands: chromium(142, 'Microsoft Edge'), mobile: '?0', platform: '"Windows"' },
  ],
  'Opera, whose own version differs': [
    windows(`${WEBKIT} Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0`),
    { brands: '"Chromium";v="140", "Opera";v="124"', mobile: '?0', platform: '"Windows"' },
  ],
  'Chrome OS': [
    `Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`,
    { brands: chromium(142, 'Google Chrome'), mobile: '?0', platform: '"Chrome OS"' },
  ],
  'a web view of Android': [
    `Mozilla/5.0 (Linux; Android 14; SM-S911B; wv) ${WEBKIT} Version/4.0 Chrome/142.0.0.0 Mobile Safari/537.36`,
    { brands: chromium(142, 'Android WebView'), mobile: '?1', platform: '"Android"' },
  ],
  'Safari, iPhone': [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
    {},
  ],
  'Chrome, iPhone': [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1',
    {},
  ],
  'Firefox, Windows': [windows('rv:145.0) Gecko/20100101 Firefox/145.0'), {}],
  'an old web view without hints': [
    `Mozilla/5.0 (Linux; Android 9; wv) ${WEBKIT} Version/4.0 Chrome/95.0.0.0 Mobile Safari/537.36`,
    {},
  ],
}

for (const [name, [agent, hints]] of Object.entries(browsers)) {
  test(`${name} agrees with itself`, () => {
    const signs = [isPlatformMismatch, isMobileMismatch, isBrandMismatch, areHintsMissing].filter((sign) =>
      sign(agent, hints),
    )
    assert.deepEqual(signs.map((sign) => sign.name), []) // prettier-ignore
    assert.equal(isAutomation(agent, hints.brands), false)
  })
}

const [chromeWindows, hintsWindows] = browsers['Chrome, Windows']!
const [safari] = browsers['Safari, iPhone']!
const [chromePhone] = browsers['Chrome, Android phone']!
const [firefox] = browsers['Firefox, Windows']!

test('hints of a desktop with the user agent of a phone are of another system and no phone', () => {
  assert.ok(isPlatformMismatch(chromePhone, hintsWindows))
  assert.ok(isMobileMismatch(chromePhone, hintsWindows))
  assert.ok(isPlatformMismatch(chromePhone, { platform: '"Linux"' }), 'Android is not Linux to Chrome')
})

test('hints with a user agent of Safari, Firefox or another version of Chrome are of another browser', () => {
  assert.ok(isBrandMismatch(safari, hintsWindows))
  assert.ok(isBrandMismatch(firefox, hintsWindows))
  assert.ok(isBrandMismatch(chromeWindows, { brands: chromium(120, 'Google Chrome') }))
})

test('a hint that nobody knows says nothing', () => {
  assert.equal(isPlatformMismatch(chromeWindows, { platform: '"Fuchsia"' }), false)
  assert.equal(isPlatformMismatch(chromeWindows, { platform: 'toString' }), false)
  assert.equal(isMobileMismatch(chromeWindows, { mobile: 'yes' }), false)
  assert.equal(isBrandMismatch(chromeWindows, { brands: '"Something";v="1"' }), false)
})

test('Chrome that sends hints by itself and did not is noticed', () => {
  assert.ok(areHintsMissing(chromeWindows, {}))
  assert.ok(areHintsMissing(chromePhone, {}))
})

for (const agent of [
  windows(`${WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36`),
  'Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1',
  windows(`${WEBKIT} Chrome/142.0.0.0 Safari/537.36 Puppeteer`),
  'Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/22.1.0',
]) {
  test(`automation that names itself: ${agent.slice(-40)}`, () => assert.ok(isAutomation(agent, undefined)))
}
