import { asTenant, becomeTenant, type Tenant } from '#accounts'
import { inTransaction, type Pool } from '#platform/postgres'

import type { CustomMetric } from './custom-metrics.ts'
import { reportLimits } from './limits.ts'
import type { Format } from './metrics.ts'

/** Metrics that one tenant may keep. */
export const CUSTOM_METRICS_MAX = reportLimits.customMetricsMax

/** A metric as it is kept. */
export type KeptMetric = {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly formula: string
  readonly format: Format | null
  readonly created_at: Date
  readonly updated_at: Date
}

/** Whose metrics they are: an affiliate's hold with every advertiser, whatever its key is for. */
function ownerOf(tenant: Tenant): readonly [advertiserId: string | null, affiliateId: string | null] {
  if (tenant.role === 'affiliate') return [null, tenant.affiliateId]
  return [tenant.role === 'advertiser' ? tenant.advertiserId : null, null]
}

const IS_OWN = 'advertiser_id IS NOT DISTINCT FROM $1 AND affiliate_id IS NOT DISTINCT FROM $2'
const COLUMNS = 'name, title, description, formula, format, created_at, updated_at'

const LIST = `SELECT ${COLUMNS} FROM custom_metrics WHERE ${IS_OWN} ORDER BY name LIMIT ${CUSTOM_METRICS_MAX}`

/** The tenant's own metrics, by name. */
export async function listCustomMetrics(pool: Pool, tenant: Tenant): Promise<readonly KeptMetric[]> {
  return asTenant(pool, tenant, async (tx) => (await tx.query<KeptMetric>(LIST, [...ownerOf(tenant)])).rows)
}

const LOCK = `SELECT pg_advisory_xact_lock(hashtextextended('custom_metrics/' || coalesce($1, '') || '/' || coalesce($2, ''), 0))`
const COUNT_OTHERS = `SELECT count(*)::int AS others FROM custom_metrics WHERE ${IS_OWN} AND name <> $3`
const KEEP = `
  INSERT INTO custom_metrics (advertiser_id, affiliate_id, name, title, description, formula, format)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (advertiser_id, affiliate_id, name) DO UPDATE SET title = excluded.title, description = excluded.description,
    formula = excluded.formula, format = excluded.format, updated_at = date_trunc('milliseconds', now())
  RETURNING ${COLUMNS}`

/** Keeps a metric in place of the one of its name. It has been checked by `defineMetric`.
 * @returns undefined: the tenant keeps as many as it may
 */
export async function keepCustomMetric(
  pool: Pool,
  tenant: Tenant,
  { name, title, description, formula, format }: CustomMetric,
): Promise<KeptMetric | undefined> {
  return inTransaction(pool, async (tx) => {
    await becomeTenant(tx, tenant)
    const owner = ownerOf(tenant)
    await tx.query(LOCK, [...owner])
    const { rows: counts } = await tx.query<{ others: number }>(COUNT_OTHERS, [...owner, name])
    if (counts[0]!.others >= CUSTOM_METRICS_MAX) return undefined
    const values = [...owner, name, title ?? name, description ?? '', formula, format ?? null]
    const { rows } = await tx.query<KeptMetric>(KEEP, values)
    return rows[0]
  })
}

const DROP = `DELETE FROM custom_metrics WHERE ${IS_OWN} AND name = $3`

/** @returns whether there was one */
export async function dropCustomMetric(pool: Pool, tenant: Tenant, name: string): Promise<boolean> {
  return inTransaction(pool, async (tx) => {
    await becomeTenant(tx, tenant)
    return (await tx.query(DROP, [...ownerOf(tenant), name])).rowCount === 1
  })
}
