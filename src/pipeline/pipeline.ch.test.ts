import assert from 'node:assert/strict'
import { test } from 'node:test'

import { newClickId, newUuidV7, type ClickId } from '#platform/ids'
import { refusalReasons } from '#records'

import { takeOver } from './positions.ts'
import {
  clickWith,
  endpoint,
  eventWith,
  nextMs,
  offerWith,
  PARTITION,
  postbackWith,
  snapshotWith,
  withInstallation,
} from './test-installation.ts'

const given = '3f2504e0-4f89-41d3-9a0c-0305e82c3301' as ClickId

test('a click, its events and its conversion arrive in facts, conversions, ledger and deliveries', async (t) => {
  const w = await withInstallation(t)
  const click = clickWith({ sub1: 'banner', country: 'TR' })
  await w.append(
    click,
    eventWith(click.click_id, 'open'),
    eventWith(click.click_id, 'reg', { txid: 'U1' }),
    eventWith(click.click_id, 'deposit', { txid: 'D1', amount_micros: 25_000_000, currency: 'USD' }),
  )
  await w.drain()
  assert.equal(await w.countFacts(`SELECT count() FROM clicks WHERE sub1 = 'banner' AND is_unique_offer`), 1)
  assert.equal(
    await w.countFacts(`SELECT count() FROM events WHERE sub1 = 'banner' AND country = 'TR' AND refusal = ''`),
    3,
  )
  assert.equal(
    await w.countFacts(`SELECT sum(payout_micros * sign) FROM conversions WHERE sub1 = 'banner'`),
    44_000_000,
  )
  assert.deepEqual(
    await w.row(
      `SELECT count(*) AS conversions, sum(payout_micros)::bigint AS payout,
      sum(sale_amount_micros)::bigint AS sales FROM conversions WHERE click_id = $1`,
      [click.click_id],
    ),
    { conversions: 2n, payout: 44_000_000n, sales: 25_000_000n },
  )
  assert.deepEqual(
    await w.row(`SELECT -sum(amount_micros)::bigint AS held FROM ledger_entries JOIN ledger_accounts USING (account_id)
      WHERE owner = 'affiliate' AND affiliate_id = 'ann' AND kind = 'hold'`),
    { held: 44_000_000n },
  )
  assert.deepEqual(await w.row('SELECT count(*) AS deliveries FROM deliveries'), { deliveries: 2n })
})

test('clicks that were taken are told to an endpoint that listens to them, once, with the position', async (t) => {
  const w = await withInstallation(t)
  const listening = { ...endpoint, endpoint_id: 'clicks', triggers: ['click'] as const }
  w.snapshot = snapshotWith({ endpoints: [endpoint, listening] })
  const click = clickWith()
  const refused = clickWith({ outcome: 'fallback' })
  const preview = clickWith({ class: 'preview' })
  await w.append(click, refused, preview)
  await w.drain()
  assert.deepEqual(await w.row('SELECT count(*) AS n, min(cause) AS cause, min(url) AS url FROM deliveries'), {
    n: 1n,
    cause: 'click',
    url: `https://tracker.example/?c=${click.click_id}&s=click`,
  })
  await w.append(click)
  await w.drain()
  assert.deepEqual(await w.row('SELECT count(*) AS n FROM deliveries'), { n: 1n })
})

test('a repeated event is neither stored nor converted again, and is counted', async (t) => {
  const w = await withInstallation(t)
  const click = clickWith()
  await w.append(
    click,
    eventWith(click.click_id, 'reg'),
    eventWith(click.click_id, 'reg'),
    eventWith(click.click_id, 'open'),
  )
  await w.append(eventWith(click.click_id, 'open'))
  await w.drain()
  assert.equal(await w.countFacts('SELECT count() FROM events'), 2)
  assert.deepEqual(await w.row('SELECT count(*) AS n FROM conversions'), { n: 1n })
  assert.deepEqual(await w.row('SELECT clicks, events, duplicate_events FROM pipeline_counters'), {
    clicks: 1n,
    events: 2n,
    duplicate_events: 2n,
  })
})

test('a click id that came with the link counts once, whoever made it', async (t) => {
  const w = await withInstallation(t)
  const ours = clickWith()
  await w.append(
    ours,
    clickWith({ click_id: ours.click_id }),
    clickWith({ click_id: given }),
    clickWith({ click_id: given }),
  )
  await w.drain()
  assert.equal(await w.countFacts('SELECT count() FROM clicks'), 2)
  assert.equal(await w.countFacts('SELECT uniqExact(click_id) FROM clicks'), 2)
  assert.deepEqual(await w.row('SELECT clicks, duplicate_clicks FROM pipeline_counters'), {
    clicks: 2n,
    duplicate_clicks: 2n,
  })
})

test('a visitor is unique once per campaign and offer until the time is over, by cookie or by address and user agent', async (t) => {
  const w = await withInstallation(t)
  const at = Date.UTC(2026, 6, 1)
  const cookie = (changes: object = {}) => clickWith({ at, visitor_code: 'v', ...changes })
  const { visitor_code: _, ...bare } = clickWith({ at })
  await w.append(
    cookie(),
    cookie({ at: at + 1 }),
    cookie({ at: at + 24 * 3_600_000 + 1 }),
    bare,
    { ...bare, click_id: newClickId(at), at: at + 2 },
    { ...bare, click_id: newClickId(at), at: at + 3, user_agent: 'another' },
    cookie({ class: 'head', at: at + 48 * 3_600_000 + 2 }),
    cookie({ visitor_code: 'reader', outcome: 'shown' }),
    cookie({ visitor_code: 'reader', outcome: 'shown', at: at + 1 }),
  )
  await w.drain()
  assert.equal(await w.countFacts(`SELECT countIf(is_unique_campaign) FROM clicks WHERE visitor_code = 'v'`), 2)
  assert.equal(await w.countFacts(`SELECT countIf(is_unique_campaign) FROM clicks WHERE visitor_code = 'reader'`), 1)
  assert.equal(await w.countFacts(`SELECT countIf(is_unique_offer) FROM clicks WHERE visitor_code = ''`), 2)
})

test('a visitor whose browser keeps no cookie is unique once, and one who comes again with theirs is not', async (t) => {
  const w = await withInstallation(t)
  const at = Date.UTC(2026, 6, 1)
  const visit = (ms: number, changes: object = {}) =>
    clickWith({ click_id: newClickId(at + ms), at: at + ms, visitor_code: newUuidV7(at + ms), ...changes })
  const first = visit(0, { sub1: 'first' })
  const other = visit(2, { sub1: 'other', user_agent: 'another' })
  await w.append(
    first,
    visit(1, { sub1: 'no cookie' }),
    other,
    visit(3, { sub1: 'with cookie', visitor_code: first.visitor_code, ip: '203.0.113.99' }),
    visit(4, { sub1: 'code of the link', visitor_code: newUuidV7(at - 1) }),
  )
  await w.drain()
  for (const [name, isUnique] of [
    ['first', 1],
    ['no cookie', 0],
    ['other', 1],
    ['with cookie', 0],
    ['code of the link', 1],
  ] as const)
    assert.equal(
      await w.countFacts(`SELECT count() FROM clicks WHERE sub1 = '${name}' AND is_unique_campaign`),
      isUnique,
      name,
    )
})

test('a visitor is unique anywhere once, whichever campaign or advertiser saw them, for as long as that remembers visitors', async (t) => {
  const w = await withInstallation(t)
  w.snapshot = snapshotWith({ offers: [offerWith(), offerWith({ offer_id: 'short', unique_ttl_hours: 1 })] })
  const at = Date.UTC(2026, 6, 1)
  const hour = 3_600_000
  const visit = (ms: number, sub1: string, changes: object = {}) =>
    clickWith({ click_id: newClickId(at + ms), at: at + ms, visitor_code: 'v', sub1, ...changes })
  await w.append(
    visit(0, 'first'),
    visit(1, 'other campaign', { campaign_id: 'autumn' }),
    visit(2, 'offer', { campaign_id: undefined, offer_id: 'short' }),
    visit(24 * hour + 1, 'after a day', { campaign_id: undefined, offer_id: 'short' }),
    visit(25 * hour, 'within the hour of the offer', { campaign_id: 'autumn' }),
    visit(25 * hour + 2, 'past it', { campaign_id: 'autumn' }),
    visit(90 * hour, 'head', { class: 'head' }),
  )
  await w.drain()
  const answer = await w.facts.query({
    query: 'SELECT sub1 FROM clicks WHERE is_unique_global ORDER BY at',
    format: 'JSONCompactEachRow',
  })
  assert.deepEqual((await answer.json<[string]>()).flat(), ['first', 'after a day', 'past it'])
})

test('an event waits for its click where that stands further on in another partition', async (t) => {
  const w = await withInstallation(t)
  const click = clickWith()
  await w.append(eventWith(click.click_id, 'reg'))
  const other = await w.log.openWriter('edge-1')
  t.after(() => other.close())
  const { encodeRecord } = await import('#records')
  await other.append(encodeRecord(click))
  await w.drain()
  assert.equal(await w.countFacts(`SELECT count() FROM events WHERE refusal = ''`), 1)
})

const refusedEvents = [
  ['click_unknown', (clickId: ClickId) => eventWith(newClickId(nextMs()), 'reg', { site: clickId })],
  ['type_unknown', (clickId: ClickId) => eventWith(clickId, 'kyc')],
  ['field_invalid', (clickId: ClickId) => eventWith(clickId, 'reg', { refusal: 'field_invalid', raw: '{}' })],
] as const
for (const [reason, make] of refusedEvents)
  test(`an event refused as ${reason} is kept with its reason and holds no identity`, async (t) => {
    assert.ok(reason in refusalReasons)
    const w = await withInstallation(t)
    const click = clickWith()
    const event = make(click.click_id)
    await w.append(click, event, event)
    await w.drain()
    assert.equal(await w.countFacts(`SELECT count() FROM events WHERE refusal = '${reason}'`), 2)
    assert.deepEqual(await w.row('SELECT count(*) AS n FROM conversions'), { n: 0n })
  })

test('a sale of unknown size is kept as amount_missing and does not stand in the way of the same one with its amount', async (t) => {
  const w = await withInstallation(t)
  const price = {
    type: 'sale',
    payout_micros: 0,
    revenue_micros: 0,
    payout_share_bp: 3_000,
    status: 'approved',
  } as const
  w.snapshot = snapshotWith({ offers: [offerWith({ model: 'revshare', prices: [price] })] })
  const click = clickWith()
  const sale = (more = {}) => eventWith(click.click_id, 'deposit', { txid: 'T', ...more })
  await w.append(
    click,
    sale(),
    postbackWith(click.click_id, { raw_status: 'sale', txid: 'T' }),
    sale({ amount_micros: 100_000_000 }),
  )
  await w.drain()
  assert.equal(await w.countFacts(`SELECT count() FROM events WHERE refusal = 'amount_missing'`), 1)
  assert.equal(await w.countFacts(`SELECT count() FROM events WHERE refusal = ''`), 1)
  assert.deepEqual(await w.row('SELECT outcome, reason FROM inbound_postbacks'), {
    outcome: 'refused',
    reason: 'amount_missing',
  })
  assert.deepEqual(await w.row('SELECT txid, payout_micros FROM conversions'), {
    txid: 'T',
    payout_micros: 30_000_000n,
  })
})

test('inbound postbacks are kept with their outcome, and a status changes the conversion', async (t) => {
  const w = await withInstallation(t)
  const click = clickWith()
  await w.append(
    click,
    postbackWith(click.click_id, { raw_status: 'Lead', txid: 'L' }),
    postbackWith(click.click_id, { raw_status: 'approved', txid: 'L' }),
    postbackWith(click.click_id, { raw_status: 'approved', txid: 'L' }),
    postbackWith(click.click_id, { raw_status: 'weird' }),
    postbackWith(newClickId(nextMs()), { raw_status: 'lead' }),
  )
  await w.drain()
  const { rows } = await w.pool.query<{ outcome: string; reason: string | null }>(
    'SELECT outcome, reason FROM inbound_postbacks ORDER BY postback_id',
  )
  assert.deepEqual(
    rows.map(({ outcome, reason }) => reason ?? outcome),
    ['converted', 'updated', 'duplicate', 'status_unmapped', 'click_unknown'],
  )
  assert.deepEqual(await w.row('SELECT status, raw_status, revision FROM conversions'), {
    status: 'approved',
    raw_status: 'approved',
    revision: 2,
  })
  assert.equal(await w.countFacts('SELECT sum(sign) FROM conversions'), 1)
  assert.equal(await w.countFacts(`SELECT sum(sign) FROM conversions WHERE status = 'approved'`), 1)
})

test('a signed postback that is received twice is refused as a replay', async (t) => {
  const w = await withInstallation(t)
  const click = clickWith()
  const signed = { raw_status: 'lead', signature_digest: 'ab'.repeat(32) }
  await w.append(
    click,
    postbackWith(click.click_id, signed),
    postbackWith(click.click_id, { ...signed, txid: 'other' }),
  )
  await w.drain()
  assert.deepEqual(await w.row(`SELECT count(*) AS n FROM inbound_postbacks WHERE reason = 'signature_replayed'`), {
    n: 1n,
  })
  assert.deepEqual(await w.row('SELECT count(*) AS n FROM conversions'), { n: 1n })
})

test('the zero character, half surrogates and control characters of a visitor stop nothing', async (t) => {
  const w = await withInstallation(t)
  const click = clickWith({ sub1: 'a\0b', sub2: '\ud800x', sub3: 'line\nbreak\u001b', sub2_keys: { 'k\0': '\udfff' } })
  await w.append(
    click,
    eventWith(click.click_id, 'reg', { txid: 'T\0' }),
    postbackWith(click.click_id, { raw_status: 'sale\0', raw: '\ud800\0' }),
    postbackWith(click.click_id, { raw_status: 'sale' }),
  )
  await w.drain()
  assert.equal(
    await w.countFacts(`SELECT count() FROM clicks WHERE sub1 = 'a\uFFFDb' AND sub3 = 'line\\nbreak\\x1b'`),
    1,
  )
  assert.deepEqual(await w.row('SELECT count(*) AS n FROM conversions'), { n: 2n })
})

test('bytes that are no record are counted and nothing else is lost', async (t) => {
  const w = await withInstallation(t)
  await w.append(clickWith())
  await w.writer.append(Buffer.from('C{"kind":"click","click_id":"nonsense"}'))
  await w.writer.append(Buffer.from('Xwhatever'))
  await w.append(clickWith(), clickWith({ asn: -1 }))
  await w.drain()
  assert.equal(await w.countFacts('SELECT count() FROM clicks'), 2)
  assert.deepEqual(await w.row('SELECT clicks, undecodable FROM pipeline_counters'), { clicks: 2n, undecodable: 3n })
})

test('clicks are known by id although PostgreSQL is away', async (t) => {
  const w = await withInstallation(t)
  const away = { connect: () => Promise.reject(new Error('away')), query: () => Promise.reject(new Error('away')) }
  const pipeline = await w.start({ pool: away as never })
  const click = clickWith()
  await w.append(click)
  while (w.hotState.getClick(click.click_id) === undefined) await w.log.waitForAppend(5)
  await pipeline.stop()
  assert.equal(await w.countFacts('SELECT count() FROM clicks'), 0)
})

test('a custom event counts once the offer declares it, and it comes again', async (t) => {
  const w = await withInstallation(t)
  const click = clickWith()
  const kyc = eventWith(click.click_id, 'kyc')
  await w.append(click, kyc)
  await w.drain()
  w.snapshot = snapshotWith({ offers: [offerWith({ custom_events: ['kyc'], event_map: { kyc: 'lead' } })] })
  await w.append(kyc)
  await w.drain()
  assert.deepEqual(await w.row('SELECT goal, goal_key FROM conversions'), { goal: 'kyc', goal_key: 'kyc' })
})

test('who took a partition over is not disturbed by the one before', async (t) => {
  const w = await withInstallation(t)
  const zombie = await w.start()
  await w.append(clickWith())
  await zombie.drained()
  await takeOver(w.pool, 'pipeline', PARTITION)
  await w.append(clickWith())
  while (zombie.fencedPartitions().length === 0) await w.log.waitForAppend(5)
  await zombie.stop()
  assert.deepEqual(await w.row('SELECT position FROM consumer_positions WHERE consumer = $1', ['pipeline']), {
    position: 1n,
  })
  assert.equal(await w.countFacts('SELECT count() FROM clicks'), 1)
  await w.drain()
  assert.equal(await w.countFacts('SELECT count() FROM clicks'), 2)
})
