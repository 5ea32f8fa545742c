import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'

import { askFacts } from '../ask-facts.ts'
import type { CompiledQuery } from '../compile-report.ts'
import { findMissingDays, type MissingDays } from '../source.ts'
import { groupValues, type GroupValue, SPILLING } from './answers.ts'
import { compileChains, rowsOfChain, type Chain } from './chains.ts'
import { behaviourLimits } from './limits.ts'
import {
  groupNames, groupParams, isRefusal, parseScope, parseStep,
  type AskedScope, type AskedStep, type BehaviourDefaults, type Refusal, type Unit,
} from './steps.ts' // prettier-ignore

export type AskedTimeToConvert = AskedScope & {
  /** Left out: the click. */
  readonly start?: AskedStep | undefined
  /** Left out: any conversion that is pending or approved. */
  readonly end?: AskedStep | undefined
  readonly unit?: Unit | undefined
  readonly window_seconds?: number | undefined
}

/** Seconds at which a bucket of waits begins; the last one has no end. */
export const WAIT_BUCKETS_FROM_SECONDS: readonly number[] = [
  0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400, 172_800, 259_200,
  604_800, 1_209_600, 2_592_000, 5_184_000, 7_776_000,
] // prettier-ignore

/** Of the waits, by linear interpolation between the two nearest. */
export const WAIT_PERCENTILES = [5, 10, 25, 50, 75, 90, 95, 99] as const

export type Waits = {
  /** Clicks or visitors that came from the start to the end. */
  readonly count: number
  /** All null where nobody did. */
  readonly mean_seconds: number | null
  readonly min_seconds: number | null
  readonly max_seconds: number | null
  /** By name: p5 to p99. */
  readonly percentiles_seconds: Readonly<Record<string, number | null>>
  readonly buckets: readonly {
    readonly from_seconds: number
    readonly to_seconds: number | null
    readonly count: number
  }[]
}

export type TimeToConvertAnswer = {
  readonly totals: Waits
  readonly rows: readonly { readonly group: Readonly<Record<string, GroupValue>>; readonly waits: Waits }[]
  readonly is_truncated: boolean
  /** Days of which raw rows are gone. */
  readonly missing_days: readonly MissingDays[]
}

export type ParsedTimeToConvert = { readonly kind: 'asked'; readonly chain: Chain } | Refusal

/** Checks the question against the registries and the tenant's role. Pure. */
export function parseTimeToConvert(
  asked: AskedTimeToConvert,
  tenant: Tenant,
  defaults: BehaviourDefaults,
): ParsedTimeToConvert {
  const start = parseStep(asked.start ?? { of: 'clicks' }, 'start', tenant, defaults)
  if (isRefusal(start)) return start
  const end = parseStep(asked.end ?? { of: 'conversions' }, 'end', tenant, defaults)
  if (isRefusal(end)) return end
  const scope = parseScope(asked, tenant, defaults, [start.table, end.table])
  if (isRefusal(scope)) return scope
  const { unit = 'click', window_seconds: windowSeconds = behaviourLimits.windowSecondsDefault } = asked
  return { kind: 'asked', chain: { scope, unit, mode: 'ordered', windowSeconds, steps: [start, end] } }
}

type WaitsRow = Readonly<Record<string, unknown>>

/** How long it took from one step to another.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function runTimeToConvert(facts: FactsClient, tenant: Tenant, chain: Chain): Promise<TimeToConvertAnswer> {
  const { scope } = chain
  const missing_days = await findMissingDays(facts, tenant, rowsOfChain(chain))
  const rows = await askFacts<WaitsRow>(facts, compileTimeToConvert(chain, tenant))
  const total = rows.find((row) => Number(row['is_total']) === 1) ?? {}
  const groups = scope.groupBy.length === 0 ? [] : rows.filter((row) => row !== total)
  return {
    totals: toWaits(total),
    rows: groups.slice(0, scope.limit).map((row) => ({ group: groupValues(row, scope), waits: toWaits(row) })),
    is_truncated: groups.length > scope.limit,
    missing_days,
  }
}

const toSeconds = (ms: unknown): number | null => (ms === null || ms === undefined ? null : Number(ms) / 1_000)

function toWaits(row: WaitsRow): Waits {
  const percentiles = (row['percentiles'] ?? []) as readonly (number | null)[]
  const counts = (row['buckets'] ?? []) as readonly unknown[]
  const count = Number(row['count'] ?? 0)
  const isNone = count === 0
  return {
    count,
    mean_seconds: isNone ? null : toSeconds(row['mean']),
    min_seconds: isNone ? null : toSeconds(row['min']),
    max_seconds: isNone ? null : toSeconds(row['max']),
    percentiles_seconds: Object.fromEntries(
      WAIT_PERCENTILES.map((percent, index) => [`p${percent}`, isNone ? null : toSeconds(percentiles[index])]),
    ),
    buckets: WAIT_BUCKETS_FROM_SECONDS.map((from, index) => ({
      from_seconds: from,
      to_seconds: WAIT_BUCKETS_FROM_SECONDS[index + 1] ?? null,
      count: Number(counts[index] ?? 0),
    })),
  }
}

function compileTimeToConvert(chain: Chain, tenant: Tenant): CompiledQuery {
  const { scope } = chain
  const groups = groupNames(scope.groupBy)
  const chains = compileChains(chain, tenant)
  const grouping = groups.length === 0 ? '' : `GROUP BY GROUPING SETS ((${groups.join(', ')}), ())`
  const isTotal = groups.length === 0 ? '1 AS is_total' : `grouping(${groups[0]}) AS is_total`
  const buckets = WAIT_BUCKETS_FROM_SECONDS.map((from, index) => {
    const to = WAIT_BUCKETS_FROM_SECONDS[index + 1]
    return `countIf(wait >= ${from * 1_000}${to === undefined ? '' : ` AND wait < ${to * 1_000}`})`
  })
  const measures = [
    ...['count() AS count', 'avg(wait) AS mean', 'min(wait) AS min', 'max(wait) AS max'],
    `quantilesExactInclusive(${WAIT_PERCENTILES.map((percent) => percent / 100).join(', ')})(wait) AS percentiles`,
    `[${buckets.join(', ')}] AS buckets`,
  ]
  const sql = `SELECT ${[...groups, isTotal, ...measures].join(', ')}
FROM (SELECT ${[...groups, 't1 - t0 AS wait'].join(', ')} FROM (${chains.sql}) WHERE t1 != 0) ${grouping}
ORDER BY is_total DESC, count DESC${groups.map((name) => `, ${name}`).join('')}
LIMIT {limit:UInt32}
${SPILLING}`
  return { sql, params: { ...chains.params, ...groupParams(scope), limit: scope.limit + 2 } }
}
