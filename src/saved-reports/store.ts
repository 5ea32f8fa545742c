import { becomeTenant, READ_TIMEOUT_MS, type Principal, type Role, type Tenant } from '#accounts'
import { newUuidV7 } from '#platform/ids'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'

import { savedReportLimits } from './limits.ts'
import type { RelativeRange } from './relative-range.ts'

export const sharingKinds = ['private', 'tenant', 'named'] as const
export type SharingKind = (typeof sharingKinds)[number]

/** Who sees a saved report besides the key that saved it and the owner. */
export type Sharing = {
  readonly kind: SharingKind
  /** Of `named`. */
  readonly roles?: readonly Role[]
  readonly advertiser_ids?: readonly string[]
  readonly affiliate_ids?: readonly string[]
}

export type SavedReport = {
  readonly saved_report_id: string
  readonly name: string
  readonly folder: string
  readonly query: Readonly<Record<string, unknown>>
  readonly range: RelativeRange | null
  readonly api_key_id: string
  readonly role: Role
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly sharing: SharingKind
  readonly shared_roles: readonly Role[]
  readonly shared_advertiser_ids: readonly string[]
  readonly shared_affiliate_ids: readonly string[]
  readonly created_at: Date
  readonly updated_at: Date
}

/** What a report is saved with. */
export type SavedReportContent = {
  readonly name: string
  readonly folder: string
  readonly query: object
  readonly range: RelativeRange | null
  readonly sharing: Sharing
}

/** Reads as the holder of a key: in a read-only transaction in which row-level security shows what it may see. */
export async function asKey<T>(pool: Pool, principal: Principal, read: (tx: Tx) => Promise<T>): Promise<T> {
  return inTransaction(pool, async (tx) => {
    await tx.query('SET TRANSACTION READ ONLY')
    await tx.query(`SET LOCAL statement_timeout = ${READ_TIMEOUT_MS}`)
    await tx.query(`SELECT set_config('waypost.api_key_id', $1, true)`, [principal.apiKeyId])
    await becomeTenant(tx, principal)
    return read(tx)
  })
}

const COLUMNS = `saved_report_id, name, folder, query, range, api_key_id, role, advertiser_id, affiliate_id,
  sharing, shared_roles, shared_advertiser_ids, shared_affiliate_ids, created_at, updated_at`

const FIND = `SELECT ${COLUMNS} FROM saved_reports WHERE saved_report_id = $1`

/** The report of this id that the transaction may see. */
export async function findSavedReport(tx: Tx | Pool, id: string): Promise<SavedReport | undefined> {
  const { rows } = await tx.query<SavedReport>(FIND, [id])
  return rows[0]
}

const LIST = `
  SELECT ${COLUMNS} FROM saved_reports
  WHERE ($1::text IS NULL OR folder = $1) AND ($2::uuid IS NULL OR saved_report_id < $2)
  ORDER BY saved_report_id DESC LIMIT $3`

/** Reports, newest first, one more than the limit. */
export async function listSavedReports(
  tx: Tx,
  filter: { readonly folder?: string | undefined },
  beforeId: string | undefined,
  limit: number,
): Promise<readonly SavedReport[]> {
  const { rows } = await tx.query<SavedReport>(LIST, [filter.folder, beforeId, limit + 1])
  return rows
}

const INSERT = `
  INSERT INTO saved_reports (saved_report_id, name, folder, query, range, sharing, shared_roles, shared_advertiser_ids,
    shared_affiliate_ids, api_key_id, role, advertiser_id, affiliate_id, created_at, updated_at)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14
  WHERE (SELECT count(*) FROM saved_reports WHERE api_key_id = $10) < ${savedReportLimits.savedReportsMax}
  RETURNING ${COLUMNS}`

/** @returns undefined: the key has saved as many as it may */
export async function saveReport(
  pool: Pool,
  principal: Principal,
  content: SavedReportContent,
  nowMs: number,
): Promise<SavedReport | undefined> {
  const { rows } = await pool.query<SavedReport>(INSERT, [
    ...[newUuidV7(nowMs), ...contentValues(content), principal.apiKeyId, ...tenantValues(principal)],
    new Date(nowMs),
  ])
  return rows[0]
}

const UPDATE = `
  UPDATE saved_reports SET name = $2, folder = $3, query = $4, range = $5, sharing = $6, shared_roles = $7,
    shared_advertiser_ids = $8, shared_affiliate_ids = $9, updated_at = $10
  WHERE saved_report_id = $1 RETURNING ${COLUMNS}`

/** Whoever calls has made sure that the report may be changed. */
export async function changeSavedReport(
  pool: Pool,
  id: string,
  content: SavedReportContent,
  nowMs: number,
): Promise<SavedReport | undefined> {
  const { rows } = await pool.query<SavedReport>(UPDATE, [id, ...contentValues(content), new Date(nowMs)])
  return rows[0]
}

/** With its links, schedules and their runs. */
export async function deleteSavedReport(pool: Pool, id: string): Promise<void> {
  await pool.query('DELETE FROM saved_reports WHERE saved_report_id = $1', [id])
}

const contentValues = ({ name, folder, query, range, sharing }: SavedReportContent): readonly unknown[] => [
  ...[name, folder, JSON.stringify(query), range, sharing.kind],
  ...[sharing.roles ?? [], sharing.advertiser_ids ?? [], sharing.affiliate_ids ?? []],
]

/** Role, advertiser and affiliate as columns. */
export const tenantValues = (tenant: Tenant): readonly unknown[] => [
  tenant.role,
  tenant.role === 'owner' ? null : (tenant.advertiserId ?? null),
  tenant.role === 'affiliate' ? tenant.affiliateId : null,
]

/** The tenant that a row belongs to. */
export function tenantOf(row: Pick<SavedReport, 'role' | 'advertiser_id' | 'affiliate_id'>): Tenant {
  const { role, advertiser_id, affiliate_id } = row
  if (role === 'owner') return { role }
  if (role === 'advertiser') return { role, advertiserId: advertiser_id! }
  return { role, affiliateId: affiliate_id!, ...(advertiser_id !== null && { advertiserId: advertiser_id }) }
}
