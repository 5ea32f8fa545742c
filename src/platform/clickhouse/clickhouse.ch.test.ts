import assert from 'node:assert/strict'
import { test } from 'node:test'

import { migrateClickHouse } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

test('migrates once', async (t) => {
  const facts = await withClickHouse(t)
  assert.deepEqual(await migrateClickHouse(facts), [])
})
