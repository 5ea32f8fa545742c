import assert from 'node:assert/strict'
import { test } from 'node:test'

import { becomeTenant, type Tenant } from '#accounts'
import { withTx } from '#test-kit'

test('the database shows a tenant its own metrics only and lets it write no others', async (t) => {
  const tx = await withTx(t)
  await tx.query(`
    INSERT INTO custom_metrics (advertiser_id, affiliate_id, name, title, formula) VALUES
      (NULL, NULL, 'owner', '', 'clicks'), ('acme', NULL, 'acme', '', 'clicks'), ('brand', NULL, 'brand', '', 'clicks'),
      (NULL, 'anna', 'anna', '', 'clicks')`)
  const seenBy = async (tenant: Tenant): Promise<readonly string[]> => {
    await tx.query('SAVEPOINT tenant')
    await becomeTenant(tx, tenant)
    const { rows } = await tx.query<{ name: string }>('SELECT name FROM custom_metrics ORDER BY name')
    const changed = await tx.query(`UPDATE custom_metrics SET title = 'changed'`)
    assert.equal(changed.rowCount, rows.length)
    await assert.rejects(
      tx.query(`INSERT INTO custom_metrics (advertiser_id, name, title, formula) VALUES ('brand', 'x', '', 'clicks')`),
      /row-level security/,
    )
    await tx.query('ROLLBACK TO SAVEPOINT tenant')
    return rows.map(({ name }) => name)
  }
  assert.deepEqual(await seenBy({ role: 'advertiser', advertiserId: 'acme' }), ['acme'])
  assert.deepEqual(await seenBy({ role: 'affiliate', affiliateId: 'anna' }), ['anna'])
  assert.deepEqual(await seenBy({ role: 'affiliate', affiliateId: 'anna', advertiserId: 'brand' }), ['anna'])
})
