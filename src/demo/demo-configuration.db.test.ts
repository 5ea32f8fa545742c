import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyConfiguration, printApplication } from '#configuration'
import { withDatabase } from '#test-kit'
import { demoConfiguration } from './demo-configuration.ts'
import { createDemoSecrets } from './demo-secrets.ts'

const addresses = { sitesUrl: 'http://127.0.0.1:8090' }

test('the demo is accepted as it is, changes nothing a second time, and pauses its endpoints at the end', async (t) => {
  const { pool } = await withDatabase(t)
  const secrets = createDemoSecrets()
  const apply = (status: 'active' | 'paused') =>
    applyConfiguration(pool, demoConfiguration(addresses, secrets, status), { by: 'demo' })
  const first = await apply('active')
  assert.equal(first.kind, 'applied', printApplication(first, 'demo.yaml'))
  assert.equal((await apply('active')).kind, 'unchanged')
  const last = await apply('paused')
  assert.ok(last.kind === 'applied')
  assert.deepEqual(last.changes.map(({ object, id }) => `${object} ${id}`).toSorted(), [
    'endpoint demo-affiliate',
    'endpoint demo-tracker',
  ])
})
