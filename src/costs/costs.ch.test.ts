import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'

import type { FactsClient } from '#platform/clickhouse'
import { fixedClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { withClickHouse, withDatabase } from '#test-kit'

import {
  deleteImport,
  finishBookings,
  importCosts,
  planImport,
  readCosts,
  respreadRecent,
  respreadImport,
  type CostBooks,
  type CostImport,
  type GivenRow,
  type ImportOutcome,
} from './index.ts'
import { addClicks, sumCosts } from './test-clicks.ts'

const NOW = Date.UTC(2026, 10, 20, 12)

async function withBooks(t: TestContext): Promise<CostBooks> {
  const { pool } = await withDatabase(t)
  const facts = await withClickHouse(t)
  for (const table of ['clicks', 'costs']) await facts.command({ query: `TRUNCATE TABLE ${table}` })
  return { pool, facts, clock: fixedClock(NOW) }
}

function importOf(rows: readonly GivenRow[], more: Partial<CostImport> = {}): CostImport {
  const timezone = more.timezone ?? 'UTC'
  const read = readCosts(rows, { timezone, currency: 'EUR' })
  if (read.kind !== 'rows') throw new Error(read.detail)
  return { advertiserId: 'acme', key: 'k', timezone, spread: 'clicks', rows: read.rows, by: 'test', ...more }
}

function booked(outcome: ImportOutcome | undefined): Extract<ImportOutcome, { kind: 'booked' }>['version'] {
  assert.equal(outcome?.kind, 'booked')
  if (outcome?.kind !== 'booked') throw new Error()
  return outcome.version
}

const rowsOf = async (facts: FactsClient, query: string): Promise<unknown[]> =>
  (await facts.query({ query, format: 'JSONEachRow' })).json()

test('spreads an amount over the clicks that match, so that the shares sum to it', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [
    { at: '2026-11-01T00:00:00Z', country: 'DE', campaign_id: 'one', sub1: 'a' },
    { at: '2026-11-01T12:00:00Z', country: 'DE', campaign_id: 'one', sub1: 'b' },
    { at: '2026-11-01T23:59:59Z', country: 'DE', campaign_id: 'two', sub1: 'a' },
    { at: '2026-11-01T12:00:00Z', country: 'AT', campaign_id: 'one', sub1: 'a' },
    { at: '2026-11-02T00:00:00Z', country: 'DE', campaign_id: 'one', sub1: 'a' },
    { at: '2026-11-01T12:00:00Z', country: 'DE', campaign_id: 'one', class: 'head' },
    { at: '2026-11-01T12:00:00Z', country: 'DE', campaign_id: 'one', outcome: 'not_found' },
    { at: '2026-11-01T12:00:00Z', country: 'DE', campaign_id: 'one', advertiser_id: 'globex' },
  ])
  const version = booked(await importCosts(books, importOf([{ date: '2026-11-01', country: 'DE', amount: '0.00001' }])))
  assert.deepEqual(version.rows[0]!.clicks, 3)
  assert.deepEqual(await sumCosts(books.facts, 'campaign_id, sub1'), { 'one/a': 3n, 'one/b': 3n, 'two/a': 4n })
  assert.deepEqual(await sumCosts(books.facts, 'toString(toDate(at)), currency, country'), { '2026-11-01/EUR/DE': 10n })
})

test('a click of several rows bears a share of each', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [
    { at: '2026-11-01T01:00:00Z', country: 'DE', sub2_keys: { geo: 'x' } },
    { at: '2026-11-01T13:00:00Z', country: 'DE' },
  ])
  const rows = [
    { date: '2026-11-01', amount: 1 },
    { date: '2026-11-01', country: 'DE', amount: 2 },
    { from: '2026-11-01T00:00', to: '2026-11-01T12:00', country: 'DE', amount: 4 },
    { date: '2026-11-01', 'sub2.geo': 'x', amount: 8, currency: 'USD' },
    // The same once more is added up.
    { date: '2026-11-01', amount: 1 },
  ]
  await importCosts(books, importOf(rows))
  assert.deepEqual(await sumCosts(books.facts, 'toString(toHour(at)), currency'), {
    '1/EUR': 6_000_000n,
    '1/USD': 8_000_000n,
    '13/EUR': 2_000_000n,
  })
})

test('spreads over uniques or humans alone where asked to', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [
    { at: '2026-11-01T01:00:00Z', campaign_id: 'one', is_unique_campaign: true, bot: 'user_agent' },
    { at: '2026-11-01T02:00:00Z', campaign_id: 'one', is_unique_campaign: false },
    { at: '2026-11-01T03:00:00Z', campaign_id: '', is_unique_offer: true },
  ])
  for (const [spread, expected] of [
    ['uniques', { '1': 500_000n, '3': 500_000n }],
    ['humans', { '2': 500_000n, '3': 500_000n }],
  ] as const) {
    const { importId } = booked(await importCosts(books, importOf([{ date: '2026-11-01', amount: 1 }], { spread, key: spread }))) // prettier-ignore
    assert.deepEqual(await sumCosts(books.facts, 'toString(toHour(at))', `import_id = '${importId}'`), expected)
  }
})

test('a day is that of the zone, of 25 hours where the clock goes back', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [
    { at: '2026-10-24T21:59:59Z', sub1: 'before' },
    { at: '2026-10-24T22:00:00Z', sub1: 'first' },
    { at: '2026-10-25T22:59:59Z', sub1: 'last' },
    { at: '2026-10-25T23:00:00Z', sub1: 'after' },
  ])
  await importCosts(books, importOf([{ date: '2026-10-25', amount: 2 }], { timezone: 'Europe/Berlin' }))
  assert.deepEqual(await sumCosts(books.facts, 'sub1'), { first: 1_000_000n, last: 1_000_000n })
})

test('what no click bears stands under the values that were named, by day', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [{ at: '2026-11-01T01:00:00Z', country: 'DE' }])
  const rows = [{ from: '2026-11-01', to: '2026-11-03', country: 'FR', ad_campaign_id: 'x', 'sub2.geo': 'g', amount: '0.00001' }] // prettier-ignore
  const version = booked(await importCosts(books, importOf(rows, { timezone: 'Europe/Berlin' })))
  assert.equal(version.rows[0]!.clicks, 0)
  assert.deepEqual(
    await sumCosts(
      books.facts,
      `toString(toDate(at, 'Europe/Berlin')), advertiser_id, country, ad_campaign_id, sub2_keys['geo']`,
    ),
    { '2026-11-01/acme/FR/x/g': 3n, '2026-11-02/acme/FR/x/g': 3n, '2026-11-03/acme/FR/x/g': 4n },
  )
})

test('the same again books nothing, other rows book the difference and change no row', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [
    { at: '2026-11-01T01:00:00Z', country: 'DE' },
    { at: '2026-11-01T02:00:00Z', country: 'AT' },
  ])
  const first = booked(await importCosts(books, importOf([{ date: '2026-11-01', amount: 10 }])))
  const before = await rowsOf(books.facts, 'SELECT * FROM costs ORDER BY at')
  assert.equal((await importCosts(books, importOf([{ date: '2026-11-01', amount: 10 }]))).kind, 'unchanged')
  const second = booked(await importCosts(books, importOf([{ date: '2026-11-01', country: 'DE', amount: 7 }])))
  assert.deepEqual([second.importId, second.version, second.kind], [first.importId, 2, 'correction'])
  assert.deepEqual(await sumCosts(books.facts, 'country'), { DE: 7_000_000n })
  assert.deepEqual(await sumCosts(books.facts, 'toString(import_version)'), { 1: 10_000_000n, 2: -3_000_000n })
  assert.deepEqual(await rowsOf(books.facts, 'SELECT * FROM costs WHERE import_version = 1 ORDER BY at'), before)
})

test('a request that is repeated after a correction does not undo it', async (t) => {
  const books = await withBooks(t)
  const ask = (amount: number, idempotencyKey: string) =>
    importCosts(books, importOf([{ date: '2026-11-01', amount }], { idempotencyKey }))
  await ask(1, 'one')
  await ask(2, 'two')
  const again = await ask(1, 'one')
  assert.deepEqual([again.kind, again.kind === 'unchanged' && again.version.version], ['unchanged', 1])
  assert.deepEqual(await sumCosts(books.facts, 'currency'), { EUR: 2_000_000n })
})

test('a deletion books the opposite, and the same import can be booked again', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [{ at: '2026-11-01T01:00:00Z' }])
  const wanted = importOf([
    { date: '2026-11-01', amount: 10 },
    { date: '2026-11-05', amount: 3 },
  ])
  const { importId } = booked(await importCosts(books, wanted))
  assert.equal(booked(await deleteImport(books, importId, 'test')).kind, 'deletion')
  assert.deepEqual(await sumCosts(books.facts, 'currency'), {})
  assert.equal(await deleteImport(books, importId, 'test'), undefined)
  assert.equal(await respreadImport(books, importId, 'test'), undefined)
  assert.equal(booked(await importCosts(books, wanted)).kind, 'import')
  assert.deepEqual(await sumCosts(books.facts, 'currency'), { EUR: 13_000_000n })
})

test('clicks that come later bear their share once it is spread again', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [{ at: '2026-11-01T01:00:00Z', sub1: 'early' }])
  const { importId } = booked(await importCosts(books, importOf([{ date: '2026-11-01', amount: 10 }])))
  assert.equal((await respreadImport(books, importId, 'test'))?.kind, 'unchanged')
  await addClicks(books.facts, books.pool, [{ at: '2026-11-01T02:00:00Z', sub1: 'late' }])
  assert.deepEqual(await sumCosts(books.facts, 'sub1'), { early: 10_000_000n })
  const again = booked(await respreadImport(books, importId, 'test'))
  assert.deepEqual([again.kind, again.version, again.rows[0]!.clicks], ['respread', 2, 2])
  assert.deepEqual(await sumCosts(books.facts, 'sub1'), { early: 5_000_000n, late: 5_000_000n })
  await books.facts.command({ query: 'TRUNCATE TABLE clicks' })
  assert.equal((await respreadImport(books, importId, 'test'))?.kind, 'unchanged')
})

test('each night imports get the clicks that came late, while old ones and deleted ones stay', async (t) => {
  const books = await withBooks(t)
  const options = { ...books, logLines: createLogLines('test', 'silent') }
  await addClicks(books.facts, books.pool, [{ at: '2026-11-19T01:00:00Z' }, { at: '2026-11-01T01:00:00Z' }])
  await importCosts(books, importOf([{ date: '2026-11-19', amount: 1 }], { key: 'new' }))
  await importCosts(books, importOf([{ date: '2026-11-01', amount: 1 }], { key: 'old' }))
  const gone = booked(await importCosts(books, importOf([{ date: '2026-11-19', amount: 1 }], { key: 'gone' })))
  await deleteImport(books, gone.importId, 'test')
  assert.equal(await respreadRecent(options), 0)
  await addClicks(books.facts, books.pool, [
    { at: '2026-11-19T02:00:00Z', sub1: 'late' },
    { at: '2026-11-01T02:00:00Z', sub1: 'late' },
  ])
  assert.equal(await respreadRecent(options), 1)
  assert.deepEqual(await sumCosts(books.facts, 'sub1, toString(toDate(at))'), {
    '/2026-11-01': 1_000_000n,
    '/2026-11-19': 500_000n,
    'late/2026-11-19': 500_000n,
  })
})

test('a dry run counts and books nothing', async (t) => {
  const books = await withBooks(t)
  await addClicks(books.facts, books.pool, [{ at: '2026-11-01T01:00:00Z' }, { at: '2026-11-01T02:00:00Z' }])
  const plan = await planImport(books, importOf([{ date: '2026-11-01', amount: 10 }, { date: '2026-11-02', amount: 1 }])) // prettier-ignore
  assert.deepEqual([...plan.clicks], [[1, 2]])
  assert.deepEqual(await sumCosts(books.facts, 'currency'), {})
  assert.equal((await books.pool.query('SELECT FROM cost_imports')).rowCount, 0)
})

/** Insert statements that fail, once done or before: what a kill -9 at that moment leaves. */
function failingFacts(facts: FactsClient, failAt: number, isAfter: boolean): FactsClient {
  let inserts = 0
  const guard = async <T>(text: string, run: () => Promise<T>): Promise<T> => {
    const isFailing = /^\s*INSERT INTO costs/.test(text) && ++inserts === failAt
    if (isFailing && !isAfter) throw new Error('killed before')
    const result = await run()
    if (isFailing) throw new Error('killed after')
    return result
  }
  return new Proxy(facts, {
    get: (target, name) => {
      if (name === 'command') return (params: { query: string }) => guard(params.query, () => target.command(params))
      const value = Reflect.get(target, name) as unknown
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value
    },
  })
}

test('a booking that was cut off anywhere is finished without doubling anything', { timeout: 60_000 }, async (t) => {
  const books = await withBooks(t)
  const seed = 20261120
  t.diagnostic(`seed ${seed}`)
  await addClicks(
    books.facts,
    books.pool,
    Array.from({ length: 40 }, (_, index) => ({
      at: new Date(Date.UTC(2026, 10, 1 + (index % 2), index % 24)).toISOString(),
      country: index % 2 === 0 ? 'DE' : 'AT',
    })),
  )
  const one = importOf([{ from: '2026-11-01', to: '2026-11-02', amount: '9.999999' }])
  const other = importOf([{ from: '2026-11-01', to: '2026-11-02', country: 'DE', amount: 3 }])
  const crash = fc.record({ failAt: fc.integer({ min: 1, max: 5 }), isAfter: fc.boolean() })
  let run = 0
  await fc.assert(
    fc.asyncProperty(crash, crash, async (first, second) => {
      const key = `run-${run++}`
      for (const [wanted, { failAt, isAfter }] of [
        [one, first],
        [other, second],
      ] as const) {
        const failing = { ...books, facts: failingFacts(books.facts, failAt, isAfter) }
        await importCosts(failing, { ...wanted, key }).catch((error: Error) => assert.match(error.message, /^killed/))
        // Clicks that come in meanwhile are not of this booking.
        await addClicks(books.facts, books.pool, [{ at: '2026-11-02T05:00:00Z', country: 'DE' }])
        await finishBookings(books)
        const [{ import_id }] = (await books.pool.query<{ import_id: string }>('SELECT import_id FROM cost_imports WHERE import_key = $1', [key])).rows as [{ import_id: string }] // prettier-ignore
        const expected = wanted === one ? 9_999_999n : 3_000_000n
        assert.deepEqual(await sumCosts(books.facts, 'currency', `import_id = '${import_id}'`), { EUR: expected })
        const twice = await rowsOf(books.facts, `SELECT 1 FROM costs WHERE import_id = '${import_id}' AND click_id != toUUID('00000000-0000-0000-0000-000000000000') GROUP BY import_version, import_row, is_reversal, click_id HAVING count() > 1`) // prettier-ignore
        assert.deepEqual(twice, [])
      }
    }),
    { numRuns: 3, seed },
  )
})

test('shares sum to every amount, whatever rows, dimensions and clicks there are', { timeout: 60_000 }, async (t) => {
  const books = await withBooks(t)
  const word = fc.constantFrom('a', 'b', '')
  const hour = fc.integer({ min: 0, max: 40 })
  const atOf = (hours: number): string => new Date(Date.UTC(2026, 10, 1, hours)).toISOString()
  const clickArb = fc.record({ at: hour.map(atOf), country: word, sub1: word, sub2_keys: word.map((geo) => ({ geo })) })
  const rowArb = fc
    .tuple(
      hour,
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: -50, max: 5_000_000 }),
      fc.subarray(['country', 'sub1', 'sub2.geo']),
      word,
    ) // prettier-ignore
    .map(([from, hours, micros, names, value]): GivenRow => ({
      from: atOf(from),
      to: atOf(from + hours),
      amount: (micros / 1e6).toFixed(6),
      ...Object.fromEntries(names.map((name) => [name, value])),
    }))
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(clickArb, { maxLength: 60 }),
      fc.array(rowArb, { minLength: 1, maxLength: 12 }),
      async (clicks, given) => {
        await books.facts.command({ query: 'TRUNCATE TABLE clicks' })
        await addClicks(books.facts, books.pool, clicks)
        const version = booked(await importCosts(books, importOf(given, { key: `p${run++}` })))
        const sums = await sumCosts(books.facts, 'toString(import_row)', `import_id = '${version.importId}'`)
        for (const row of version.rows) {
          assert.equal(sums[row.rowNo] ?? 0n, row.amountMicros)
          const matching = clicks.filter(
            (click) =>
              Date.parse(click.at) >= row.startsMs &&
              Date.parse(click.at) < row.endsMs &&
              Object.entries(row.dimensions).every(([name, value]) =>
                name === 'sub2.geo' ? click.sub2_keys.geo === value : click[name as 'country' | 'sub1'] === value,
              ),
          )
          assert.equal(row.clicks, matching.length)
        }
        const [{ spread }] = (await rowsOf(books.facts, `SELECT max(spread) AS spread FROM (SELECT max(cost_micros) - min(cost_micros) AS spread FROM costs
        WHERE import_id = '${version.importId}' AND click_id != toUUID('00000000-0000-0000-0000-000000000000') GROUP BY import_row)`)) as [{ spread: string }] // prettier-ignore
        assert.ok(Number(spread) <= 1)
      },
    ),
    { numRuns: 5 },
  )
})
