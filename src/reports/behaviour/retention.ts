import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'

import { askFacts } from '../ask-facts.ts'
import type { CompiledQuery } from '../compile-report.ts'
import type { ActionTable } from '../measures.ts'
import { findMissingDays, type MissingDays, type RawRows } from '../source.ts'
import type { TimeRange } from '../time-range.ts'
import { groupValues, share, type GroupValue, SPILLING } from './answers.ts'
import { behaviourLimits } from './limits.ts'
import { periodNumberSql, periodsOf, type CohortPeriod, type Periods } from './periods.ts'
import {
  compileStepRows, groupColumns, groupNames, groupParams, invalid, isRefusal, parseScope, parseStep, unitColumn,
  type AskedScope, type AskedStep, type BehaviourDefaults, type Refusal, type Scope, type Step,
} from './steps.ts' // prettier-ignore

/** What counts as a return: `exact` in the period itself, `unbounded` in it or in a later one, up to the last of the table. */
export const retentionKinds = ['exact', 'unbounded'] as const
export type RetentionKind = (typeof retentionKinds)[number]

export type AskedRetention = AskedScope & {
  /** With what somebody joins a cohort; left out: a click. */
  readonly first?: AskedStep | undefined
  /** With what somebody comes back; left out: a click. */
  readonly returned?: AskedStep | undefined
  readonly period?: CohortPeriod | undefined
  readonly kind?: RetentionKind | undefined
  /** How many after the first one. */
  readonly periods?: number | undefined
  /** Whoever did the first step in these days before the range is not new. */
  readonly lookback_days?: number | undefined
}

export type Retention = {
  readonly scope: Scope
  readonly first: Step
  readonly returned: Step
  /** Whether both are the same, so that its rows are read once. */
  readonly isSameStep: boolean
  readonly cohorts: Periods
  readonly kind: RetentionKind
  readonly periods: number
  readonly lookbackDays: number
  readonly nowMs: number
}

export type RetentionCell = {
  /** Periods after the first one: 1 and on. */
  readonly period: number
  /** Visitors of the cohort that came back; null: the period has not begun. */
  readonly returned: number | null
  readonly share: number | null
  /** Whether the number can still grow. */
  readonly is_complete: boolean
}
export type Cohort = {
  /** First day of its day, week or month. */
  readonly start: string
  readonly size: number
  readonly is_complete: boolean
  readonly cells: readonly RetentionCell[]
}

export type RetentionAnswer = {
  readonly totals: readonly Cohort[]
  readonly rows: readonly {
    readonly group: Readonly<Record<string, GroupValue>>
    readonly cohorts: readonly Cohort[]
  }[]
  readonly is_truncated: boolean
  /** Days of which raw rows are gone. */
  readonly missing_days: readonly MissingDays[]
}

export type ParsedRetention = { readonly kind: 'asked'; readonly retention: Retention } | Refusal

/** Checks the question against the registries and the tenant's role. The range grows to whole periods. Pure. */
export function parseRetention(asked: AskedRetention, tenant: Tenant, defaults: BehaviourDefaults): ParsedRetention {
  const steps = { first: asked.first ?? { of: 'clicks' }, returned: asked.returned ?? { of: 'clicks' } } as const
  const first = parseStep(steps.first, 'first', tenant, defaults)
  if (isRefusal(first)) return first
  const returned = parseStep(steps.returned, 'returned', tenant, defaults)
  if (isRefusal(returned)) return returned
  const scope = parseScope(asked, tenant, defaults, [first.table, returned.table])
  if (isRefusal(scope)) return scope
  const cohorts = periodsOf(asked.period ?? 'day', scope.range, scope.timezone)
  if (cohorts.count > behaviourLimits.cohortsMax)
    return invalid('to', `the range has ${cohorts.count} cohorts, and ${behaviourLimits.cohortsMax} are the most`)
  const range = { fromMs: cohorts.startMs(0), toMs: cohorts.startMs(cohorts.count) }
  return {
    kind: 'asked',
    retention: {
      ...{ scope: { ...scope, range }, first, returned, cohorts, nowMs: defaults.nowMs },
      isSameStep: isSame(steps.first, steps.returned),
      kind: asked.kind ?? 'exact',
      periods: asked.periods ?? behaviourLimits.retentionPeriodsDefault,
      lookbackDays: asked.lookback_days ?? 0,
    },
  }
}

const isSame = (one: AskedStep, other: AskedStep): boolean =>
  one.of === other.of &&
  one.type === other.type &&
  one.filter === other.filter &&
  JSON.stringify(one.status ?? null) === JSON.stringify(other.status ?? null)

type RetentionRow = Readonly<Record<string, unknown>> & {
  /** Index of the cohort from 1 on, its size, and how many came back in each period. */
  readonly cohorts: readonly (readonly [number | string, number | string, readonly (number | string)[]])[]
}

/** How many of those who came first in a period came back in later ones.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function runRetention(facts: FactsClient, tenant: Tenant, retention: Retention): Promise<RetentionAnswer> {
  const { scope } = retention
  const missing_days = await findMissingDays(facts, tenant, rowsOfCohorts(retention))
  const rows = await askFacts<RetentionRow>(facts, compileRetention(retention, tenant))
  const total = rows.find((row) => Number(row['is_total']) === 1)
  const groups = scope.groupBy.length === 0 ? [] : rows.filter((row) => row !== total)
  return {
    totals: toCohorts(total, retention),
    rows: groups
      .slice(0, scope.limit)
      .map((row) => ({ group: groupValues(row, scope), cohorts: toCohorts(row, retention) })),
    is_truncated: groups.length > scope.limit,
    missing_days,
  }
}

function toCohorts(row: RetentionRow | undefined, retention: Retention): readonly Cohort[] {
  const { cohorts, periods, nowMs, kind } = retention
  const found = new Map(row?.cohorts.map(([index, size, counts]) => [Number(index) - 1, { size, counts }]))
  const hasEnded = (index: number): boolean => cohorts.startMs(index + 1) <= nowMs
  return Array.from({ length: cohorts.count }, (_, index) => {
    const { size = 0, counts = [] } = found.get(index) ?? {}
    const cells = Array.from({ length: periods }, (_, at): RetentionCell => {
      const hasBegun = cohorts.startMs(index + at + 1) <= nowMs
      const returned = hasBegun ? Number(counts[at] ?? 0) : null
      return {
        period: at + 1,
        returned,
        share: returned === null ? null : share(returned, Number(size)),
        is_complete: hasEnded(kind === 'exact' ? index + at + 1 : index + periods),
      }
    })
    return { start: cohorts.dayOf(index), size: Number(size), is_complete: hasEnded(index), cells }
  })
}

/** Bits of a word of a set of periods. */
const WORD = 64
/** Stands for “did not do the first step”; there are never as many periods. */
const NEVER = 65_535

/** Visitors are told apart by 64 bits of a hash of their code: among ten million of them the chance that any two are taken for
 * one is three in a million.
 */
function compileRetention(retention: Retention, tenant: Tenant): CompiledQuery {
  const { scope, cohorts, periods } = retention
  const groups = groupNames(scope.groupBy)
  const words = Math.ceil((periodsOfRows(retention) + 1) / WORD)
  const rows = compileRows(retention, tenant, words)
  const names = Array.from({ length: words }, (_, index) => `m${index}`)
  const sets = names.map((_, index) => `w${index}`)
  const masks = Array.from({ length: words }, (_, index) => `groupBitOr(b${index}) AS m${index}`)
  const first = groups.length === 0 ? [] : [`minIf((ms, ${groups.join(', ')}), p != ${NEVER}) AS first`]
  const values = groups.map((name, index) => `tupleElement(first, ${index + 2}) AS ${name}`)
  const grouping = groups.length === 0 ? 'GROUP BY c' : `GROUP BY GROUPING SETS ((${['c', ...groups].join(', ')}), (c))`
  const isTotal = groups.length === 0 ? '1 AS is_total' : `grouping(${groups[0]}) AS is_total`
  const keys = ['is_total', ...groups].join(', ')
  const sql = `SELECT ${keys}, groupArray((c, size, counts)) AS cohorts FROM (
SELECT ${[...groups, 'c', isTotal, 'sum(n) AS size', `sumForEach(arrayMap(x -> x * n, ${returnsOf(retention.kind)})) AS counts`].join(', ')}
FROM (
SELECT ${[...groups, 'c', `[${sets.join(', ')}] AS words`, 'n'].join(', ')} FROM (
SELECT ${[...groups, 'c', ...sets.map((name, index) => `${setAfter(index, words)} AS ${name}`), 'count() AS n'].join(', ')} FROM (
SELECT ${['c', ...values, ...names].join(', ')} FROM (
SELECT ${[`${firstOf(retention, names)} AS c`, ...first, ...masks].join(', ')} FROM (
${rows.sql}
) GROUP BY v HAVING c BETWEEN 1 AND ${cohorts.count}
)) GROUP BY ${[...groups, 'c', ...sets].join(', ')}
)) ${grouping}
) GROUP BY ${keys} ORDER BY is_total DESC, sum(size) DESC${groups.map((name) => `, ${name}`).join('')}
LIMIT {limit:UInt32}
${SPILLING}`
  return {
    sql,
    readsAll: readsAllClicks(retention, tenant),
    params: {
      ...rows.params,
      ...groupParams(scope),
      ...{ periods, limit: scope.limit + 2, first_number: cohorts.first },
    },
  }
}

const readsAllClicks = ({ first, isSameStep, scope }: Retention, { role }: Tenant): boolean =>
  role === 'owner' && isSameStep && first.isEveryClick && scope.rule === undefined

/** Whether the periods of somebody tell their first one too: then one number is kept for each visitor instead of two. */
const isFirstInSet = ({ isSameStep, scope }: Retention): boolean => isSameStep && scope.groupBy.length === 0

/** The first period of a visitor: the smallest number, or the place of the lowest bit of the set. */
function firstOf(retention: Retention, names: readonly string[]): string {
  if (!isFirstInSet(retention)) return 'min(p)'
  return names.reduceRight(
    (rest, name, index) => `if(${name} != 0, ${index * WORD} + bitCount(bitXor(${name}, ${name} - 1)) - 1, ${rest})`,
    String(NEVER),
  )
}

/** What came before is of no interest: without it fewer sets are different. A single word is cleared up to the cohort itself. */
const setAfter = (index: number, words: number): string =>
  words === 1 ? `bitAnd(m${index}, bitShiftLeft(toUInt64(18446744073709551615), c + 1))` : `m${index}`

/** 1 for each period after the cohort's in which somebody counts as returned, else 0. */
function returnsOf(kind: RetentionKind): string {
  const isThere = `bitTest(words[1 + intDiv(c + x, ${WORD})], (c + x) % ${WORD})`
  const all = 'range(1, {periods:UInt32} + 1)'
  const exact = `arrayMap(x -> toUInt64(${isThere}), ${all})`
  // From the last one backwards: whoever came later counts in all before.
  return kind === 'exact' ? exact : `arrayMap(x -> least(x, 1), arrayReverse(arrayCumSum(arrayReverse(${exact}))))`
}

/** For each row the visitor, `p`: number of the cohort from 1 on, 0 before the range, and the bit of the period as a return. */
function compileRows(retention: Retention, tenant: Tenant, words: number): CompiledQuery {
  const { first, returned, scope, isSameStep } = retention
  const [early, late] = rangesOf(retention)
  const toMs = { to_ms: scope.range.toMs, first_ms: scope.range.fromMs }
  if (isSameStep) {
    const whole = { fromMs: early.fromMs, toMs: late.toMs }
    const p = isFirstInSet(retention)
      ? undefined
      : `if(at < fromUnixTimestamp64Milli({to_ms:Int64}), ${cohortSql(retention)}, ${NEVER})`
    const rows = compileSource(retention, tenant, first, whole, 'whole', p, bitsOf(retention, words), true)
    return { sql: rows.sql, params: { ...rows.params, ...toMs } }
  }
  const none = Array.from({ length: words }, () => 'toUInt64(0)')
  const one = compileSource(retention, tenant, first, early, 'early', cohortSql(retention), none, true)
  const isFew = first.table !== 'clicks' && returned.table === 'clicks'
  const two = compileSource(
    retention,
    tenant,
    returned,
    late,
    'late',
    String(NEVER),
    bitsOf(retention, words),
    false,
    isFew ? visitorsOf(first, early, scope, tenant) : undefined,
  )
  return { sql: `${one.sql}\nUNION ALL\n${two.sql}`, params: { ...one.params, ...two.params, ...toMs } }
}

/** Of all clicks few are of visitors that have an event or a conversion. */
function visitorsOf(step: Step, range: TimeRange, scope: Scope, tenant: Tenant): string {
  const rows = compileStepRows({
    ...{ step, range, scope, tenant, rangeName: 'early' },
    columns: [`${visitorHash(step.table)} AS code`],
  })
  return `${visitorHash('clicks')} IN (SELECT code FROM (${rows.sql}))`
}

/** Clicks have it as a column. */
const visitorHash = (table: ActionTable): string => (table === 'clicks' ? 'visitor_hash' : 'cityHash64(visitor_code)')

/** The rows that are read of both steps. */
function rowsOfCohorts(retention: Retention): readonly RawRows[] {
  const [early, late] = rangesOf(retention)
  return [
    { table: retention.first.table, range: early, column: unitColumn.visitor },
    { table: retention.returned.table, range: late, column: unitColumn.visitor },
  ]
}

function rangesOf(retention: Retention): readonly [TimeRange, TimeRange] {
  const { scope, cohorts, lookbackDays } = retention
  const { fromMs, toMs } = scope.range
  const early = { fromMs: fromMs - lookbackDays * 86_400_000, toMs }
  return [early, { fromMs, toMs: cohorts.startMs(periodsOfRows(retention)) }]
}

/** Periods that rows may be of: those that have not begun have none, and each that is left out makes the sets smaller. */
function periodsOfRows({ cohorts, periods, nowMs }: Retention): number {
  let count = cohorts.count + periods
  while (count > cohorts.count && cohorts.startMs(count - 1) > nowMs) count--
  return count
}

function compileSource(
  { scope }: Retention,
  tenant: Tenant,
  step: Step,
  range: TimeRange,
  rangeName: string,
  p: string | undefined,
  bits: readonly string[],
  isFirst: boolean,
  where?: string,
): CompiledQuery {
  const groups = groupNames(scope.groupBy)
  const values = isFirst ? groupColumns(scope.groupBy, step.table) : groups.map((name) => `'' AS ${name}`)
  const known = `${visitorHash(step.table)} != cityHash64('')`
  return compileStepRows({
    ...{
      step,
      scope,
      tenant,
      range,
      rangeName,
      where: where === undefined ? known : `${known} AND ${where}`,
    },
    columns: [
      `${visitorHash(step.table)} AS v`,
      ...(p === undefined ? [] : [`toUInt16(${p}) AS p`]),
      ...bits.map((bit, index) => `${bit} AS b${index}`),
      ...(groups.length === 0 ? [] : ['toUnixTimestamp64Milli(at) AS ms', ...values]),
    ],
  })
}

/** Number of the period in the range from 1 on. */
const numberSql = ({ cohorts }: Retention): string => `(${periodNumberSql(cohorts.kind)} - {first_number:UInt32} + 1)`

const cohortSql = (retention: Retention): string =>
  retention.lookbackDays === 0
    ? numberSql(retention)
    : `if(at < fromUnixTimestamp64Milli({first_ms:Int64}), 0, ${numberSql(retention)})`

function bitsOf(retention: Retention, words: number): readonly string[] {
  const number = retention.isSameStep && retention.lookbackDays > 0 ? cohortSql(retention) : numberSql(retention)
  return Array.from({ length: words }, (_, word) => {
    const bit = `bitShiftLeft(toUInt64(1), toUInt8(${number} % ${WORD}))`
    return words === 1 ? bit : `if(intDiv(${number}, ${WORD}) = ${word}, ${bit}, toUInt64(0))`
  })
}
