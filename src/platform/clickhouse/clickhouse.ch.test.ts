import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

import { migrateClickHouse, openClickHouse, type FactsClient } from '#platform/clickhouse'
import { withClickHouse, withTempDir } from '#test-kit'

const rowsOf = async (facts: FactsClient, query: string): Promise<unknown[]> =>
  (await facts.query({ query, format: 'JSONEachRow' })).json()

test('migrates once', async (t) => {
  const facts = await withClickHouse(t)
  assert.deepEqual(await migrateClickHouse(facts), [])
})

test('refuses a migration that was changed after it was applied', async (t) => {
  const facts = await withClickHouse(t)
  await facts.command({ query: `CREATE TABLE kept AS schema_migrations` })
  await facts.command({ query: `INSERT INTO kept SELECT * FROM schema_migrations` })
  await facts.command({ query: `TRUNCATE TABLE schema_migrations` })
  await facts.insert({
    table: 'schema_migrations',
    values: [{ name: '001_facts.sql', statement: 1, sha256: 'other' }],
    format: 'JSONEachRow',
  })
  await assert.rejects(migrateClickHouse(facts), /001_facts.sql was changed after it was applied/)
  await facts.command({ query: `TRUNCATE TABLE schema_migrations` })
  await facts.command({ query: `INSERT INTO schema_migrations SELECT * FROM kept` })
})

test('drops an insert whose deduplication token was seen, and only that', async (t) => {
  const facts = await withClickHouse(t)
  await facts.command({
    query: `CREATE TABLE tokens (n UInt32) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100`,
  })
  const insert = (n: number, token?: string): Promise<unknown> =>
    facts.insert({
      table: 'tokens',
      values: [{ n }],
      format: 'JSONEachRow',
      ...(token === undefined ? {} : { clickhouse_settings: { insert_deduplication_token: token } }),
    })
  await insert(1, 'a')
  await insert(1, 'a')
  await insert(2)
  await insert(3, 'b')
  await insert(4)
  assert.deepEqual(await rowsOf(facts, 'SELECT n FROM tokens ORDER BY n'), [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
})

test('a setting lasts for its own statement only', async (t) => {
  const facts = await withClickHouse(t)
  const query = `SELECT value FROM system.settings WHERE name = {name:String}`
  const read = async (clickhouse_settings: Record<string, number>): Promise<unknown> => {
    const answer = await facts.query({
      query,
      query_params: { name: 'max_rows_to_read' },
      clickhouse_settings,
      format: 'JSONEachRow',
    })
    return answer.json()
  }
  assert.deepEqual(await read({ max_rows_to_read: 100_000 }), [{ value: '100000' }])
  assert.deepEqual(await read({}), [{ value: '0' }])
})

test('clients on one directory do not wait for each other', async (t) => {
  const writer = await withClickHouse(t)
  const [{ path }] = (await rowsOf(writer, `SELECT value AS path FROM system.server_settings WHERE name = 'path'`)) as [
    { path: string },
  ]
  const reader = await openClickHouse({ path })
  t.after(() => reader.close())
  const finished: string[] = []
  const slow = rowsOf(reader, 'SELECT sum(sipHash64(number)) FROM numbers(30000000)').then(() => finished.push('slow'))
  await rowsOf(writer, 'SELECT 1').then(() => finished.push('quick'))
  await slow
  assert.deepEqual(finished, ['quick', 'slow'])
})

test('says that another process has the directory', async (t) => {
  const facts = await withClickHouse(t)
  const [{ path }] = (await rowsOf(facts, `SELECT value AS path FROM system.server_settings WHERE name = 'path'`)) as [
    { path: string },
  ]
  const script = `import { openClickHouse } from '#platform/clickhouse'
    await openClickHouse({ path: ${JSON.stringify(path)} }).then(() => console.log('opened'), (error) => console.log(error.message))`
  const other = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    cwd: new URL('../../..', import.meta.url),
  })
  assert.match(other.stdout, new RegExp(`The facts in .* are used by process ${process.pid}\\.`))
  assert.equal(other.stderr, '')
})

test('data is there again after a close and an open', async (t) => {
  const script = `import { openClickHouse } from '#platform/clickhouse'
    const facts = await openClickHouse({ path: process.argv[1], connections: 2 })
    await facts.command({ query: 'CREATE TABLE IF NOT EXISTS kept (n UInt32) ENGINE = MergeTree ORDER BY n' })
    await facts.insert({ table: 'kept', values: [{ n: 1 }], format: 'JSONEachRow' })
    console.log(await (await facts.query({ query: 'SELECT count() AS n FROM kept', format: 'CSV' })).text())
    await facts.close()`
  const directory = withTempDir(t)
  const run = (): string => {
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script, directory], {
      encoding: 'utf8',
      cwd: new URL('../../..', import.meta.url),
    })
    assert.equal(child.status, 0, child.stderr)
    return child.stdout.trim()
  }
  assert.deepEqual([run(), run()], ['1', '2'])
})
