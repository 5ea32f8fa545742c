import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { ClickRecord, PostbackRecord } from '#records'
import type { Snapshot } from '#routing'

import { decideConversions, type ConversionOutcome } from './decide-conversions.ts'
import { openConversionScores } from './fraud-scores.ts'
import { judgePostback, offersById } from './judge.ts'
import { recordRevisions } from './record-revisions.ts'
import { lockByClick, storeConversions } from './store.ts'

/** An inbound postback with its verdict. */
export type JudgedInbound = {
  readonly record: PostbackRecord
  readonly click: ClickRecord | undefined
  readonly outcome: ConversionOutcome
}

const INSERT = `
  INSERT INTO inbound_postbacks (postback_id, received_at, via, advertiser_id, offer_id, click_id, raw_click_id, raw_status,
    raw_goal, txid, amount_micros, sale_amount_micros, currency, ip, raw, record, outcome, reason, conversion_id)
  SELECT * FROM json_to_recordset($1) AS x(postback_id uuid, received_at timestamptz, via text, advertiser_id text, offer_id text,
    click_id uuid, raw_click_id text, raw_status text, raw_goal text, txid text, amount_micros bigint,
    sale_amount_micros bigint, currency text, ip inet, raw text, record jsonb, outcome text, reason text, conversion_id uuid)
  ON CONFLICT (postback_id) DO NOTHING`

/** Stores inbound postbacks with what became of them; one that is there already is left as it stands. */
export async function storeInbound(tx: Tx, inbound: readonly JudgedInbound[]): Promise<void> {
  if (inbound.length > 0) await tx.query(INSERT, [JSON.stringify(inbound.map(inboundRow))])
}

const inboundRow = ({ record, click, outcome }: JudgedInbound) => ({
  postback_id: record.postback_id,
  received_at: new Date(record.at),
  via: record.via,
  advertiser_id: click?.advertiser_id,
  offer_id: click?.offer_id,
  click_id: record.click_id,
  raw_click_id: record.raw_click_id,
  raw_status: record.raw_status,
  raw_goal: record.raw_goal,
  txid: record.txid,
  amount_micros: record.amount_micros,
  sale_amount_micros: record.sale_amount_micros,
  currency: record.currency,
  ip: record.ip,
  raw: record.raw,
  record,
  outcome: outcome.kind,
  reason: outcome.kind === 'refused' ? outcome.reason : undefined,
  conversion_id: outcome.conversionId,
})

/** Which refused postbacks to judge again; all given parts must fit. */
export type ReplayFilter = {
  readonly postbackIds?: readonly string[]
  readonly offerId?: string
  readonly advertiserId?: string
  readonly reason?: string
  readonly receivedFrom?: Date
  readonly receivedTo?: Date
}

/** What a replay did; `refused` stay refused, with a new reason where it changed. */
export type ReplayResult = { readonly converted: number; readonly updated: number; readonly refused: number }

const BATCH = 500
const LOCK_REFUSED = `
  SELECT postback_id, record FROM inbound_postbacks
  WHERE outcome = 'refused' AND postback_id > $1
    AND ($2::uuid[] IS NULL OR postback_id = ANY($2)) AND ($3::text IS NULL OR offer_id = $3)
    AND ($4::text IS NULL OR advertiser_id = $4) AND ($5::text IS NULL OR reason = $5)
    AND ($6::timestamptz IS NULL OR received_at >= $6) AND ($7::timestamptz IS NULL OR received_at < $7)
  ORDER BY postback_id LIMIT ${BATCH} FOR UPDATE`
const RESOLVE = `
  UPDATE inbound_postbacks p SET outcome = x.outcome, reason = x.reason, conversion_id = x.conversion_id,
    advertiser_id = x.advertiser_id, offer_id = x.offer_id
  FROM json_to_recordset($1) AS x(postback_id uuid, advertiser_id text, offer_id text, outcome text, reason text, conversion_id uuid)
  WHERE p.postback_id = x.postback_id`
const NIL_UUID = '00000000-0000-0000-0000-000000000000'

/** Judges refused inbound postbacks again, after their mistake was mended (a status mapped, an offer put back). They count as of
 * when they were received. What the edge refused (a wrong secret, a stale signature) stays refused.
 * @param findClick reads the click index
 */
export async function replayInboundPostbacks(
  pool: Pool,
  snapshot: Snapshot,
  findClick: (clickId: string) => ClickRecord | undefined,
  filter: ReplayFilter,
): Promise<ReplayResult> {
  const total = { converted: 0, updated: 0, refused: 0 }
  for (let after: string | undefined = NIL_UUID; after !== undefined;) {
    const step: ReplayStep = await inTransaction(pool, (tx) => replayStep(tx, snapshot, findClick, filter, after!))
    for (const outcome of step.outcomes) total[outcome.kind]++
    after = step.last
  }
  return total
}

type ReplayStep = { readonly outcomes: readonly ConversionOutcome[]; readonly last: string | undefined }

async function replayStep(
  tx: Tx,
  snapshot: Snapshot,
  findClick: (clickId: string) => ClickRecord | undefined,
  filter: ReplayFilter,
  after: string,
): Promise<ReplayStep> {
  const { rows } = await tx.query<{ postback_id: string; record: PostbackRecord }>(LOCK_REFUSED, [
    after,
    filter.postbackIds,
    filter.offerId,
    filter.advertiserId,
    filter.reason,
    filter.receivedFrom,
    filter.receivedTo,
  ])
  const inbound = await decideInbound(
    tx,
    snapshot,
    rows.map(({ record }) => ({
      record,
      click: record.click_id === undefined ? undefined : findClick(record.click_id),
    })),
  )
  if (inbound.length > 0) await tx.query(RESOLVE, [JSON.stringify(inbound.map(inboundRow))])
  return {
    outcomes: inbound.map(({ outcome }) => outcome),
    last: rows.length < BATCH ? undefined : rows.at(-1)!.postback_id,
  }
}

async function decideInbound(
  tx: Tx,
  snapshot: Snapshot,
  inbound: readonly { readonly record: PostbackRecord; readonly click: ClickRecord | undefined }[],
): Promise<readonly JudgedInbound[]> {
  const offers = offersById(snapshot.offers)
  const judged = inbound.map((one) => ({ ...one, verdict: judgePostback(one.record, one.click, offers) }))
  const requests = judged.flatMap(({ verdict }) => (verdict.kind === 'conversion' ? [verdict.request] : []))
  const existing = await lockByClick(tx, [...new Set(requests.map(({ click }) => click.click_id))])
  const scores = await openConversionScores(tx, snapshot, requests)
  const { outcomes, revisions } = decideConversions(existing, requests, scores)
  await storeConversions(tx, revisions)
  await recordRevisions(tx, revisions, snapshot)
  const decided = outcomes.values()
  return judged.map(({ record, click, verdict }) => ({
    record,
    click,
    outcome: verdict.kind === 'conversion' ? decided.next().value! : verdict,
  }))
}
