import type { Principal } from '#accounts'
import { newUuidV7 } from '#platform/ids'
import type { Pool, Tx } from '#platform/postgres'

import { savedReportLimits } from './limits.ts'
import type { SavedReport } from './store.ts'

export type ReportLink = {
  readonly link_id: string
  readonly saved_report_id: string
  readonly api_key_id: string
  readonly created_at: Date
  readonly expires_at: Date
  readonly revoked_at: Date | null
}

const COLUMNS = 'link_id, saved_report_id, api_key_id, created_at, expires_at, revoked_at'

const INSERT = `
  INSERT INTO saved_report_links (link_id, saved_report_id, api_key_id, created_at, expires_at)
  SELECT $1, $2, $3, $4, $5
  WHERE (SELECT count(*) FROM saved_report_links WHERE saved_report_id = $2 AND revoked_at IS NULL AND expires_at > $4)
    < ${savedReportLimits.linksOfReportMax}
  RETURNING ${COLUMNS}`

/** @returns undefined: the report has as many links as it may */
export async function makeLink(
  pool: Pool,
  principal: Principal,
  savedReportId: string,
  nowMs: number,
  expiresAtMs: number,
): Promise<ReportLink | undefined> {
  const values = [newUuidV7(nowMs), savedReportId, principal.apiKeyId, new Date(nowMs), new Date(expiresAtMs)]
  const { rows } = await pool.query<ReportLink>(INSERT, values)
  return rows[0]
}

/** Links of a report that the transaction may see, newest first. */
export async function listLinks(tx: Tx, savedReportId: string): Promise<readonly ReportLink[]> {
  const sql = `SELECT ${COLUMNS} FROM saved_report_links WHERE saved_report_id = $1 ORDER BY link_id DESC LIMIT 500`
  return (await tx.query<ReportLink>(sql, [savedReportId])).rows
}

const REVOKE = `
  UPDATE saved_report_links SET revoked_at = coalesce(revoked_at, $3) WHERE saved_report_id = $1 AND link_id = $2
  RETURNING ${COLUMNS}`

/** Ends a link at once; whoever calls may change the report. */
export async function revokeLink(
  pool: Pool,
  savedReportId: string,
  linkId: string,
  nowMs: number,
): Promise<ReportLink | undefined> {
  return (await pool.query<ReportLink>(REVOKE, [savedReportId, linkId, new Date(nowMs)])).rows[0]
}

/** The key that made the link gives its rights, and they end with it. */
const OPEN = `
  SELECT r.saved_report_id, r.name, r.folder, r.query, r.range, r.api_key_id, r.role, r.advertiser_id, r.affiliate_id, r.sharing,
    r.shared_roles, r.shared_advertiser_ids, r.shared_affiliate_ids, r.created_at, r.updated_at
  FROM saved_report_links l JOIN saved_reports r USING (saved_report_id) JOIN api_keys k ON k.api_key_id = l.api_key_id
    JOIN api_keys saver ON saver.api_key_id = r.api_key_id
  WHERE l.link_id = $1 AND l.revoked_at IS NULL AND l.expires_at > $2 AND k.revoked_at IS NULL AND saver.revoked_at IS NULL`

/** The report that a link opens at a moment. */
export async function openLink(pool: Pool, linkId: string, nowMs: number): Promise<SavedReport | undefined> {
  return (await pool.query<SavedReport>(OPEN, [linkId, new Date(nowMs)])).rows[0]
}
