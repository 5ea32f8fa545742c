import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { withClickHouse, withTempDir } from '#test-kit'

import { inlineParams } from './inline-params.ts'
import { streamFacts, writeFactsFile } from './index.ts'
import { settingsSql } from './stream.ts'

const query = (sql: string, params: Record<string, unknown> = {}) => ({ sql, params, format: 'CSV' }) as const

test('an answer comes in parts of whole rows while others ask and write', async (t) => {
  const facts = await withClickHouse(t)
  let rows = 0
  let last = ''
  let parts = 0
  const asked = query('SELECT number AS n FROM numbers({count:UInt64})', { count: 300_000 })
  for await (const part of streamFacts(facts, asked)) {
    const lines = Buffer.from(part.bytes).toString().trimEnd().split('\n')
    assert.equal(part.rows, lines.length)
    rows += lines.length
    last = lines.at(-1)!
    if (parts++ === 0) await (await facts.query({ query: 'SELECT 1' })).text()
  }
  assert.deepEqual([rows, last], [300_000, '299999'])
  assert.ok(parts > 2)
})

test('an endless answer holds no more than a part in memory and ends when it is not read any further', async (t) => {
  const facts = await withClickHouse(t)
  const before = process.memoryUsage().rss
  let bytes = 0
  const endless = query("SELECT repeat('x', 1000) FROM system.numbers")
  for await (const part of streamFacts(facts, { ...endless, settings: { max_block_size: 8_192 } })) {
    bytes += part.bytes.length
    if (bytes > 300_000_000) break
  }
  assert.ok(process.memoryUsage().rss - before < 200_000_000)
})

test('an abort ends an answer in the middle, and a wrong question says what ClickHouse says', async (t) => {
  const facts = await withClickHouse(t)
  const abort = new AbortController()
  const read = async (): Promise<void> => {
    for await (const _ of streamFacts(facts, { ...query('SELECT * FROM system.numbers'), signal: abort.signal }))
      abort.abort(new Error('enough'))
  }
  await assert.rejects(read(), /enough/)
  const wrong = async (): Promise<void> => {
    for await (const _ of streamFacts(facts, query('SELECT nothing'))) assert.fail()
  }
  await assert.rejects(wrong(), /nothing/)
})

test('an answer is written into a Parquet file, and an abort ends that too', async (t) => {
  const facts = await withClickHouse(t)
  const file = join(withTempDir(t), "it's.parquet")
  const rows = await writeFactsFile(facts, {
    sql: 'SELECT number FROM numbers({n:UInt32})',
    params: { n: 10 },
    format: 'Parquet',
    file,
  })
  assert.equal(rows, 10)
  assert.equal(readFileSync(file).toString('latin1', 0, 4), 'PAR1')
  const abort = new AbortController()
  const endless = { sql: 'SELECT sipHash64(number) FROM system.numbers', params: {}, format: 'Parquet' } as const
  const other = join(withTempDir(t), 'endless.parquet')
  let seen = 0
  const written = writeFactsFile(facts, {
    ...{ ...endless, file: other, signal: abort.signal },
    onProgress: (rows) => {
      seen = rows
      if (rows > 0) abort.abort(new Error('enough'))
    },
  })
  await assert.rejects(written, /enough/)
  assert.ok(seen > 0 && existsSync(other))
})

test('settings are words and plain values', () => {
  assert.equal(
    settingsSql({ max_threads: 1, date_time_output_format: 'iso' }),
    " SETTINGS max_threads = 1, date_time_output_format = 'iso'",
  )
  assert.throws(() => settingsSql({ a: "'; DROP" }), RangeError)
})

test('values that are written into a statement mean what bound ones do, whatever they hold', async (t) => {
  const facts = await withClickHouse(t)
  const hostile = ["'; DROP TABLE clicks --", '\\', "\\'", '\0', '\n\t', '{b:String}', 'ü€😀', '', '${x}', "''", '\\0']
  const params = {
    a: hostile.join('|'),
    b: hostile,
    n: -5,
    big: 9_007_199_254_740_993n,
    none: [],
    huge: [0n, 10n ** 40n + 1n],
    offsets: { "a'b": 18_446_744_073_709_551_615n },
    empty: {},
  }
  const sql =
    'SELECT {a:String} AS a, {b:Array(String)} AS b, {n:Int64} AS n, toString({big:UInt64}) AS big, {none:Array(UUID)} AS none, arrayMap(x -> toString(x), {huge:Array(Int256)}) AS huge, mapApply((k, v) -> (k, toString(v)), {offsets:Map(String, UInt64)}) AS offsets, {empty:Map(String, UInt64)} AS empty'
  const lines: string[] = []
  for await (const part of streamFacts(facts, { sql, params, format: 'JSONEachRow' }))
    lines.push(Buffer.from(part.bytes).toString())
  assert.deepEqual(JSON.parse(lines.join('')), {
    ...params,
    big: '9007199254740993',
    huge: ['0', `1${'0'.repeat(39)}1`],
    offsets: { "a'b": '18446744073709551615' },
  })
  assert.equal(inlineParams('SELECT 1 FROM {table:Identifier}', { table: 'a`b\\' }), 'SELECT 1 FROM `a\\`b\\\\`')
  assert.throws(() => inlineParams('{missing:String}', {}), RangeError)
  assert.throws(() => inlineParams('{a:String}', { a: new Date() }), RangeError)
})
