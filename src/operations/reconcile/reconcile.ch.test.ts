import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { changeStatus, correctAmounts } from '#conversions'
import { deleteImport, importCosts, NO_CLICK, readCosts } from '#costs'
import { fixedClock } from '#platform/clock'
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
import { policiesOf, runRetention } from '#retention'

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

const MONEY = ['money_as_conversions', 'money_as_ledger', 'partners_as_conversions', 'partners_as_ledger']

/** One more row of a conversion that is approved, worth so many micros. */
const plantMicro = (w: TestInstallation, micros: string, replace = ''): Promise<unknown> =>
  w.facts.command({
    query: `INSERT INTO conversions SELECT * REPLACE(0 AS payout_micros, 0 AS sale_amount_micros, toInt64(${micros}) AS revenue_micros, sign AS sign${replace})
      FROM conversions WHERE status = 'approved' AND sign = 1 LIMIT 1`,
    clickhouse_settings: { insert_deduplication_token: `plant-${nextMs()}` },
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
    found: [...['conversions_count', 'conversions_payout', 'conversions_revenue', 'conversions_sales'], ...MONEY],
  },
  {
    name: 'a revision that the facts have twice',
    damage: (w) => copyIn(w, 'conversions', 'sign AS sign'),
    found: ['conversions_count', 'conversions_payout', 'conversions_revenue', 'conversions_once_in_facts', ...MONEY],
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
    found: ['ledger_as_conversions', 'money_as_ledger', 'partners_as_ledger'],
  },
  {
    name: 'a micro in the facts that no conversion has',
    damage: (w) => plantMicro(w, '1'),
    found: ['conversions_count', 'conversions_revenue', 'conversions_once_in_facts', ...MONEY],
  },
  {
    name: 'a micro that stands with another affiliate',
    damage: async (w) => {
      await plantMicro(w, '1')
      await plantMicro(w, '-1', `, 'other' AS affiliate_id`)
    },
    found: ['conversions_count', 'conversions_once_in_facts', 'partners_as_conversions', 'partners_as_ledger'],
  },
  {
    name: 'a micro that the ledger has with another account',
    damage: async (w) => {
      await w.pool.query('ALTER TABLE ledger_entries DISABLE TRIGGER USER')
      await w.pool
        .query(`UPDATE ledger_entries e SET amount_micros = amount_micros + CASE a.owner WHEN 'affiliate' THEN 1 ELSE -1 END
        FROM ledger_accounts a WHERE a.account_id = e.account_id AND (a.owner, a.kind) IN (('affiliate', 'hold'), ('platform', 'payout_cost'))
        AND e.transaction_id = (SELECT min(transaction_id) FROM ledger_entries JOIN ledger_accounts USING (account_id) WHERE kind = 'payout_cost')`)
    },
    found: ['ledger_as_conversions', 'money_as_ledger', 'partners_as_ledger'],
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

test('cost imports are compared with their shares, to the micro', async (t) => {
  const w = await withTraffic(t)
  const clock = fixedClock(nextMs())
  const books = { pool: w.pool, facts: w.facts, clock }
  const { at, advertiser_id } = await w.row<{ at: string; advertiser_id: string }>(
    `SELECT to_char(min(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS at, min(advertiser_id) AS advertiser_id FROM conversions`,
  )
  const importFor = async (key: string, amount: string) => {
    const read = readCosts([{ date: at, amount }, { date: at, country: 'XX', amount: '1' }], { timezone: 'UTC', currency: 'EUR' }) // prettier-ignore
    if (read.kind !== 'rows') throw new Error(read.detail)
    const wanted = { advertiserId: advertiser_id, key, timezone: 'UTC', spread: 'clicks', rows: read.rows, by: 'test' } as const // prettier-ignore
    const outcome = await importCosts(books, wanted)
    if (outcome.kind !== 'booked') throw new Error(outcome.kind)
    return outcome.version
  }
  await importFor('one', '10')
  const { importId, rows } = await importFor('one', '7.000001')
  assert.ok(rows[0]!.clicks! > 1)
  await deleteImport(books, (await importFor('two', '3')).importId, 'test')
  const balanced = await run(w)
  assert.deepEqual(wrong(balanced), [])
  const total = balanced.checks.find(({ check }) => check === 'costs_in_facts')
  assert.deepEqual([total!.expected, total!.found], ['8000001', '8000001'])

  const plant = (replace: string, where = '1'): Promise<unknown> =>
    w.facts.command({
      query: `INSERT INTO costs SELECT * REPLACE(${replace}) FROM costs WHERE import_id = '${importId}' AND ${where} LIMIT 1`,
      clickhouse_settings: { insert_deduplication_token: `plant-${nextMs()}` },
    })
  await plant(`toInt64(1) AS cost_micros, generateUUIDv4() AS click_id`)
  const different = await run(w)
  assert.deepEqual(wrong(different), ['costs_in_facts', 'cost_imports_in_facts'])
  assert.deepEqual(different.checks.find(({ check }) => check === 'cost_imports_in_facts')!.examples, [
    `import ${importId}: 8000001 micros of EUR, found 8000002`,
  ])
  await plant(`toInt64(-1) AS cost_micros`, `click_id != toUUID('${NO_CLICK}')`)
  assert.deepEqual(wrong(await run(w)), ['costs_once_in_facts'])
})

test('names what was lost', async (t) => {
  const w = await withTraffic(t)
  await deleteFrom(w, 'clicks', 'log_offset = 0')
  const lost = (await run(w)).checks.find(({ check }) => check === 'log_clicks_in_facts')
  assert.match(lost!.examples[0]!, /^offset 0 [0-9a-f-]{36}$/)
  assert.ok(lost!.what.startsWith(PARTITION))
})

const FACTS = ['clicks', 'events', 'conversions'] as const

async function loseOneRow({ facts, countFacts }: TestInstallation, table: string): Promise<void> {
  const textOf = async (query: string): Promise<string> =>
    (await (await facts.query({ query, format: 'JSONEachRow' })).json<{ text: string }>())[0]!.text
  const columns = await textOf(
    `SELECT arrayStringConcat(groupArray(name), ', ') AS text FROM system.columns WHERE database = currentDatabase() AND table = '${table}'`,
  )
  const rows = await countFacts(`SELECT count() FROM ${table}`)
  const lost = await textOf(`SELECT toString(min(cityHash64(${columns}))) AS text FROM ${table}`)
  await facts.command({
    query: `ALTER TABLE ${table} DELETE WHERE cityHash64(${columns}) = ${lost} SETTINGS mutations_sync = 2`,
  })
  assert.equal(await countFacts(`SELECT count() FROM ${table}`), rows - 1)
}

for (const lost of FACTS)
  test(`everything agrees after days were retired, and one lost row of what is kept of ${lost} is found`, async (t) => {
    const w = await withTraffic(t)
    const { pool, facts } = w
    const policies = policiesOf({ rawDays: 7, archive: 'none' }, [])
    const retired = await runRetention({
      ...{ pool, facts, places: { directory: undefined, s3: undefined }, policies: () => policies },
      ...{ clock: fixedClock(nextMs() + 30 * 86_400_000), graceMs: 0 },
    })
    assert.deepEqual(new Set(retired!.planned.map(({ table_name }) => table_name)), new Set(FACTS))
    for (const table of FACTS) assert.equal(await w.countFacts(`SELECT count() FROM ${table}`), 0)
    assert.deepEqual(wrong(await run(w)), [])
    await loseOneRow(w, `kept_${lost}`)
    assert.equal((await run(w)).verdict, 'different')
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
