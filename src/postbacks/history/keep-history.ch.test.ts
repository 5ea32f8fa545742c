import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import type { FactsClient } from '#platform/clickhouse'
import { fixedClock } from '#platform/clock'
import { inTransaction, type Pool } from '#platform/postgres'
import { withClickHouse, withDatabase } from '#test-kit'

import { listAllAttempts, type AskArchive } from '../records/archived-attempts.ts'
import { findDelivery, listDeliveries } from '../records/deliveries.ts'
import { enqueueDeliveries } from '../queue/enqueue-deliveries.ts'
import { reconcileDeliveries } from '../queue/reconcile-deliveries.ts'
import { sampleCause, sampleEndpoint, sampleSnapshot } from '../test-causes.ts'
import { archiveAttempts } from './archive-attempts.ts'
import { keepHistoryOnce, type HistoryRetention, type HistoryRound } from './keep-history.ts'
import { historyTables, listPartitions, makePartitions } from './partitions.ts'

const DAY_MS = 86_400_000
const NOW_MS = Date.now()
const RETENTION: HistoryRetention = { deliveryDays: 30, attemptDays: 7, archiveDays: 180, clickDays: 90 }

type Installation = {
  readonly pool: Pool
  readonly facts: FactsClient
  readonly rounds: (daysFromNow: number) => Promise<HistoryRound>
  readonly count: (sql: string) => Promise<number>
  readonly archived: () => Promise<readonly Record<string, unknown>[]>
}

async function install(t: TestContext): Promise<Installation> {
  const { pool } = await withDatabase(t)
  const facts = await withClickHouse(t)
  await facts.command({ query: 'TRUNCATE TABLE delivery_attempts' })
  return {
    pool,
    facts,
    rounds: (days) => keepHistoryOnce({ pool, facts, retention: RETENTION, clock: fixedClock(NOW_MS + days * DAY_MS) }),
    count: async (sql) => Number((await pool.query<{ n: bigint }>(`SELECT count(*) AS n FROM ${sql}`)).rows[0]!.n),
    archived: async () => {
      const answer = await facts.query({
        query: 'SELECT * FROM delivery_attempts ORDER BY delivery_id, attempt_no',
        format: 'JSONEachRow',
      })
      return answer.json()
    },
  }
}

const enqueue = (pool: Pool, revisions: number): Promise<void> =>
  inTransaction(pool, (tx) =>
    enqueueDeliveries(
      tx,
      Array.from({ length: revisions }, (_, index) => sampleCause({ revision: index + 1 })),
      sampleSnapshot([sampleEndpoint()]),
    ),
  )

/** Ends what is ready: a failed try and a good one each. */
const DELIVER = `
  WITH taken AS (DELETE FROM delivery_ready RETURNING *)
  INSERT INTO delivery_attempts (delivery_id, created_at, endpoint_id, attempt_no, attempted_at, outcome, http_status, error,
    error_detail, first_byte_ms, total_ms, remote_address, response_head, response_bytes, next_at, worker_id, try_no, is_fenced)
  SELECT delivery_id, created_at, endpoint_id, n, now() + n * interval '1 ms', CASE n WHEN 1 THEN 'retry' ELSE 'delivered' END,
    CASE n WHEN 1 THEN 500 ELSE 200 END, CASE n WHEN 1 THEN 'http_error' END, NULL, 3, 5, '192.0.2.7', '\\x6f6bff00'::bytea, 4,
    CASE n WHEN 1 THEN now() END, gen_random_uuid(), 9007199254740993, false
  FROM taken, generate_series(1, 2) AS n`

test('partitions are made ahead for every table of the history, and the default ones stay empty', async (t) => {
  const { pool, count } = await install(t)
  await makePartitions(pool, NOW_MS)
  await enqueue(pool, 3)
  await pool.query(DELIVER)
  for (const table of Object.values(historyTables)) {
    const partitions = await listPartitions(pool, table)
    assert.ok(partitions.at(-1)!.to.getTime() > NOW_MS + 7 * DAY_MS, table.name)
    assert.ok(partitions[0]!.from.getTime() <= NOW_MS && partitions[0]!.to.getTime() > NOW_MS, table.name)
  }
  assert.equal(await count('deliveries_default'), 0)
  assert.equal(await count('delivery_attempts_default'), 0)
  assert.equal(await makePartitions(pool, NOW_MS), 1, 'the keys of an old click, and nothing else')
  assert.equal(await makePartitions(pool, NOW_MS), 0)
})

test('rows that came before their partition are moved to it', async (t) => {
  const { pool, count } = await install(t)
  await enqueue(pool, 3)
  assert.equal(await count('deliveries_default'), 3)
  await makePartitions(pool, NOW_MS)
  for (const table of Object.values(historyTables)) assert.equal(await count(`${table.name}_default`), 0, table.name)
  assert.equal(await count('deliveries'), 3)
  await enqueue(pool, 3)
  assert.equal(await count('deliveries'), 3, 'the keys are where a repeat meets them')
})

test('a day of attempts is in ClickHouse byte for byte before it leaves PostgreSQL', async (t) => {
  const { pool, rounds, count, archived } = await install(t)
  await rounds(0)
  await enqueue(pool, 50)
  await pool.query(DELIVER)
  const before = await pool.query('SELECT * FROM delivery_attempts ORDER BY delivery_id, attempt_no')
  const { dropped } = await rounds(9)
  assert.ok(dropped.some((name) => name.startsWith('delivery_attempts_')))
  assert.equal(await count('delivery_attempts'), 0)
  assert.equal(await count('deliveries'), 50)
  const rows = await archived()
  assert.equal(rows.length, 100)
  for (const [index, row] of rows.entries()) {
    const was = before.rows[index] as Record<string, unknown>
    assert.equal(String(row['delivery_id']), String(was['delivery_id']))
    assert.deepEqual(Buffer.from(String(row['response_head_base64']), 'base64'), was['response_head'])
    const same = ['endpoint_id', 'attempt_no', 'outcome', 'http_status', 'error', 'error_detail', 'first_byte_ms', 'total_ms', 'is_fenced', 'is_probe'] // prettier-ignore
    for (const column of same) assert.equal(row[column], was[column], column)
    assert.equal(Date.parse(`${String(row['attempted_at']).slice(0, 23).replace(' ', 'T')}Z`), (was['attempted_at'] as Date).getTime()) // prettier-ignore
    const more = JSON.parse(String(row['more'])) as Record<string, unknown>
    assert.equal(more['worker_id'], was['worker_id'])
    assert.match(String(row['more']), /9007199254740993/)
  }
})

test('a pass that broke off anywhere goes on and doubles nothing', async (t) => {
  const { pool, facts, rounds, archived } = await install(t)
  await rounds(0)
  await enqueue(pool, 20)
  await pool.query(DELIVER)
  await pool.query(`UPDATE delivery_archives SET next_block = 0`)
  // The insert arrived, and the note of it did not: the pool breaks at the note.
  const breaking = new Proxy(pool, {
    get: (target, name) =>
      name !== 'query'
        ? Reflect.get(target, name)
        : (sql: string, values: unknown[]) =>
            sql.startsWith('UPDATE delivery_archives')
              ? Promise.reject(new Error('cut off'))
              : target.query(sql, values),
  })
  await assert.rejects(archiveAttempts(breaking, facts, NOW_MS + 2 * DAY_MS), /cut off/)
  assert.equal((await archived()).length, 40)
  await rounds(9)
  assert.equal((await archived()).length, 40)
})

test('a day whose rows are not all in ClickHouse stays, and its next pass brings them', async (t) => {
  const { pool, facts, rounds, count, archived } = await install(t)
  await rounds(0)
  await enqueue(pool, 20)
  await pool.query(DELIVER)
  const lossy = new Proxy(facts, {
    get: (target, name) => {
      if (name !== 'query') return Reflect.get(target, name)
      return (params: Parameters<FactsClient['query']>[0]) =>
        target.query({ ...params, query: params.query.replace('count()', 'count() - (count() > 0)') })
    },
  })
  const clock = fixedClock(NOW_MS + 9 * DAY_MS)
  const { kept } = await keepHistoryOnce({ pool, facts: lossy, retention: RETENTION, clock })
  assert.equal(kept.length, 1)
  assert.equal(await count('delivery_attempts'), 40)
  assert.equal((await archived()).length, 0, 'the pass is taken back')
  await rounds(9)
  assert.deepEqual([await count('delivery_attempts'), (await archived()).length], [0, 40])
  assert.ok((await archived()).every((row) => String(row['archive']).endsWith(':2')))
})

test('attempts of a day that was dropped already are archived beside the others', async (t) => {
  const { pool, rounds, count, archived } = await install(t)
  await rounds(0)
  await enqueue(pool, 5)
  await pool.query(DELIVER)
  await rounds(9)
  await pool.query(`
    INSERT INTO delivery_attempts (delivery_id, created_at, endpoint_id, attempt_no, attempted_at, outcome, total_ms, response_head, response_bytes, worker_id, try_no, is_fenced)
    VALUES (1, now(), 'tracker', 7, now(), 'delivered', 1, NULL, 0, gen_random_uuid(), 1, true)`)
  assert.equal(await count('delivery_attempts_default'), 1)
  await rounds(9)
  assert.deepEqual([await count('delivery_attempts'), (await archived()).length], [0, 11])
})

test('how a delivery ended and its last answer stay as long as the delivery', async (t) => {
  const { pool, rounds, count } = await install(t)
  await rounds(0)
  await enqueue(pool, 4)
  await pool.query(DELIVER)
  await rounds(9)
  assert.equal(await count(`delivery_ends WHERE state = 'delivered' AND attempts = 2`), 4)
  assert.equal(await count(`delivery_last_tries WHERE http_status = 200 AND attempts = 2`), 4)
  assert.deepEqual(await reconcileDeliveries(pool), [])
  const { dropped } = await rounds(32)
  assert.ok(dropped.some((name) => name.startsWith('deliveries_')))
  for (const table of ['deliveries', 'delivery_finals', 'delivery_last_tries'])
    assert.equal(await count(table), 0, table)
  assert.deepEqual(await reconcileDeliveries(pool), [])
})

for (const place of ['delivery_ready', 'delivery_deferred'] as const)
  test(`a day with a delivery that waits in ${place} is never dropped, and is once that ended`, async (t) => {
    const { pool, rounds, count } = await install(t)
    await rounds(0)
    await enqueue(pool, 3)
    await pool.query(DELIVER)
    const columns = {
      delivery_ready: 'delivery_id, created_at, endpoint_id, now(), 1, 0',
      delivery_deferred: 'delivery_id, created_at, endpoint_id, now(), 1',
    }[place]
    await pool.query(`INSERT INTO ${place} SELECT ${columns} FROM deliveries LIMIT 1`)
    const { kept } = await rounds(40)
    assert.deepEqual(kept.map((name) => name.replace(/_\d{8}$/, '')), ['delivery_attempts', 'deliveries']) // prettier-ignore
    assert.deepEqual([await count('deliveries'), await count('delivery_attempts')], [3, 6])
    await pool.query(`DELETE FROM ${place}`)
    await rounds(40)
    assert.deepEqual([await count('deliveries'), await count('delivery_attempts')], [0, 0])
  })

test('keys are kept while their click can be found, and longer where something was made of it since', async (t) => {
  const { pool, rounds, count } = await install(t)
  await enqueue(pool, 2)
  await rounds(0)
  // The click is of 2023; its keys were made now.
  assert.deepEqual([await count('delivery_keys_default'), await count('delivery_keys')], [0, 2])
  await rounds(90)
  await enqueue(pool, 2)
  assert.equal(await count('delivery_keys'), 2)
  await rounds(98)
  assert.equal(await count('delivery_keys'), 0)
})

test('a reader who does not let go delays the drop and loses nothing', async (t) => {
  const { pool, rounds, count } = await install(t)
  await rounds(0)
  await enqueue(pool, 2)
  await pool.query(DELIVER)
  const reader = await pool.connect()
  try {
    await reader.query('BEGIN')
    await reader.query('SELECT count(*) FROM delivery_attempts')
    const dropping = rounds(9)
    // Others are not held up by whoever waits to drop.
    await pool.query(`SET statement_timeout = '3s'; SELECT count(*) FROM delivery_attempts`)
    await reader.query('COMMIT')
    await dropping
  } finally {
    reader.release(true)
  }
  assert.equal(await count('delivery_attempts'), 0)
})

test('ClickHouse too forgets by the day', async (t) => {
  const { pool, rounds, archived } = await install(t)
  await rounds(0)
  await enqueue(pool, 2)
  await pool.query(DELIVER)
  await rounds(9)
  assert.equal((await archived()).length, 4)
  const { dropped } = await rounds(182)
  assert.equal(dropped.filter((name) => name.startsWith('ClickHouse')).length, 1)
  assert.equal((await archived()).length, 0)
})

test('a delivery shows its tries and its state wherever they are kept, each try once', async (t) => {
  const { pool, facts, rounds } = await install(t)
  await rounds(0)
  await enqueue(pool, 2)
  await pool.query(DELIVER)
  const ask: AskArchive = async <Row>(query: string, params: Readonly<Record<string, unknown>>) => {
    const settings = { output_format_json_quote_64bit_integers: 1 } as const
    const answer = await facts.query({
      query,
      query_params: { ...params },
      format: 'JSONEachRow',
      clickhouse_settings: settings,
    })
    return answer.json<Row>()
  }
  const read = async () => {
    const [row] = await listDeliveries(pool, { state: 'delivered', http_status: 200 }, undefined, 1)
    const { finished_at: _time, ...delivery } = (await findDelivery(pool, row!.delivery_id))!
    return { delivery, tries: await listAllAttempts(pool, ask, [row!]) }
  }
  const before = await read()
  assert.equal(before.tries.length, 2)
  await rounds(9)
  assert.deepEqual(await read(), before)
  // One of the tries is in both places.
  await pool.query(
    `INSERT INTO delivery_attempts (delivery_id, created_at, endpoint_id, attempt_no, attempted_at, outcome, http_status, total_ms, response_head, response_bytes, worker_id, try_no, is_fenced)
     VALUES ($1, $2, 'tracker', 2, $3, 'delivered', 200, 5, '', 0, gen_random_uuid(), 1, false)`,
    [before.delivery.delivery_id, before.delivery.created_at, before.tries[1]!.attempted_at],
  )
  const after = await read()
  assert.equal(after.delivery.delivery_id, before.delivery.delivery_id)
  assert.equal(after.tries.length, 2)
})
