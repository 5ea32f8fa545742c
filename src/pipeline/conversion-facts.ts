import type { FaultGuard } from '#config'
import { addConversionLines, findPresent, insertFacts, LineBuffer, type ConversionRevisionFact } from '#facts'
import type { FactsClient } from '#platform/clickhouse'
import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { ClickRecord } from '#records'

import { advance, markPending, takeOver, type TakenPlace } from './positions.ts'
import { pause, Stopped, untilDone } from './retry.ts'

/** Takes conversions over into the facts, in the order of their revisions, with a place of its own: changes by the API and the
 * end of holds go the same way as those of the pipeline.
 */
export type ConversionFacts = {
  /** Says that there may be new revisions. */
  readonly wake: () => void
  /** Revisions up to here are in the facts. */
  readonly position: () => number
  readonly stop: () => Promise<void>
}

export const CONVERSION_FACTS = { consumer: 'conversion-facts', partition: 'conversions' } as const

/** Changes of other processes are found this late. */
const POLL_MS = 500
const REVISIONS_PER_INSERT = 5_000

type FactRow = {
  seq: bigint
  revision: number
  conversion_id: string
  click_id: string
  type: string
  goal: string
  txid: string
  currency: string
  created_at: Date
  revised_at: Date
  advertiser_id: string
  affiliate_id: string | null
  campaign_id: string | null
  offer_id: string
  click: ClickRecord
  status: string
  raw_status: string | null
  payout_micros: bigint
  revenue_micros: bigint
  sale_amount_micros: bigint
  before_status: string | null
  before_raw_status: string | null
  before_payout_micros: bigint | null
  before_revenue_micros: bigint | null
  before_sale_amount_micros: bigint | null
}

const READ = `
  SELECT r.seq, r.revision, r.conversion_id, r.revised_at, r.status, r.raw_status, r.payout_micros, r.revenue_micros,
    r.sale_amount_micros, c.click_id, c.type, c.goal, c.txid, c.currency, c.created_at, c.advertiser_id, c.affiliate_id,
    c.campaign_id, c.offer_id, c.click, b.status AS before_status, b.raw_status AS before_raw_status,
    b.payout_micros AS before_payout_micros, b.revenue_micros AS before_revenue_micros,
    b.sale_amount_micros AS before_sale_amount_micros
  FROM conversion_revisions r
  JOIN conversions c USING (conversion_id)
  LEFT JOIN conversion_revisions b ON b.conversion_id = r.conversion_id AND b.revision = r.revision - 1
  WHERE r.seq >= $1 AND r.seq < $2
  ORDER BY r.seq LIMIT ${REVISIONS_PER_INSERT}`

const SEQ_MAX = '9223372036854775807'

/** Starts at once, from the place where the last one stopped. */
export function startConversionFacts(options: {
  readonly pool: Pool
  readonly facts: FactsClient
  readonly logLines: LogLines
  readonly guardsOff: ReadonlySet<FaultGuard>
}): ConversionFacts {
  const { pool, facts, logLines, guardsOff } = options
  const stopping = new AbortController()
  const { signal } = stopping
  let wakeUp = Promise.withResolvers<void>()
  let position = 0
  /** End of the range that was begun, by this or an earlier run: it is sent again as it was cut. */
  let pendingTo: number | undefined

  /** @returns whether there was anything */
  async function sendNext(taken: TakenPlace): Promise<boolean> {
    const isResent = pendingTo !== undefined
    const { rows } = await pool.query<FactRow>(READ, [position, pendingTo ?? SEQ_MAX])
    const next = pendingTo ?? (rows.length === 0 ? undefined : Number(rows.at(-1)!.seq) + 1)
    if (next === undefined) return false
    const isFenced = !guardsOff.has('fence')
    await markPending(pool, taken.place, position, next, isFenced)
    pendingTo = next
    const revisions = rows.map(toFact)
    const range = `${CONVERSION_FACTS.consumer}:${position}-${next}`
    await insertFacts(facts, { table: 'conversions', lines: linesOf(revisions), range }, !guardsOff.has('token'))
    if (isResent) await mend(revisions, position, next, range)
    await advance(pool, taken.place, position, next, isFenced)
    position = next
    pendingTo = undefined
    return true
  }

  /** The same window as in mendFacts: a token without its rows. */
  async function mend(revisions: readonly ConversionRevisionFact[], from: number, to: number, range: string) {
    const present = await findPresent(facts, { table: 'conversions', column: 'seq', from, to })
    const lines = linesOf(revisions.filter(({ seq }) => !present.has(Number(seq))))
    await insertFacts(facts, { table: 'conversions', lines, range: `${range}:mended` })
  }

  async function run(): Promise<void> {
    const retry = { signal, logLines }
    const { consumer, partition } = CONVERSION_FACTS
    const taken = await untilDone('taking conversions over', () => takeOver(pool, consumer, partition), retry)
    position = taken.position
    pendingTo = taken.pendingTo
    while (!signal.aborted) {
      wakeUp = Promise.withResolvers()
      const hasMoved = await untilDone('sending conversions to the facts', () => sendNext(taken), retry)
      if (!hasMoved) await Promise.race([wakeUp.promise, pause(POLL_MS, signal)])
    }
  }

  const finished = run().catch((error: unknown) => {
    if (!(error instanceof Stopped)) logLines.error({ err: error }, 'conversions no longer reach the facts')
  })

  return {
    wake: () => wakeUp.resolve(),
    position: () => position,
    stop: async () => {
      stopping.abort()
      await finished
    },
  }
}

function linesOf(revisions: readonly ConversionRevisionFact[]): Buffer {
  const lines = new LineBuffer()
  for (const revision of revisions) addConversionLines(lines, revision)
  return lines.toBuffer()
}

const toFact = (row: FactRow): ConversionRevisionFact => ({
  ...row,
  seq: String(row.seq),
  createdAt: row.created_at.getTime(),
  revisedAt: row.revised_at.getTime(),
  state: {
    status: row.status,
    raw_status: row.raw_status,
    payout_micros: String(row.payout_micros),
    revenue_micros: String(row.revenue_micros),
    sale_amount_micros: String(row.sale_amount_micros),
  },
  before:
    row.before_status === null
      ? undefined
      : {
          status: row.before_status,
          raw_status: row.before_raw_status,
          payout_micros: String(row.before_payout_micros),
          revenue_micros: String(row.before_revenue_micros),
          sale_amount_micros: String(row.before_sale_amount_micros),
        },
})
