import assert from 'node:assert/strict'
import { test } from 'node:test'

import { withClickHouse } from '#test-kit'

import { askFacts, QUERY_ROWS_MAX } from './index.ts'

test('gives up on more rows than allowed instead of filling the memory', async (t) => {
  const facts = await withClickHouse(t)
  const allowed = await askFacts(facts, { sql: `SELECT number FROM numbers(${QUERY_ROWS_MAX})`, params: {} })
  assert.equal(allowed.length, QUERY_ROWS_MAX)
  const tooMany = askFacts(facts, { sql: `SELECT number FROM numbers(${QUERY_ROWS_MAX * 20})`, params: {} })
  await assert.rejects(tooMany, { code: 'query_too_expensive' })
})

test('gives up on more memory than allowed', async (t) => {
  const facts = await withClickHouse(t)
  const sql = 'SELECT count() FROM (SELECT groupArray(number) AS a FROM numbers(400000000))'
  await assert.rejects(askFacts(facts, { sql, params: {} }), { code: 'query_too_expensive' })
})

test('keeps a mistake of our own apart from an engine that is away', async (t) => {
  const facts = await withClickHouse(t)
  await assert.rejects(
    askFacts(facts, { sql: 'SELECT nothing', params: {} }),
    (error: Error) => error.name !== 'WaypostError',
  )
  const { createClient } = await import('@clickhouse/client')
  const away = createClient({ url: 'http://127.0.0.1:1' })
  await assert.rejects(askFacts(away, { sql: 'SELECT 1', params: {} }), { code: 'facts_unavailable' })
  await away.close()
})

test('gives integers past 2^53 exactly', async (t) => {
  const facts = await withClickHouse(t)
  const rows = await askFacts<{ big: string }>(facts, { sql: 'SELECT toInt64(9007199254740993) AS big', params: {} })
  assert.deepEqual(rows, [{ big: '9007199254740993' }])
})
