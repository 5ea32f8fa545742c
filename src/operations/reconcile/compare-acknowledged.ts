import type { FactsClient } from '#platform/clickhouse'
import type { Pool } from '#platform/postgres'
import { eventIdentity } from '#records'

import { compare, type Check } from './check.ts'
import { findClicks, findEvents, findLost } from './compare-log.ts'

/** Something that a client was answered for, kept by the client itself. */
export type Acknowledged =
  | { readonly kind: 'click'; readonly clickId: string }
  | { readonly kind: 'event'; readonly clickId: string; readonly type: string; readonly txid?: string }
  | { readonly kind: 'postback'; readonly clickId: string; readonly txid?: string }

/** Reads a file of promises: one JSON object per line.
 * @throws {Error} a line that is none, with its number
 */
export function parseAcknowledged(text: string): readonly Acknowledged[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return []
    const parsed = parseLine(line)
    if (parsed === undefined) throw new Error(`line ${index + 1} is no acknowledged click, event or postback`)
    return [parsed]
  })
}

function parseLine(line: string): Acknowledged | undefined {
  try {
    const value = JSON.parse(line) as Partial<Record<string, unknown>>
    const isKnown = value['kind'] === 'click' || value['kind'] === 'event' || value['kind'] === 'postback'
    const isWhole =
      typeof value['clickId'] === 'string' && (value['kind'] !== 'event' || typeof value['type'] === 'string')
    return isKnown && isWhole ? (value as Acknowledged) : undefined
  } catch {
    return undefined
  }
}

const FIND_POSTBACKS = `
  SELECT DISTINCT click_id || '|postback|' || coalesce(txid, '-') AS id FROM inbound_postbacks
  WHERE click_id = ANY($1::uuid[])`

/** Whether everything that was acknowledged is there. */
export async function compareAcknowledged(
  acknowledged: readonly Acknowledged[],
  facts: FactsClient,
  pool: Pool,
): Promise<readonly Check[]> {
  const findPostbacks = async (ids: readonly string[]): Promise<ReadonlySet<string>> => {
    const clickIds = ids.map((id) => id.slice(0, 36))
    return new Set((await pool.query<{ id: string }>(FIND_POSTBACKS, [clickIds])).rows.map(({ id }) => id))
  }
  const kinds = {
    click: (ids: readonly string[]) => findClicks(facts, ids),
    event: (ids: readonly string[]) => findEvents(facts, ids),
    postback: findPostbacks,
  }
  const checks: Check[] = []
  for (const [kind, find] of Object.entries(kinds)) {
    const promised = acknowledged.filter((one) => one.kind === kind).map((one) => ({ identity: identityOf(one) }))
    const lost = await findLost(promised, find)
    checks.push(
      compare(
        `acknowledged_${kind}s`,
        `${kind}s acknowledged and kept`,
        promised.length,
        promised.length - lost.length,
        lost.map(({ identity }) => identity),
      ),
    )
  }
  return checks
}

function identityOf(one: Acknowledged): string {
  if (one.kind === 'click') return one.clickId
  return eventIdentity(one.clickId, one.kind === 'event' ? one.type : 'postback', one.txid)
}
