import type { Tenant } from '#accounts'

import type { CompiledQuery } from '../compile-report.ts'
import type { TimeRange } from '../time-range.ts'
import { behaviourLimits } from './limits.ts'
import { countedRows, inOwnColumns, type ActionTable } from '../measures.ts'
import { factsSource, type RawRows } from '../source.ts'
import { tenantCondition } from '../where.ts'
import { both, compileOwnRows, groupColumns, groupNames, inRange, isOfClick, nameOf, unitColumn, unitKnown, type Scope, type Step, type Unit } from './steps.ts' // prettier-ignore

/** In which order steps have to come.
 * - `ordered`: each later than the one before, whatever else happens between.
 * - `strict`: each is the first one after the step before, and between the two no other step happened.
 * - `any`: in any order, all within the window.
 */
export const funnelModes = ['ordered', 'strict', 'any'] as const
export type FunnelMode = (typeof funnelModes)[number]

/** Steps that follow each other. The first one lies in the range; the others may come after its end. */
export type Chain = {
  readonly scope: Scope
  readonly unit: Unit
  readonly mode: FunnelMode
  readonly windowSeconds: number
  readonly steps: readonly Step[]
}

/** Places of a moment for the number of its step: a moment is its milliseconds times this, plus the step. */
const STEPS = 16

/** One row for each unit that did the first step and the second one: `g0`, `g1` of its first moment of the first step, and `t0`…
 * the milliseconds of each step that it reached, 0 for the others. Of all beginnings the one that leads farthest counts, and of
 * these the first; from there on each step is the next one in time.
 */
export function compileChains(chain: Chain, tenant: Tenant): CompiledQuery {
  const { steps, scope, mode } = chain
  const groups = groupNames(scope.groupBy)
  const tables = [...new Set(steps.map(({ table }) => table))]
  const read = isKnownFromSecond(chain) ? tables.filter((table) => table !== 'clicks') : tables
  const parts = read.map((table) => momentsOf(chain, tenant, table))
  const lists = steps.map(
    (_, index) =>
      `arraySlice(arrayMap(x -> intDiv(x, ${STEPS}), arrayFilter(x -> x % ${STEPS} = ${index}, xs)), 1, ${behaviourLimits.momentsPerStepMax}) AS l${index}`,
  )
  const firsts = groups.map((name) => `f_${name} AS ${name}`)
  const sql = `SELECT ${[...groups, ...steps.map((_, index) => `c${index}[best] AS t${index}`)].join(', ')}
FROM (
SELECT ${[...firsts, ...lists, ...(mode === 'any' ? anyOrder(steps.length) : inOrder(steps.length, mode))].join(',\n')}
FROM (
SELECT ${['u', 'arraySort(groupArray(x)) AS xs', ...groupsOfUnit(chain)].join(', ')}
FROM (
${parts.map(({ sql }) => sql).join('\nUNION ALL\n')}
)
GROUP BY u HAVING countIf(x % ${STEPS} = 0) > 0 AND countIf(x % ${STEPS} = 1) > 0
))`
  return {
    sql,
    params: Object.assign({ window_ms: chain.windowSeconds * 1_000 }, ...parts.map(({ params }) => params)) as Record<
      string,
      unknown
    >,
  }
}

/** Where a unit belongs: under the values of its first moment of the first step; of two at the same time the smaller values. All
 * rows of a click have the same columns, so that there any of them will do.
 */
function groupsOfUnit({ scope, unit, steps }: Chain): readonly string[] {
  const groups = groupNames(scope.groupBy)
  const isFirst = `x % ${STEPS} = 0`
  if (unit === 'click' && steps[0]!.table !== 'conversions' && scope.groupBy.every(isOfClick))
    return groups.map((name) => `minIf(${name}, ${isFirst}) AS f_${name}`)
  const first = `minIf((x, ${groups.join(', ')}), ${isFirst})`
  return groups.map((name, index) => `tupleElement(${first}, ${index + 2}) AS f_${name}`)
}

/** The moments of all steps on a table, found in one reading of it: `u`, `x` and, with the first step, its groups. */
function momentsOf(chain: Chain, tenant: Tenant, table: ActionTable): CompiledQuery {
  const { scope, steps, unit } = chain
  const indexes = [...steps.keys()].filter((index) => steps[index]!.table === table)
  const conditions = indexes.map((index) => stepCondition(chain, index))
  const uncounted = isKnownFromSecond(chain) && steps[1]!.table === table ? uncountedClicks(chain, tenant) : undefined
  const others = restrictClicks(chain, tenant, table)
  const known = unitKnown[unit]
  const where = both([
    compileOwnRows(table, scope, tenant),
    { sql: `(${conditions.map(({ sql }) => `(${sql})`).join(' OR ')})`, params: {} },
    ...(known === undefined ? [] : [{ sql: known, params: {} }]),
    ...(others === undefined ? [] : [others]),
  ])
  const hasGroups = steps[0]!.table === table || uncounted !== undefined
  const names = groupNames(scope.groupBy)
  const columns = [
    `${unitColumn[unit]} AS u`,
    `toUInt64(toUnixTimestamp64Milli(at)) * ${STEPS} AS ms`,
    ...(uncounted === undefined ? [] : [`toUInt64(toUnixTimestamp64Milli(click_at)) * ${STEPS} AS click_ms`]),
    ...(hasGroups ? groupColumns(scope.groupBy, table) : names.map((name) => `'' AS ${name}`)),
  ]
  // Rows of a conversion cancel each other out, also those that meet the condition of a step.
  const isNet = table === 'conversions'
  const flagOf = ({ sql }: CompiledQuery): string => (isNet ? `sumIf(sign, ${sql}) > 0` : sql)
  const moments = conditions.map((condition, at) => `if(${flagOf(condition)}, ms + ${indexes[at]}, 0)`)
  if (uncounted !== undefined)
    moments.push(`if(${flagOf(conditions[indexes.indexOf(1)]!)} AND u NOT IN (${uncounted.sql}), click_ms, 0)`)
  const grouping = isNet ? ` GROUP BY ${['conversion_id', ...columns.map(nameOf)].join(', ')}` : ''
  const rows = `SELECT ${[...columns, `arrayFilter(m -> m != 0, [${moments.join(', ')}]) AS moments`].join(', ')} FROM ${factsSource(table)} WHERE ${where.sql}${grouping}`
  return {
    sql: `SELECT ${['u', 'arrayJoin(moments) AS x', ...names].join(', ')} FROM (${rows})`,
    params: Object.assign({}, where.params, uncounted?.params, ...conditions.map(({ params }) => params)) as Record<
      string,
      unknown
    >,
  }
}

/** Whether rows of the second step say all that there is to know of the first one: when the click was, and its groups. Reading these
 * few instead of all clicks is what makes a funnel over many clicks fast.
 */
function isKnownFromSecond({ scope, steps, unit }: Chain): boolean {
  const [first, second, ...others] = steps as [Step, Step, ...Step[]]
  if (unit !== 'click' || !first.isEveryClick || scope.rule !== undefined) return false
  if ([second, ...others].some(({ table }) => table === 'clicks')) return false
  return scope.groupBy.length === 0 || (second.table === 'events' && scope.groupBy.every(isOfClick))
}

/** Requests in the range that are no clicks. They are few: better to leave them out by name than to look up all the others. */
function uncountedClicks({ scope }: Chain, tenant: Tenant): CompiledQuery {
  const { sql, params } = both([inRange('at', scope.range, 'first'), tenantCondition(tenant)])
  return {
    sql: `SELECT click_id FROM ${factsSource('clicks')} WHERE ${sql} AND NOT (${inOwnColumns(countedRows.clicks)})`,
    params,
  }
}

/** Whether a row is a step and at its time. */
function stepCondition(chain: Chain, index: number): CompiledQuery {
  const step = chain.steps[index]!
  const clickRange = clickTimes(chain, step)
  return both([
    inRange('at', rangeOf(chain, index), index === 0 ? 'first' : 'later'),
    step.condition,
    ...(clickRange === undefined ? [] : [clickRange]),
  ])
}

/** Of all clicks few have a next step: the others would be put together for nothing. */
function restrictClicks(chain: Chain, tenant: Tenant, table: ActionTable): CompiledQuery | undefined {
  const { scope, steps, unit } = chain
  const second = steps[1]!
  if (table !== 'clicks' || second.table === 'clicks') return undefined
  const where = both([compileOwnRows(second.table, scope, tenant), stepCondition(chain, 1)])
  return {
    sql: `${unitColumn[unit]} IN (SELECT ${unitColumn[unit]} FROM ${factsSource(second.table)} WHERE ${where.sql})`,
    params: where.params,
  }
}

/** Whoever begins with a click that lies in the range has no event or conversion of another click. */
function clickTimes({ unit, steps, scope }: Chain, step: Step): CompiledQuery | undefined {
  const isOfFirstClick = unit === 'click' && steps[0]!.table === 'clicks' && step.table !== 'clicks'
  return isOfFirstClick ? inRange('click_at', scope.range, 'first') : undefined
}

/** The first step is in the range of the report, later ones up to the window after it, and in any order also before it. */
function rangeOf({ scope: { range }, windowSeconds, mode }: Chain, index: number): TimeRange {
  if (index === 0) return range
  const windowMs = windowSeconds * 1_000
  return { fromMs: mode === 'any' ? range.fromMs - windowMs : range.fromMs, toMs: range.toMs + windowMs }
}

/** The rows that are read of each step. */
export const rowsOfChain = (chain: Chain): readonly RawRows[] =>
  chain.steps.map(({ table }, index) => ({ table, range: rangeOf(chain, index), column: unitColumn[chain.unit] }))

const WINDOW = '{window_ms:UInt64}'

/** c0 are the beginnings, c1… the moments of each step that follow from them, 0: not reached. */
function inOrder(length: number, mode: 'ordered' | 'strict'): readonly string[] {
  const columns = ['l0 AS c0']
  for (let index = 1; index < length; index++) {
    const next = `arrayMap((s, p) -> if(p = 0, 0, arrayFirst(y -> y > p AND y <= s + ${WINDOW}, l${index})), c0, c${index - 1})`
    if (mode === 'ordered') columns.push(`${next} AS c${index}`)
    else
      columns.push(
        `${next} AS n${index}`,
        `arrayMap((p, n) -> if(n != 0 AND arrayExists(x -> intDiv(x, ${STEPS}) > p AND intDiv(x, ${STEPS}) < n AND x % ${STEPS} NOT IN (${index - 1}, ${index}), xs), 0, n), c${index - 1}, n${index}) AS c${index}`,
      )
  }
  return [...columns, bestOf(length)]
}

/** Every moment may be the first one of its window, whatever its step. */
function anyOrder(length: number): readonly string[] {
  const all = Array.from({ length }, (_, index) => `l${index}`).join(', ')
  const columns = [`arrayDistinct(arraySort(arrayConcat(${all}))) AS anchors`]
  for (let index = 0; index < length; index++) {
    const found = `arrayFirst(y -> y >= s AND y <= s + ${WINDOW}, l${index})`
    columns.push(
      index === 0
        ? `arrayMap(s -> ${found}, anchors) AS c0`
        : `arrayMap((s, p) -> if(p = 0, 0, ${found}), anchors, c${index - 1}) AS c${index}`,
    )
  }
  return [...columns, bestOf(length)]
}

function bestOf(length: number): string {
  const names = Array.from({ length }, (_, index) => `c${index}`)
  const depths = `arrayMap((${names.map((name) => `x_${name}`).join(', ')}) -> ${names.map((name) => `(x_${name} != 0)`).join(' + ')}, ${names.join(', ')})`
  return `${depths} AS depths, indexOf(depths, arrayMax(depths)) AS best`
}
