import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fraudLimits, type FraudSettings } from '#fraud'
import { newClickId } from '#platform/ids'
import type { Tx } from '#platform/postgres'
import type { ClickRecord } from '#records'
import { offer, snapshot } from '#routing/test-snapshots'
import { withTx } from '#test-kit'

import { decideConversions, lockByClick, openConversionScores, storeConversions } from './index.ts'
import type { Conversion, ConversionRequest, Decided } from './index.ts'

const AT = Date.UTC(2026, 5, 1)
const MINUTE_MS = 60_000
const sales = offer('o1', { hold_days: 7 })

let visits = 0
const clickOf = (parts: Partial<ClickRecord> = {}): ClickRecord => ({
  kind: 'click',
  click_id: newClickId(AT),
  at: AT,
  class: 'click',
  outcome: 'redirected',
  ip: `192.0.2.${(visits += 1)}`,
  config_version: 1,
  trace: '',
  advertiser_id: 'acme',
  offer_id: 'o1',
  affiliate_id: 'ann',
  ...parts,
})

const saleOf = (click: ClickRecord, parts: Partial<ConversionRequest> = {}): ConversionRequest => ({
  cause: 'event',
  click,
  offer: sales,
  type: 'sale',
  goal: 'sale',
  txid: undefined,
  status: undefined,
  rawStatus: undefined,
  amountMicros: undefined,
  saleAmountMicros: undefined,
  currency: undefined,
  at: click.at + 10 * MINUTE_MS,
  ...parts,
})

const config = (fraud: FraudSettings | undefined) => snapshot({ offers: [sales], ...(fraud && { fraud }) })

/** As the pipeline does it. */
async function book(
  tx: Tx,
  fraud: FraudSettings | undefined,
  requests: readonly ConversionRequest[],
): Promise<Decided> {
  const existing = await lockByClick(tx, [...new Set(requests.map(({ click }) => click.click_id))])
  const decided = decideConversions(existing, requests, await openConversionScores(tx, config(fraud), requests))
  await storeConversions(tx, decided.revisions)
  return decided
}

const quick = (): ConversionRequest => {
  const click = clickOf()
  return saleOf(click, { at: click.at + 1_000 })
}
const verdictOf = ({ revisions }: Decided): readonly [string, string | undefined, boolean] => {
  const { status, fraud, holdUntil } = revisions[0]!.after
  return [status, fraud, holdUntil !== undefined]
}

for (const [action, thresholds, expected] of [
  ['none', { mark: 90 }, ['approved', 'n60 tf.1', true]],
  ['mark', { mark: 30 }, ['approved', 'm60 tf.1', true]],
  ['hold', { hold: 60 }, ['pending', 'h60 tf.1', false]],
  ['reject', { reject: 60 }, ['rejected', 'j60 tf.1', false]],
] as const)
  test(`${action}: a conversion that came too fast is ${expected[0]} and keeps its verdict`, async (t) => {
    const tx = await withTx(t)
    const request = quick()
    assert.deepEqual(verdictOf(await book(tx, { conversion_thresholds: thresholds }, [request])), expected)
    const [stored] = (await lockByClick(tx, [request.click.click_id])) as readonly [Conversion]
    assert.deepEqual([stored.status, stored.fraud], expected.slice(0, 2))
  })

test('without settings no conversion is scored', async (t) => {
  const tx = await withTx(t)
  assert.deepEqual(verdictOf(await book(tx, undefined, [quick()])), ['approved', undefined, true])
  assert.equal(await openConversionScores(tx, config(undefined), [quick()]), undefined)
})

test('a postback does not approve what waits for a person, and may reject it', async (t) => {
  const tx = await withTx(t)
  const fraud = { conversion_thresholds: { hold: 60 } }
  const request = quick()
  await book(tx, fraud, [request])
  const say = (status: 'approved' | 'rejected') =>
    book(tx, fraud, [{ ...request, cause: 'postback', status }]).then(({ outcomes }) => outcomes[0]!)
  assert.partialDeepStrictEqual(await say('approved'), { kind: 'refused', reason: 'fraud_held' })
  assert.equal((await say('rejected')).kind, 'updated')
})

test('an event of another country than its click is a reason, a postback of an unknown one is none', async (t) => {
  const tx = await withTx(t)
  const request = saleOf(clickOf({ country: 'DE' }), { country: 'VN' })
  assert.equal(verdictOf(await book(tx, {}, [request]))[1], 'm40 cd')
  const silent = saleOf(clickOf({ country: 'DE' }), { cause: 'postback' })
  assert.equal(verdictOf(await book(tx, {}, [silent]))[1], undefined)
})

test('conversions of an address and of a device are counted over batches and within one', async (t) => {
  const tx = await withTx(t)
  const fraud = { conversions: { per_ip: 2, per_device: 1, window_hours: 1 } }
  const same = (parts: Partial<ClickRecord>) => saleOf(clickOf(parts))
  const ip = '198.51.100.7'
  const marks = async (requests: readonly ConversionRequest[]) =>
    (await book(tx, fraud, requests)).revisions.map(({ after }) => after.fraud)
  assert.deepEqual(await marks([same({ ip }), same({ ip })]), [undefined, undefined])
  assert.deepEqual(await marks([same({ ip }), same({ ip })]), ['m50 ic.3', 'm50 ic.4'])
  assert.deepEqual(await marks([same({ visitor_code: 'v' }), same({ visitor_code: 'v' })]), [undefined, 'm50 dv.2'])
})

test('a visitor who registers and then buys twice is one click of the address and of the device', async (t) => {
  const tx = await withTx(t)
  const fraud = { conversions: { per_ip: 1, per_device: 1 } }
  const click = clickOf({ visitor_code: 'honest' })
  const requests = [undefined, 'first', 'second'].map((txid, index) =>
    saleOf(click, { txid, type: index === 0 ? 'lead' : 'sale', at: AT + (index + 1) * MINUTE_MS }),
  )
  const verdicts = [
    ...(await book(tx, fraud, requests.slice(0, 2))).revisions,
    ...(await book(tx, fraud, requests.slice(2))).revisions,
  ].map(({ after }) => after.fraud)
  assert.deepEqual(verdicts, [undefined, undefined, undefined])
  const again = saleOf(clickOf({ ip: click.ip, visitor_code: 'honest' }))
  assert.equal(verdictOf(await book(tx, fraud, [again]))[1], 'm100 ic.2 dv.2')
})

test('addresses of one /64 count as one, however they are written, and those of the next do not', async (t) => {
  const tx = await withTx(t)
  const fraud = { conversions: { per_ip: 1 } }
  const markOf = async (ip: string) => verdictOf(await book(tx, fraud, [saleOf(clickOf({ ip }))]))[1]
  assert.equal(await markOf('2001:db8:0:7::1'), undefined)
  assert.equal(await markOf('2001:db8:0:8::1'), undefined)
  assert.equal(await markOf('2001:0DB8::7:aaaa:bbbb:cccc:dddd'), 'm50 ic.2')
})

test('a conversion that came a moment later and was booked before counts too', async (t) => {
  const tx = await withTx(t)
  const fraud = { conversions: { per_ip: 1 } }
  const ip = '198.51.100.10'
  const bookAt = async (at: number) => verdictOf(await book(tx, fraud, [saleOf(clickOf({ ip }), { at })]))[1]
  assert.equal(await bookAt(AT + MINUTE_MS + 1_000), undefined)
  assert.equal(await bookAt(AT + MINUTE_MS), 'm50 ic.2')
})

test('earlier conversions are counted up to the limit of counting, which is past every limit that can be set', async (t) => {
  const tx = await withTx(t)
  const { conversionsCountedMax, conversionsLimitMax } = fraudLimits
  const fraud = { conversions: { per_ip: conversionsLimitMax } }
  const ip = '198.51.100.9'
  const many = Array.from({ length: conversionsCountedMax + 5 }, () => saleOf(clickOf({ ip })))
  await book(tx, fraud, many)
  const counted = verdictOf(await book(tx, fraud, [saleOf(clickOf({ ip }))]))[1]
  // The one that is scored counts beside the earlier ones.
  assert.equal(counted, `m50 ic.${(conversionsCountedMax + 1).toString(36)}`)
})

test('conversions before the window do not count', async (t) => {
  const tx = await withTx(t)
  const fraud = { conversions: { per_ip: 1, window_hours: 1 } }
  const ip = '198.51.100.8'
  await book(tx, fraud, [saleOf(clickOf({ ip }))])
  const later = saleOf(clickOf({ ip }), { at: AT + 70 * MINUTE_MS })
  assert.equal(verdictOf(await book(tx, fraud, [later]))[1], undefined)
})

test('the same request again finds its conversion: it is neither scored nor counted a second time', async (t) => {
  const tx = await withTx(t)
  const fraud = { conversions: { per_ip: 1 } }
  const request = saleOf(clickOf({ ip: '198.51.100.9' }))
  await book(tx, fraud, [request])
  const again = await book(tx, fraud, [request])
  assert.deepEqual([again.revisions.length, again.outcomes[0]!.kind], [0, 'refused'])
  assert.equal((await lockByClick(tx, [request.click.click_id]))[0]!.fraud, undefined)
})

test('own rules read the conversion and its click', async (t) => {
  const tx = await withTx(t)
  const own = {
    name: 'slow', score: 70, at: 'conversion',
    rule: { all: [{ field: 'ctit_seconds', op: 'between', value: [300, 900] }, { field: 'sub1', op: 'is', value: 'x' }] },
  } as const // prettier-ignore
  const request = saleOf(clickOf({ sub1: 'x' }))
  assert.equal(verdictOf(await book(tx, { own_rules: [own] }, [request]))[1], 'm70 =slow.70')
  assert.equal(verdictOf(await book(tx, { own_rules: [own] }, [saleOf(clickOf())]))[1], undefined)
})
