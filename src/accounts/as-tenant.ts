import { inTransaction, type Pool, type Tx } from '#platform/postgres'

import type { Tenant } from './principal.ts'

/** Longest that a read for somebody may take. */
export const READ_TIMEOUT_MS = 10_000

const LIMIT_READ = `SET LOCAL statement_timeout = ${READ_TIMEOUT_MS}`
const NAME_TENANT = `SELECT set_config('waypost.advertiser_id', $1, true), set_config('waypost.affiliate_id', $2, true)`

/** Reads as somebody: in a read-only transaction in which row-level security shows a tenant its own rows only.
 * The owner reads as the owner of the tables, which sees every row.
 */
export async function asTenant<T>(pool: Pool, tenant: Tenant, read: (tx: Tx) => Promise<T>): Promise<T> {
  return inTransaction(pool, async (tx) => {
    await tx.query('SET TRANSACTION READ ONLY')
    await tx.query(LIMIT_READ)
    await becomeTenant(tx, tenant)
    return read(tx)
  })
}

/** Makes the rest of the transaction see what the tenant may see. */
export async function becomeTenant(tx: Tx, tenant: Tenant): Promise<void> {
  if (tenant.role === 'owner') return
  const affiliateId = tenant.role === 'affiliate' ? tenant.affiliateId : ''
  await tx.query(NAME_TENANT, [tenant.advertiserId ?? '', affiliateId])
  await tx.query('SET LOCAL ROLE waypost_tenant')
}
