import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { changeStatus, correctAmounts } from '#conversions'
import { newClickId } from '#platform/ids'
import {
  clickWith,
  eventWith,
  nextMs,
  PARTITION,
  postbackWith,
  withInstallation,
  type TestInstallation,
} from '#pipeline/test-installation'

import { parseAcknowledged } from './compare-acknowledged.ts'
import { reconcile, type Reconciliation } from './reconcile.ts'

/** Traffic of every kind: clicks, repeats, events, refusals, postbacks, a change by hand; all of it drained. */
async function withTraffic(t: TestContext): Promise<TestInstallation> {
  const w = await withInstallation(t)
  const click = clickWith()
  const given = clickWith({ click_id: newClickId(nextMs() - 5_000) })
  await w.append(
    click,
    given,
    clickWith({ click_id: given.click_id }),
    clickWith({ class: 'head' }),
    eventWith(click.click_id, 'open'),
    eventWith(click.click_id, 'open'),
    eventWith(click.click_id, 'reg', { txid: 'U' }),
    eventWith(given.click_id, 'deposit', { amount_micros: 7_000_000 }),
    eventWith(newClickId(nextMs()), 'reg'),
    postbackWith(click.click_id, { raw_status: 'approved', txid: 'U' }),
    postbackWith(click.click_id, { raw_status: 'what' }),
  )
  await w.writer.append(Buffer.from('no record'))
  await w.drain()
  const { id } = await w.row<{ id: string }>(`SELECT conversion_id AS id FROM conversions WHERE type = 'sale'`)
  await changeStatus(w.pool, w.snapshot, { conversionId: id, status: 'rejected', by: 'test', at: nextMs() })
  await w.drain()
  return w
}

const run = ({ log, pool, facts }: TestInstallation, waitMsMax = 0): Promise<Reconciliation> =>
  reconcile({ log, pool, facts, waitMsMax })

const wrong = ({ checks }: Reconciliation): readonly string[] => [
  ...new Set(checks.filter(({ isBalanced }) => !isBalanced).map(({ check }) => check)),
]

test('everything agrees after traffic of every kind', async (t) => {
  const w = await withTraffic(t)
  const result = await run(w)
  assert.deepEqual(wrong(result), [])
  assert.equal(result.verdict, 'balanced')
  const found = new Map(result.checks.map(({ check, found: number }) => [check, number]))
  assert.equal(found.get('clicks_in_facts'), '3')
  assert.equal(found.get('duplicate_clicks_counted'), '1')
  assert.equal(found.get('duplicate_events_counted'), '1')
  assert.equal(found.get('undecodable_counted'), '1')
})

test('everything agrees after corrections by hand and repeats with another amount', async (t) => {
  const w = await withTraffic(t)
  const click = clickWith()
  const sale = (amount: number) =>
    postbackWith(click.click_id, { raw_status: 'sale', txid: 'R', amount_micros: amount, at: nextMs() })
  await w.append(click, sale(1_000_000), sale(1_000_000), sale(2_500_000))
  await w.drain()
  const lead = await w.row<{ id: string }>(`SELECT conversion_id AS id FROM conversions WHERE type = 'lead' LIMIT 1`)
  const amounts = { conversionId: lead.id, payoutMicros: 1_230_000n, revenueMicros: 4_000_000n }
  const corrected = { ...amounts, reason: 'agreed', by: 'test', at: nextMs() }
  assert.equal((await correctAmounts(w.pool, w.snapshot, corrected)).kind, 'corrected')
  assert.equal((await correctAmounts(w.pool, w.snapshot, corrected)).kind, 'refused')
  await w.drain()
  const result = await run(w)
  assert.deepEqual(wrong(result), [])
  assert.equal(result.verdict, 'balanced')
})

test('says that it is behind when the pipeline has not reached the end of the log', async (t) => {
  const w = await withTraffic(t)
  await w.append(clickWith())
  const result = await run(w, 100)
  assert.equal(result.verdict, 'behind')
  assert.deepEqual(wrong(result), [])
})

const deleteFrom = (w: TestInstallation, table: string, where: string): Promise<unknown> =>
  w.facts.command({ query: `ALTER TABLE ${table} DELETE WHERE ${where} SETTINGS mutations_sync = 1` })
const copyIn = (w: TestInstallation, table: string, replace: string): Promise<unknown> =>
  w.facts.command({
    query: `INSERT INTO ${table} SELECT * REPLACE(${replace}) FROM ${table} LIMIT 1`,
    clickhouse_settings: { insert_deduplication_token: `copy-${nextMs()}` },
  })

const damages: readonly {
  readonly name: string
  readonly damage: (w: TestInstallation) => Promise<unknown>
  readonly found: readonly string[]
}[] = [
  {
    name: 'a click that the facts have lost',
    damage: (w) => deleteFrom(w, 'clicks', 'log_offset = 0'),
    found: ['log_clicks_in_facts', 'duplicate_clicks_counted', 'clicks_in_facts'],
  },
  {
    name: 'an event that the facts have lost',
    damage: (w) => deleteFrom(w, 'events', `type = 'reg' AND refusal = ''`),
    found: ['log_events_in_facts', 'duplicate_events_counted', 'events_in_facts'],
  },
  {
    name: 'a click that the facts have twice',
    damage: (w) => copyIn(w, 'clicks', 'click_id AS click_id'),
    found: ['clicks_in_facts', 'clicks_once_in_facts'],
  },
  {
    name: 'an event that the facts have twice',
    damage: (w) => copyIn(w, 'events', 'event_id AS event_id'),
    found: ['events_in_facts', 'events_once_in_facts'],
  },
  {
    name: 'a click in the facts that the log does not have',
    damage: (w) => copyIn(w, 'clicks', 'toUInt64(7) AS log_offset'),
    found: ['facts_of_log', 'clicks_in_facts'],
  },
  {
    name: 'a revision that the facts have lost',
    damage: (w) => deleteFrom(w, 'conversions', 'revision = 2 AND sign = 1'),
    found: ['conversions_count', 'conversions_payout', 'conversions_revenue', 'conversions_sales'],
  },
  {
    name: 'a revision that the facts have twice',
    damage: (w) => copyIn(w, 'conversions', 'sign AS sign'),
    found: ['conversions_count', 'conversions_payout', 'conversions_revenue', 'conversions_once_in_facts'],
  },
  {
    name: 'money of a conversion that was changed past its revisions',
    damage: (w) => w.pool.query(`UPDATE conversions SET payout_micros = payout_micros + 1 WHERE status = 'approved'`),
    found: ['conversion_as_last_revision', 'ledger_as_conversions'],
  },
  {
    name: 'a revision that is missing',
    damage: (w) => w.pool.query(`UPDATE conversions SET revision = revision + 1 WHERE status = 'approved'`),
    found: ['revisions_complete', 'conversion_as_last_revision'],
  },
  {
    name: 'a conversion without bookings',
    damage: async (w) => {
      await w.pool.query('ALTER TABLE ledger_entries DISABLE TRIGGER USER')
      await w.pool.query('DELETE FROM ledger_entries')
    },
    found: ['ledger_as_conversions'],
  },
  {
    name: 'a ledger transaction that does not balance',
    damage: async (w) => {
      await w.pool.query('ALTER TABLE ledger_entries DISABLE TRIGGER USER')
      await w.pool.query(
        'UPDATE ledger_entries SET amount_micros = amount_micros + 1 WHERE ctid = (SELECT min(ctid) FROM ledger_entries)',
      )
    },
    found: ['ledger_transactions_balance', 'ledger_as_conversions'],
  },
  {
    name: 'an inbound postback that was not kept',
    damage: (w) => w.pool.query(`DELETE FROM inbound_postbacks WHERE outcome = 'refused'`),
    found: ['postbacks_kept'],
  },
  {
    name: 'a batch that was skipped',
    damage: (w) => w.pool.query('UPDATE pipeline_counters SET postbacks = postbacks - 1'),
    found: ['postbacks_counted', 'counters_sum_to_position', 'postbacks_kept'],
  },
  {
    name: 'a delivery that was forgotten',
    damage: (w) => w.pool.query('DELETE FROM delivery_ready'),
    found: ['delivery_forgotten'],
  },
]
for (const { name, damage, found } of damages)
  test(`finds ${name}`, async (t) => {
    const w = await withTraffic(t)
    await damage(w)
    const result = await run(w)
    assert.equal(result.verdict, 'different')
    assert.deepEqual([...wrong(result)].sort(), [...found].sort())
  })

test('names what was lost', async (t) => {
  const w = await withTraffic(t)
  await deleteFrom(w, 'clicks', 'log_offset = 0')
  const lost = (await run(w)).checks.find(({ check }) => check === 'log_clicks_in_facts')
  assert.match(lost!.examples[0]!, /^offset 0 [0-9a-f-]{36}$/)
  assert.ok(lost!.what.startsWith(PARTITION))
})

test('compares what clients were promised', async (t) => {
  const w = await withTraffic(t)
  const { log, pool, facts } = w
  const { click_id } = await w.row<{ click_id: string }>(`SELECT click_id FROM conversions WHERE txid = 'U'`)
  const unknown = newClickId(nextMs())
  const acknowledged = parseAcknowledged(
    [
      { kind: 'click', clickId: click_id },
      { kind: 'event', clickId: click_id, type: 'reg', txid: 'U' },
      { kind: 'event', clickId: click_id, type: 'open' },
      { kind: 'postback', clickId: click_id, txid: 'U' },
      { kind: 'click', clickId: unknown },
      { kind: 'event', clickId: click_id, type: 'reg', txid: 'V' },
      { kind: 'postback', clickId: unknown, txid: 'U' },
    ]
      .map((line) => JSON.stringify(line))
      .join('\n'),
  )
  const result = await reconcile({ log, pool, facts, waitMsMax: 0, acknowledged })
  const differing = result.checks.filter(({ isBalanced }) => !isBalanced)
  assert.deepEqual(
    differing.map(({ check, expected, found }) => [check, expected, found]),
    [
      ['acknowledged_clicks', '2', '1'],
      ['acknowledged_events', '3', '2'],
      ['acknowledged_postbacks', '2', '1'],
    ],
  )
  assert.deepEqual(differing[0]!.examples, [unknown])
})

test('a line that promises nothing is named', () => {
  assert.throws(() => parseAcknowledged('{"kind":"click","clickId":"a"}\n{"kind":"wish"}'), /line 2/)
})

test('agrees while traffic comes in and the pipeline runs', async (t) => {
  const w = await withTraffic(t)
  const pipeline = await w.start()
  const click = clickWith()
  await w.append(click)
  const traffic = (async () => {
    for (let count = 0; count < 40; count++)
      await w.append(clickWith(), eventWith(click.click_id, 'reg', { txid: `T${count}` }))
  })()
  const results = [await run(w, 10_000), await run(w, 10_000)]
  await traffic
  await pipeline.drained()
  results.push(await run(w, 10_000))
  assert.deepEqual(results.map(wrong), [[], [], []])
})
