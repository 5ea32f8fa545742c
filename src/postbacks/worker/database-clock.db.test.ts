import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withDatabase } from '#test-kit'
import { createDatabaseClock } from './database-clock.ts'

test('the time is that of PostgreSQL, whatever the clock of this machine says', async (t) => {
  const { pool } = await withDatabase(t)
  const clock = createDatabaseClock(pool, { now: () => 42 })
  assert.deepEqual([clock.isSet(), clock.now()], [false, 42])
  await clock.synchronize()
  assert.equal(clock.isSet(), true)
  const { rows } = await pool.query<{ now_ms: number }>('SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now_ms') // prettier-ignore
  assert.ok(Math.abs(clock.now() - rows[0]!.now_ms) < 2_000)
})
