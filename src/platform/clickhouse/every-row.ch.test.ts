import assert from 'node:assert/strict'
import { test } from 'node:test'

import { withClickHouse } from '#test-kit'

import type { FactsClient } from './open.ts'

type Settings = Readonly<Record<string, number>>

async function count(facts: FactsClient, query: string, settings: Settings = {}): Promise<number> {
  const answer = await facts.query({ query, format: 'JSONEachRow', clickhouse_settings: { ...settings } })
  const [row] = await answer.json<{ n: string | number }>()
  return Number(row!.n)
}

test('what was found of a condition under one setting leaves no row out under another', async (t) => {
  const facts = await withClickHouse(t)
  await facts.command({ query: 'CREATE TABLE texts (id UInt64, s String) ENGINE = MergeTree ORDER BY id' })
  await facts.command({ query: `INSERT INTO texts SELECT number, '1.1e-300' FROM numbers(200000)` })
  const query = 'SELECT count() AS n FROM texts WHERE toFloat64(s) = 1.1e-300'
  assert.equal(await count(facts, query, { precise_float_parsing: 0 }), 0)
  assert.equal(await count(facts, query, { precise_float_parsing: 1 }), 200_000)
})

test('the smallest and largest value of a part leave no row out', async (t) => {
  const facts = await withClickHouse(t)
  await facts.command({ query: 'CREATE TABLE days (d Date, f Float64) ENGINE = MergeTree ORDER BY tuple()' })
  await facts.command({
    query: `INSERT INTO days SELECT toDate('2020-01-01') + number * 40, if(number < 13, nan, 1.5) FROM numbers(1300)`,
  })
  // They are noted when parts are merged.
  await facts.command({ query: 'OPTIMIZE TABLE days FINAL' })
  assert.equal(await count(facts, 'SELECT count() AS n FROM days WHERE NOT (f < 101.5)'), 13)
  const later = `SELECT count() AS n FROM days WHERE toStartOfDay(d) > toDateTime('2020-11-06 00:00:00')`
  assert.equal(await count(facts, later), await count(facts, `${later} SETTINGS use_statistics_for_part_pruning = 0`))
})

test('a statement may have the shortcuts for itself, and the next has them no more', async (t) => {
  const facts = await withClickHouse(t)
  const query = `SELECT toUInt8(value) AS n FROM system.settings WHERE name = 'use_query_condition_cache'`
  assert.equal(await count(facts, query), 0)
  assert.equal(await count(facts, query, { use_query_condition_cache: 1 }), 1)
  assert.equal(await count(facts, query), 0)
})
