import { networkOf } from '#fraud'
import type { Tx } from '#platform/postgres'
import type { ClickRecord } from '#records'
import type { ConversionStatus, ConversionType } from '#routing'

import type { Conversion, Revision } from './conversion.ts'

type ConversionRow = {
  conversion_id: string
  advertiser_id: string
  click_id: string
  type: ConversionType
  goal: string
  goal_key: string
  txid: string
  affiliate_id: string | null
  campaign_id: string | null
  offer_id: string
  status: ConversionStatus
  raw_status: string | null
  hold_until: Date | null
  is_hold_released: boolean
  payout_micros: bigint
  revenue_micros: bigint
  sale_amount_micros: bigint
  currency: string
  revision: number
  created_at: Date
  updated_at: Date
  click: ClickRecord
  fraud: string | null
  is_corrected: boolean
}

const SELECT = `
  SELECT conversion_id, advertiser_id, click_id, type, goal, goal_key, txid, affiliate_id, campaign_id, offer_id, status, raw_status,
    hold_until, is_hold_released, payout_micros, revenue_micros, sale_amount_micros, currency, revision, created_at, updated_at, click, fraud,
    is_corrected
  FROM conversions`

// Ordered, so that two transactions that lock the same rows wait for each other instead of deadlocking.
const LOCK_BY_CLICK = `${SELECT} WHERE click_id = ANY($1::uuid[]) ORDER BY conversion_id FOR UPDATE`
const LOCK_BY_ID = `${SELECT} WHERE conversion_id = $1 FOR UPDATE`
const LOCK_HOLD_ENDED = `${SELECT} WHERE status = 'approved' AND NOT is_hold_released AND hold_until <= $1
  ORDER BY hold_until LIMIT $2 FOR UPDATE SKIP LOCKED`

const toConversion = (row: ConversionRow): Conversion => ({
  conversionId: row.conversion_id,
  advertiserId: row.advertiser_id,
  clickId: row.click_id,
  type: row.type,
  goal: row.goal,
  goalKey: row.goal_key,
  txid: row.txid,
  affiliateId: row.affiliate_id ?? undefined,
  campaignId: row.campaign_id ?? undefined,
  offerId: row.offer_id,
  status: row.status,
  rawStatus: row.raw_status ?? undefined,
  holdUntil: row.hold_until ?? undefined,
  isHoldReleased: row.is_hold_released,
  payoutMicros: row.payout_micros,
  revenueMicros: row.revenue_micros,
  saleAmountMicros: row.sale_amount_micros,
  currency: row.currency,
  revision: row.revision,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  click: row.click,
  fraud: row.fraud ?? undefined,
  ...(row.is_corrected && { isCorrected: true }),
})

/** Conversions of some clicks, locked until the transaction ends. */
export async function lockByClick(tx: Tx, clickIds: readonly string[]): Promise<readonly Conversion[]> {
  if (clickIds.length === 0) return []
  return (await tx.query<ConversionRow>(LOCK_BY_CLICK, [clickIds])).rows.map(toConversion)
}

/** One conversion, locked until the transaction ends. */
export async function lockById(tx: Tx, conversionId: string): Promise<Conversion | undefined> {
  const [row] = (await tx.query<ConversionRow>(LOCK_BY_ID, [conversionId])).rows
  return row === undefined ? undefined : toConversion(row)
}

/** Approved conversions whose hold is over, oldest first, locked; those that someone else has locked are left out. */
export async function lockHoldEnded(tx: Tx, nowMs: number, limit: number): Promise<readonly Conversion[]> {
  return (await tx.query<ConversionRow>(LOCK_HOLD_ENDED, [new Date(nowMs), limit])).rows.map(toConversion)
}

const INSERT = `
  INSERT INTO conversions (conversion_id, advertiser_id, click_id, type, goal, goal_key, txid, affiliate_id, campaign_id, offer_id,
    status, raw_status, hold_until, is_hold_released, payout_micros, revenue_micros, sale_amount_micros, currency, revision,
    created_at, updated_at, click, ip_network, fraud)
  SELECT * FROM json_to_recordset($1) AS x(conversion_id uuid, advertiser_id text, click_id uuid, type text, goal text,
    goal_key text, txid text, affiliate_id text, campaign_id text, offer_id text, status text, raw_status text,
    hold_until timestamptz, is_hold_released boolean, payout_micros bigint, revenue_micros bigint, sale_amount_micros bigint,
    currency text, revision integer, created_at timestamptz, updated_at timestamptz, click jsonb,
    ip_network text, fraud text)
  ON CONFLICT (click_id, type, goal_key, txid) DO NOTHING`

const UPDATE = `
  UPDATE conversions c SET status = x.status, raw_status = x.raw_status, hold_until = x.hold_until,
    is_hold_released = x.is_hold_released, payout_micros = x.payout_micros, revenue_micros = x.revenue_micros,
    sale_amount_micros = x.sale_amount_micros, revision = x.revision, updated_at = x.updated_at, is_corrected = x.is_corrected
  FROM json_to_recordset($1) AS x(conversion_id uuid, status text, raw_status text, hold_until timestamptz,
    is_hold_released boolean, payout_micros bigint, revenue_micros bigint, sale_amount_micros bigint, revision integer,
    updated_at timestamptz, is_corrected boolean, revision_before integer)
  WHERE c.conversion_id = x.conversion_id AND c.revision = x.revision_before`

/** Any number, the same for ever. See conversion_revisions in the migrations. */
const REVISIONS_LOCK = 5_021_977
const LOCK_REVISIONS = 'SELECT pg_advisory_xact_lock($1)'
const INSERT_REVISIONS = `
  INSERT INTO conversion_revisions (conversion_id, advertiser_id, revision, status, raw_status, payout_micros, revenue_micros,
    sale_amount_micros, is_hold_released, cause, revised_by, reason, revised_at)
  SELECT * FROM json_to_recordset($1) AS x(conversion_id uuid, advertiser_id text, revision integer, status text, raw_status text,
    payout_micros bigint, revenue_micros bigint, sale_amount_micros bigint, is_hold_released boolean, cause text,
    revised_by text, reason text, revised_at timestamptz)`

/** Stores the last state of each conversion.
 * @throws {Error} somebody else made or changed one of them since it was read: nothing may be committed, read again
 */
export async function storeConversions(tx: Tx, revisions: readonly Revision[]): Promise<void> {
  const firstRevisions = new Map<string, Revision>()
  const last = new Map<string, Conversion>()
  for (const revision of revisions) {
    const { conversionId } = revision.after
    if (!firstRevisions.has(conversionId)) firstRevisions.set(conversionId, revision)
    last.set(conversionId, revision.after)
  }
  const changes = [...firstRevisions.values()].map(({ before, after }) => ({
    revisionBefore: before?.revision,
    after: last.get(after.conversionId)!,
  }))
  const made = changes.filter(({ revisionBefore }) => revisionBefore === undefined)
  const changed = changes.filter(({ revisionBefore }) => revisionBefore !== undefined)
  await store(
    tx,
    INSERT,
    made.map(({ after }) => wholeRow(after)),
  )
  await store(
    tx,
    UPDATE,
    changed.map(({ after, revisionBefore }) => ({ ...stateRow(after), revision_before: revisionBefore })),
  )
}

async function store(tx: Tx, statement: string, rows: readonly object[]): Promise<void> {
  if (rows.length === 0) return
  const { rowCount } = await tx.query(statement, [JSON.stringify(rows)])
  if (rowCount !== rows.length)
    throw new Error(`conversions changed meanwhile: ${rowCount} of ${rows.length} rows stored`)
}

/** Appends revisions, in their order. From here to the end of the transaction nobody else appends any: do it late. */
export async function appendRevisions(tx: Tx, revisions: readonly Revision[]): Promise<void> {
  await tx.query(LOCK_REVISIONS, [REVISIONS_LOCK])
  await tx.query(INSERT_REVISIONS, [
    JSON.stringify(
      revisions.map(({ after, cause, by, reason = '' }) => ({
        conversion_id: after.conversionId,
        advertiser_id: after.advertiserId,
        revision: after.revision,
        status: after.status,
        raw_status: after.rawStatus,
        ...moneyRow(after),
        is_hold_released: after.isHoldReleased,
        cause,
        revised_by: by,
        reason,
        revised_at: after.updatedAt,
      })),
    ),
  ])
}

/** Amounts as text: JSON numbers are floats. */
const moneyRow = ({ payoutMicros, revenueMicros, saleAmountMicros }: Conversion) => ({
  payout_micros: String(payoutMicros),
  revenue_micros: String(revenueMicros),
  sale_amount_micros: String(saleAmountMicros),
})

const stateRow = (conversion: Conversion) => ({
  conversion_id: conversion.conversionId,
  status: conversion.status,
  raw_status: conversion.rawStatus,
  hold_until: conversion.holdUntil,
  is_hold_released: conversion.isHoldReleased,
  ...moneyRow(conversion),
  revision: conversion.revision,
  updated_at: conversion.updatedAt,
  is_corrected: conversion.isCorrected === true,
})

const wholeRow = (conversion: Conversion) => ({
  ...stateRow(conversion),
  advertiser_id: conversion.advertiserId,
  click_id: conversion.clickId,
  type: conversion.type,
  goal: conversion.goal,
  goal_key: conversion.goalKey,
  txid: conversion.txid,
  affiliate_id: conversion.affiliateId,
  campaign_id: conversion.campaignId,
  offer_id: conversion.offerId,
  currency: conversion.currency,
  created_at: conversion.createdAt,
  click: conversion.click,
  ip_network: networkOf(conversion.click.ip, 'ip'),
  fraud: conversion.fraud,
})
