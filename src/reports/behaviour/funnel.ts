import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'

import { askFacts } from '../ask-facts.ts'
import type { CompiledQuery } from '../compile-report.ts'
import { findMissingDays, type MissingDays } from '../source.ts'
import { compileChains, rowsOfChain, type Chain, type FunnelMode } from './chains.ts'
import { groupValues, share, type GroupValue, SPILLING } from './answers.ts'
import { behaviourLimits } from './limits.ts'
import {
  compileStepRows, groupColumns, groupNames, groupParams, isRefusal, parseScope, parseStep, unitColumn, unitKnown,
  type AskedScope, type AskedStep, type BehaviourDefaults, type Refusal, type Step, type Unit,
} from './steps.ts' // prettier-ignore

export type AskedFunnel = AskedScope & {
  readonly steps: readonly AskedStep[]
  readonly mode?: FunnelMode | undefined
  readonly unit?: Unit | undefined
  readonly window_seconds?: number | undefined
}

export type FunnelStep = {
  readonly name: string
  /** Clicks or visitors that got here. */
  readonly count: number
  /** Null: nobody did the first step. */
  readonly share_of_first: number | null
  readonly share_of_previous: number | null
  /** Null for the first step, in any order, and where nobody got here. */
  readonly median_seconds_from_previous: number | null
}

export type FunnelAnswer = {
  readonly totals: readonly FunnelStep[]
  readonly rows: readonly {
    readonly group: Readonly<Record<string, GroupValue>>
    readonly steps: readonly FunnelStep[]
  }[]
  readonly is_truncated: boolean
  /** Days of which raw rows are gone. */
  readonly missing_days: readonly MissingDays[]
}

export type ParsedFunnel = { readonly kind: 'asked'; readonly funnel: Chain } | Refusal

/** Checks a funnel against the registries and the tenant's role. Pure. */
export function parseFunnel(asked: AskedFunnel, tenant: Tenant, defaults: BehaviourDefaults): ParsedFunnel {
  const steps: Step[] = []
  for (const [index, step] of asked.steps.entries()) {
    const parsed = parseStep(step, `steps.${index}`, tenant, defaults)
    if (isRefusal(parsed)) return parsed
    steps.push(parsed)
  }
  const scope = parseScope(asked, tenant, defaults, steps.map(({ table }) => table)) // prettier-ignore
  if (isRefusal(scope)) return scope
  const {
    mode = 'ordered',
    unit = 'click',
    window_seconds: windowSeconds = behaviourLimits.windowSecondsDefault,
  } = asked
  return { kind: 'asked', funnel: { scope, unit, mode, windowSeconds, steps } }
}

type FunnelRow = Readonly<Record<string, string | number | null>>

/** How many clicks or visitors got how far.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function runFunnel(facts: FactsClient, tenant: Tenant, funnel: Chain): Promise<FunnelAnswer> {
  const { scope, steps } = funnel
  const missing_days = await findMissingDays(facts, tenant, rowsOfChain(funnel))
  const rows = await askFacts<FunnelRow>(facts, compileFunnel(funnel, tenant))
  const total = rows.find((row) => Number(row['is_total']) === 1) ?? {}
  const groups = scope.groupBy.length === 0 ? [] : rows.filter((row) => row !== total)
  return {
    totals: toSteps(total, steps),
    rows: groups.slice(0, scope.limit).map((row) => ({ group: groupValues(row, scope), steps: toSteps(row, steps) })),
    is_truncated: groups.length > scope.limit,
    missing_days,
  }
}

function toSteps(row: FunnelRow, steps: readonly Step[]): readonly FunnelStep[] {
  const countAt = (index: number): number => Number(row[`n${index}`] ?? 0)
  return steps.map(({ name }, index) => {
    const median = row[`m${index}`] ?? null
    return {
      name,
      count: countAt(index),
      share_of_first: share(countAt(index), countAt(0)),
      share_of_previous: share(countAt(index), countAt(Math.max(0, index - 1))),
      median_seconds_from_previous: median === null ? null : Number(median) / 1_000,
    }
  })
}

/** The first step is counted by itself, because most go no farther; the others are counted over the chains. */
function compileFunnel(funnel: Chain, tenant: Tenant): CompiledQuery {
  const { scope, steps } = funnel
  const groups = groupNames(scope.groupBy)
  const later = steps.slice(1).map((_, index) => index + 1)
  const first = compileFirstStep(funnel, tenant)
  const chains = compileChains(funnel, tenant)
  const grouping = groups.length === 0 ? '' : `GROUP BY GROUPING SETS ((${groups.join(', ')}), ())`
  const isTotal = groups.length === 0 ? '1 AS is_total' : `grouping(${groups[0]}) AS is_total`
  const none = later.flatMap((index) => [`toUInt64(0) AS n${index}`, `CAST(NULL AS Nullable(Float64)) AS m${index}`])
  const counted = later.flatMap((index) => [
    `countIf(t${index} != 0) AS n${index}`,
    `${medianAt(funnel, index)} AS m${index}`,
  ])
  const summed = [
    'sum(n0) AS n0',
    ...later.flatMap((index) => [`sum(n${index}) AS n${index}`, `max(m${index}) AS m${index}`]),
  ]
  const keys = ['is_total', ...groups].join(', ')
  const sql = `SELECT ${[keys, ...summed].join(', ')} FROM (
SELECT ${[...groups, isTotal, 'count() AS n0', ...none].join(', ')} FROM (${first.sql}) ${grouping}
UNION ALL
SELECT ${[...groups, isTotal, 'toUInt64(0) AS n0', ...counted].join(', ')} FROM (${chains.sql}) ${grouping}
)
GROUP BY ${keys} HAVING n0 > 0 ORDER BY is_total DESC, n0 DESC${groups.map((name) => `, ${name}`).join('')}
LIMIT {limit:UInt32}
${SPILLING}`
  return { sql, params: { ...first.params, ...chains.params, ...groupParams(scope), limit: scope.limit + 2 } }
}

/** One row for each unit that did the first step, with its groups as the chains have them. A click is one row already. */
function compileFirstStep({ scope, steps, unit }: Chain, tenant: Tenant): CompiledQuery {
  const [step] = steps as [Step, ...Step[]]
  const groups = groupNames(scope.groupBy)
  const isRowEach = unit === 'click' && step.table === 'clicks'
  const rows = compileStepRows({
    ...{ step, scope, tenant, range: scope.range, rangeName: 'first', where: unitKnown[unit] },
    columns: isRowEach
      ? [...groupColumns(scope.groupBy, step.table), '1 AS one']
      : [`${unitColumn[unit]} AS u`, 'at AS moment', ...groupColumns(scope.groupBy, step.table)],
  })
  if (isRowEach) return rows
  if (groups.length === 0) return { sql: `SELECT u FROM (${rows.sql}) GROUP BY u`, params: rows.params }
  const values = groups.map((name, index) => `tupleElement(first, ${index + 2}) AS ${name}`)
  return {
    sql: `SELECT ${values.join(', ')} FROM (SELECT min((moment, ${groups.join(', ')})) AS first FROM (${rows.sql}) GROUP BY u)`,
    params: rows.params,
  }
}

/** In any order there is no step before. */
const medianAt = ({ mode }: Chain, index: number): string =>
  mode === 'any'
    ? 'CAST(NULL AS Nullable(Float64))'
    : `quantileExactInclusiveOrNullIf(0.5)(t${index} - t${index - 1}, t${index} != 0)`
