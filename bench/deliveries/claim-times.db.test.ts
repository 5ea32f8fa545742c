import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withDatabase } from '#test-kit'
import { timeClaims } from './claim-times.ts'

const CLAIM = `SELECT n FROM generate_series($1::int, $2::int) AS n
  LEFT JOIN LATERAL (SELECT delivery_id FROM delivery_ready LIMIT 1) AS r ON true`

test('claims are timed whichever way they are asked, others and those that find nothing are not', async (t) => {
  const { pool } = await withDatabase(t)
  const takeTimes = timeClaims(pool)
  await pool.query('SELECT 1')
  await pool.query(CLAIM, [1, 3])
  await pool.query({ text: CLAIM, values: [4, 5] })
  const client = await pool.connect()
  await client.query(CLAIM, [6, 6])
  client.release()
  await pool.query(CLAIM, [1, 0])
  const { times, rows } = takeTimes()
  assert.equal(times.length, 3)
  assert.equal(rows, 6)
  assert.ok(times.every((ms) => ms > 0))
  assert.deepEqual(takeTimes(), { times: new Float64Array(), rows: 0 })
})

test('a claim that fails rejects as it would, and is not timed', async (t) => {
  const { pool } = await withDatabase(t)
  const takeTimes = timeClaims(pool)
  await assert.rejects(pool.query(`${CLAIM}, nonsense`, [1, 1]))
  assert.equal(takeTimes().times.length, 0)
})
