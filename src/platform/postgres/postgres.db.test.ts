import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createPool, inTransaction, isConnectionFailure, migratePostgres } from '#platform/postgres'
import { withDatabase, withTx } from '#test-kit'

test('reads int8 and int8 arrays as bigint, timestamptz as Date', async (t) => {
  const tx = await withTx(t)
  const { rows } = await tx.query(`SELECT 9007199254740993::int8 AS big, ARRAY[1, NULL]::int8[] AS bigs, now() AS at`)
  assert.equal(rows[0].big, 9007199254740993n)
  assert.deepEqual(rows[0].bigs, [1n, null])
  assert.ok(rows[0].at instanceof Date)
})

test('commits what the work did and rolls back when it throws', async (t) => {
  const { pool } = await withDatabase(t)
  await pool.query('CREATE TABLE notes (text text)')
  assert.equal(
    await inTransaction(pool, async (tx) => (await tx.query(`INSERT INTO notes VALUES ('kept')`)).rowCount),
    1,
  )
  const failing = inTransaction(pool, async (tx) => {
    await tx.query(`INSERT INTO notes VALUES ('lost')`)
    throw new Error('no')
  })
  await assert.rejects(failing, /^Error: no$/)
  assert.deepEqual((await pool.query('SELECT text FROM notes')).rows, [{ text: 'kept' }])
})

test('does not report success when the work swallowed a failed statement', async (t) => {
  const { pool } = await withDatabase(t)
  const swallowing = inTransaction(pool, async (tx) => {
    await assert.rejects(tx.query('SELECT 1 / 0'))
  })
  await assert.rejects(swallowing, /rolled back/)
})

test('migrates once', async (t) => {
  const { pool } = await withDatabase(t)
  assert.deepEqual(await migratePostgres(pool), [])
})

test('refuses a migration that was changed after it was applied', async (t) => {
  const { pool } = await withDatabase(t)
  await pool.query(`UPDATE schema_migrations SET sha256 = 'other' WHERE name LIKE '001%'`)
  await assert.rejects(migratePostgres(pool), /001_control_plane.sql was changed after it was applied/)
})

test('outlives a server that cuts its connections, idle ones and those in a transaction', async (t) => {
  const { pool } = await withDatabase(t)
  const cutOthers = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()`
  const cut = inTransaction(pool, async (tx) => {
    await inTransaction(pool, (other) => other.query(cutOthers))
    await tx.query('SELECT 1')
  })
  const error = await cut.catch((reason: unknown) => reason)
  assert.equal(isConnectionFailure(error), true)
  assert.equal((await pool.query('SELECT 1 AS n')).rows[0].n, 1)
})

test('tells a server that is away from a statement that is wrong', async (t) => {
  const { pool } = await withDatabase(t)
  const wrong = await pool.query('SELECT nothing').catch((error: unknown) => error)
  assert.equal(isConnectionFailure(wrong), false)
  const away = createPool('postgres://waypost@127.0.0.1:1/postgres')
  t.after(() => away.end())
  assert.equal(isConnectionFailure(await away.query('SELECT 1').catch((error: unknown) => error)), true)
})

test('ends a statement that runs longer than allowed', async (t) => {
  const { url } = await withDatabase(t)
  const impatient = createPool(url, { max: 1, statementTimeoutMs: 50 })
  await assert.rejects(impatient.query('SELECT pg_sleep(10)'), /statement timeout/)
  await impatient.end()
})

test('several processes migrate one after the other', async (t) => {
  const { pool } = await withDatabase(t)
  await pool.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
  const applied = await Promise.all([migratePostgres(pool), migratePostgres(pool), migratePostgres(pool)])
  assert.equal(applied.filter((names) => names.length > 0).length, 1)
})

test('a server without space or memory is one to come back to later, a wrong statement is not', () => {
  const failureOf = (code: string): Error => Object.assign(new Error('refused'), { code })
  for (const code of ['53100', '53200', '58030']) assert.equal(isConnectionFailure(failureOf(code)), true, code)
  for (const code of ['42601', '23505']) assert.equal(isConnectionFailure(failureOf(code)), false, code)
})
