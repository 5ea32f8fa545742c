import assert from 'node:assert/strict'
import { test } from 'node:test'

import { findDimension } from '#reports'
import { logColumns } from '#reports/logs'

import { liveTables } from './ask-live.ts'
import { visibleColumns } from './live-columns.ts'

test('a live row shows an affiliate nothing that logs and reports hide from it', () => {
  for (const table of liveTables) {
    const hidden = new Set(
      logColumns(table).filter(({ visibleTo }) => !visibleTo.includes('affiliate')).map(({ name }) => name),
    )
    for (const { name } of visibleColumns(table, 'affiliate')) {
      assert.ok(!hidden.has(name), `${table}.${name}`)
      assert.ok(findDimension(name)?.visibleTo.includes('affiliate') !== false, `${table}.${name}`)
    }
    assert.ok(hidden.has('fraud_reason'))
  }
}) // prettier-ignore
