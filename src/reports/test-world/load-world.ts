import {
  addClickLine,
  addConversionLines,
  addEventLine,
  clickDimensions,
  LineBuffer,
  referrerHostOf,
  type ConversionState,
} from '#facts'
import { insertLines, type FactsClient } from '#platform/clickhouse'
import { encodeRecord } from '#records'

import type { CostShare, Revision } from './make-world.ts'
import type { Happened } from './read-log.ts'

const ROWS_PER_INSERT = 20_000
let loads = 0

/** Puts what happened into the facts as the pipeline would write it, in place of what is there. */
export async function loadWorld(facts: FactsClient, happened: Happened): Promise<void> {
  for (const table of ['clicks', 'events', 'conversions', 'costs'])
    await facts.command({ query: `TRUNCATE TABLE ${table}` })
  await addWorld(facts, happened)
}

/** Puts what happened into the facts beside what is there. */
export async function addWorld(facts: FactsClient, { clicks, events, conversions, costs }: Happened): Promise<void> {
  const load = ++loads
  await insertParts(facts, 'clicks', load, clicks, (lines, click, offset) =>
    addClickLine(
      lines,
      encodeRecord(click.record),
      { ...click, referrerHost: referrerHostOf(click.record) },
      { partition: 'world', offset },
    ),
  )
  await insertParts(facts, 'events', load, events, (lines, { record, click, refusal }, offset) =>
    addEventLine(lines, record, click, refusal, { partition: 'world', offset }),
  )
  const revisions = conversions.flatMap(({ states }) => states.map((state, index) => ({ state, before: states[index - 1] }))) // prettier-ignore
  await insertParts(facts, 'conversions', load, revisions, (lines, { state, before }, seq) =>
    addConversionLines(lines, {
      seq: String(seq),
      revision: state.revision,
      conversion_id: state.conversionId,
      click_id: state.click.click_id,
      type: state.type,
      goal: state.goal,
      txid: state.txid,
      currency: state.currency,
      createdAt: state.at,
      revisedAt: state.revisedAt,
      advertiser_id: state.click.advertiser_id!,
      affiliate_id: state.click.affiliate_id ?? null,
      campaign_id: state.click.campaign_id ?? null,
      offer_id: state.click.offer_id!,
      click: state.click,
      state: stateOf(state),
      before: before && stateOf(before),
    }),
  )
  await insertParts(facts, 'costs', load, costs, (lines, share) => lines.addText(costLine(share)))
}

/** What a share repeats of its click. */
const SHARED = [...clickDimensions, 'sub2_keys', 'visitor_code', 'referrer', 'class', 'outcome', 'refusal', 'domain', 'link_code'] as const // prettier-ignore

function costLine({ at, click, micros, currency }: CostShare): string {
  const shared = Object.fromEntries(SHARED.map((name) => [name, click[name]]))
  return JSON.stringify({
    ...shared,
    ...{ at, click_id: click.click_id, referrer_host: referrerHostOf(click) },
    ...{ cost_micros: String(micros), currency },
  })
}

const stateOf = (revision: Revision): ConversionState => ({
  status: revision.status,
  raw_status: revision.rawStatus ?? null,
  payout_micros: String(revision.payoutMicros),
  revenue_micros: String(revision.revenueMicros),
  sale_amount_micros: String(revision.saleAmountMicros),
})

async function insertParts<Item>(
  facts: FactsClient,
  table: 'clicks' | 'events' | 'conversions' | 'costs',
  load: number,
  items: readonly Item[],
  addLine: (lines: LineBuffer, item: Item, number: number) => void,
): Promise<void> {
  for (let from = 0; from < items.length; from += ROWS_PER_INSERT) {
    const lines = new LineBuffer()
    items.slice(from, from + ROWS_PER_INSERT).forEach((item, index) => addLine(lines, item, from + index))
    await insertLines(facts, { table, lines: lines.toBuffer(), token: `world-${load}:${from}:${table}` })
  }
}
