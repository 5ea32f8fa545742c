import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { applyConfiguration, ensureConfiguration, printApplication } from '#configuration'
import { withDatabase } from '#test-kit'

const minimal = readFileSync(new URL('../../examples/minimal.yaml', import.meta.url), 'utf8')

test('applies the minimal example, and finds it unchanged the second time', async (t) => {
  const { pool } = await withDatabase(t)
  assert.equal(await ensureConfiguration(pool), 1)
  const first = await applyConfiguration(pool, minimal, { by: 'test' })
  assert.equal(first.kind, 'applied', printApplication(first, 'minimal.yaml'))
  const second = await applyConfiguration(pool, minimal, { by: 'test' })
  assert.deepEqual(second, { kind: 'unchanged', version: 2 })
})
