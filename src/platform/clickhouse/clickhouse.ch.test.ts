import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

import { migrateClickHouse, openClickHouse, type FactsClient } from '#platform/clickhouse'
import { withClickHouse, withTempDir } from '#test-kit'

import { keepEngineMemory } from './engine-memory.ts'

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

test('an answer holds nothing of a statement that failed while it wrote, on whichever connection', async (t) => {
  const facts = await withClickHouse(t)
  const failing = 'SELECT number AS secret, throwIf(number = 150000) FROM numbers(200000)'
  const answers = (): Promise<unknown> =>
    Promise.all(
      Array.from({ length: 8 }, async (_, index) =>
        assert.equal((await rowsOf(facts, `SELECT ${index} AS n`)).length, 1),
      ),
    )
  await assert.rejects(rowsOf(facts, failing), /throwIf/)
  await answers()
  await Promise.all([assert.rejects(rowsOf(facts, failing), /throwIf/), answers(), answers()])
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

test('memory that a statement gave back is there for the next one, some time later too', (t) => {
  const env: NodeJS.ProcessEnv = {}
  keepEngineMemory(env)
  if (env['JE_MALLOC_CONF'] === undefined) return t.skip('this machine has so little memory that nothing is kept')
  // The allocator gives back after five seconds by default, and notices at the next statement.
  const script = `import { openClickHouse } from '#platform/clickhouse'
    import { setTimeout } from 'node:timers/promises'
    const facts = await openClickHouse({ path: process.argv[1], connections: 1 })
    const newPages = async () => {
      const before = process.resourceUsage().minorPageFault
      const answer = await facts.query({ query: 'SELECT count() FROM (SELECT number FROM numbers(4000000) GROUP BY number)' })
      await answer.text()
      return process.resourceUsage().minorPageFault - before
    }
    // The engine learns how large its table will be, and its threads take new arenas for some statements more.
    for (let run = 0; run < 12; run++) await newPages()
    const later = []
    for (let run = 0; run < 2; run++) {
      await setTimeout(8_000)
      later.push(await newPages())
    }
    console.log(JSON.stringify(later))
    await facts.close()`
  const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script, withTempDir(t)], {
    encoding: 'utf8',
    cwd: new URL('../../..', import.meta.url),
  })
  assert.equal(child.status, 0, child.stderr)
  // Given back, 128 MiB come anew each time: 33,500 pages. The smaller of two, for the engine may still grow in one of them.
  const later = JSON.parse(child.stdout) as readonly number[]
  assert.ok(Math.min(...later) < 10_000, `${later.join(' and ')} pages anew`)
})

test('how long memory is kept is the operator’s to say, and with little of it nothing is kept', () => {
  const [own, small]: NodeJS.ProcessEnv[] = [{ JE_MALLOC_CONF: 'dirty_decay_ms:1000' }, {}]
  keepEngineMemory(own, 16e9)
  keepEngineMemory(small, 4e9)
  assert.deepEqual([own, small], [{ JE_MALLOC_CONF: 'dirty_decay_ms:1000' }, {}])
})
