import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createPool } from '#platform/postgres'
import { withDatabase } from '#test-kit'

import { createGateMetrics } from './gate-metrics.ts'

test('failing and disabled endpoints, pauses and notices are counted', async (t) => {
  const { pool } = await withDatabase(t)
  await pool.query(`
    INSERT INTO endpoint_states (endpoint_id, failing_since, last_failure_at, disabled_at, disabled_reason) VALUES
      ('a', now(), now(), NULL, NULL), ('b', now(), now(), now(), 'gone'), ('c', now(), now(), now(), 'failing')`)
  await pool.query("INSERT INTO delivery_pauses (object, object_id, paused_by) VALUES ('affiliate', 'anna', 'eva')")
  await pool.query("INSERT INTO notices (kind) VALUES ('endpoint_disabled'), ('endpoint_disabled')")
  const read = createGateMetrics(pool)
  await read()
  const text = await read()
  for (const line of [
    'waypost_endpoints_failing{state="failing"} 1',
    'waypost_endpoints_failing{state="disabled"} 2',
    'waypost_delivery_pauses{object="affiliate"} 1',
    'waypost_delivery_pauses{object="endpoint"} 0',
    'waypost_notices_total{kind="endpoint_disabled"} 2',
    'waypost_notices_total{kind="endpoint_recovered"} 0',
  ])
    assert.ok(text.includes(`${line}\n`), line)
})

test('while the database is away the other metrics are still told', async () => {
  const pool = createPool('postgres://nobody@127.0.0.1:1/none')
  assert.equal(await createGateMetrics(pool)(), '')
  await pool.end()
})
