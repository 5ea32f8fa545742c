import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fixedClock } from '#platform/clock'
import type { Tx } from '#platform/postgres'
import { withTx } from '#test-kit'

import { authenticate, createApiKey, ensureOwnerKey, listApiKeys, revokeApiKey, type NewApiKey } from './index.ts'

const clock = fixedClock(Date.UTC(2026, 10, 20))

async function create(tx: Tx, wanted: Partial<NewApiKey>): ReturnType<typeof createApiKey> {
  return createApiKey(tx, { name: 'test', role: 'owner', scopes: ['read'], ...wanted }, clock)
}

const TENANTS = `
  INSERT INTO advertisers VALUES ('acme', 'Acme', 'UTC', 'USD', 'active'), ('globex', 'Globex', 'UTC', 'USD', 'active');
  INSERT INTO affiliates VALUES ('anna', 'Anna', 'active');
  INSERT INTO affiliate_memberships VALUES ('anna', 'acme')`

test('knows whose key it is by the key alone, and keeps only its hash', async (t) => {
  const tx = await withTx(t)
  await tx.query(TENANTS)
  const created = await create(tx, {
    role: 'affiliate',
    affiliate_id: 'anna',
    advertiser_id: 'acme',
    scopes: ['read', 'write'],
  })
  assert.ok(created.kind === 'created')
  const { key, apiKey } = created
  assert.match(key, /^wp_[\w-]{43}$/)
  assert.deepEqual(await authenticate(tx, key), {
    apiKeyId: apiKey.api_key_id, name: 'test', scopes: ['read', 'write'], role: 'affiliate', affiliateId: 'anna', advertiserId: 'acme',
  }) // prettier-ignore
  const { rows } = await tx.query<{ row: string }>('SELECT k::text AS row FROM api_keys k')
  assert.ok(!rows.some(({ row }) => row.includes(key) || row.includes(Buffer.from(key).toString('hex'))))
})

test('does not know a key that never was, is empty, too long, or was revoked', async (t) => {
  const tx = await withTx(t)
  const created = await create(tx, {})
  assert.ok(created.kind === 'created')
  const { key, apiKey } = created
  assert.ok(await authenticate(tx, key))
  assert.equal(await authenticate(tx, `${key}x`), undefined)
  assert.equal(await authenticate(tx, ''), undefined)
  assert.equal(await authenticate(tx, 'x'.repeat(201)), undefined)
  assert.ok((await revokeApiKey(tx, apiKey.api_key_id, clock))?.revoked_at)
  assert.equal(await authenticate(tx, key), undefined)
  assert.equal(await revokeApiKey(tx, '0199a0aa-0000-7000-8000-000000000000', clock), undefined)
})

test('makes no key for an advertiser or affiliate that does not exist, or that do not belong together', async (t) => {
  const tx = await withTx(t)
  await tx.query(TENANTS)
  for (const wanted of [
    { role: 'advertiser', advertiser_id: 'nobody' },
    { role: 'affiliate', affiliate_id: 'nobody' },
    { role: 'affiliate', affiliate_id: 'anna', advertiser_id: 'globex' },
  ] as const)
    assert.deepEqual(await create(tx, wanted), { kind: 'tenant_unknown' })
})

test('the owner’s key of the start works, also after it was revoked; the one before it does not any more', async (t) => {
  const tx = await withTx(t)
  const options = { name: 'WAYPOST_API_KEY', clock }
  await ensureOwnerKey(tx, 'first', options)
  await ensureOwnerKey(tx, 'first', options)
  await ensureOwnerKey(tx, 'generated', { name: 'secrets.json', clock })
  assert.equal((await authenticate(tx, 'first'))?.role, 'owner')
  await ensureOwnerKey(tx, 'second', options)
  assert.equal(await authenticate(tx, 'first'), undefined)
  assert.equal((await authenticate(tx, 'second'))?.role, 'owner')
  assert.equal((await authenticate(tx, 'generated'))?.role, 'owner')
  await ensureOwnerKey(tx, 'first', options)
  assert.equal((await authenticate(tx, 'first'))?.role, 'owner')
})

test('lists keys page by page, newest first', async (t) => {
  const tx = await withTx(t)
  await tx.query('DELETE FROM api_keys')
  for (const name of ['one', 'two', 'three']) {
    clock.advance(1)
    await create(tx, { name })
  }
  const first = await listApiKeys(tx, 2)
  const second = await listApiKeys(tx, 2, first.at(-1)!.api_key_id)
  assert.deepEqual([...first, ...second].map(({ name }) => name), ['three', 'two', 'one']) // prettier-ignore
})
